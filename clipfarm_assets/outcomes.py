"""What goes into a stage, and what comes out of it: the shape of every stage's function.

A stage takes videos one after another and gives, for each, what it made or why it could not: ``MakeMany``.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from clipfarm_assets.errors import VideoError
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.store.artifacts import Identity, Made


@dataclass(frozen=True)
class Item:
    """One video on its way into one stage.

    Attributes:
        video: the latest metadata row.
        inputs: the proven identity of what each stage before made, by stage name.
        source_hash: SHA-256 over everything that shapes this stage's input.
    """

    video: Video
    inputs: Mapping[str, Identity]
    source_hash: str


Result = tuple[Item, Made | VideoError]
MakeMany = Callable[[Iterable[Item]], Iterator[Result]]
