"""What the embeddings of picture and sound share: which process runs the model, and over how many videos at once.

On a CPU each worker reads and infers, one video at a time: batches gain nothing there, and processes of one thread
waste nothing. On an accelerator the workers read, and this process runs the model over batches of what they send.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import islice
from typing import Generic, TypeVar

from clipfarm_assets.attempts import attempt, limits_of, made_in_workers, timed
from clipfarm_assets.embeddings.vectors import Vector, to_npy
from clipfarm_assets.errors import VideoError
from clipfarm_assets.models.load import device_of, weights_folder
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Json, Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets.workers.pool import in_workers

_BATCH = 32

Input = TypeVar("Input")  # what the model takes of one video


@dataclass(frozen=True)
class Ready(Generic[Input]):
    """One video that is read and not yet embedded.

    Attributes:
        content: what the model takes of it.
        details: of the outcome, besides ``embedding_dim``.
    """

    content: Input
    details: Mapping[str, Json]

    def made(self, vector: Vector) -> Made:
        return Made(to_npy(vector), details={"embedding_dim": vector.size, **self.details})


@dataclass(frozen=True)
class Embedder(Generic[Input]):
    """The two halves of the work on a video.

    Attributes:
        read: picklable, for the workers; an outcome where there is nothing to embed. Raises what is wrong with a video.
        infer: the vectors of several videos, in their order; raises where one of them has none.
        imports: modules that ``read`` needs and that take long to load: loaded once, before workers are forked.
    """

    read: Callable[[Item], Ready[Input] | Made]
    infer: Callable[[Sequence[Input]], list[Vector]]
    imports: tuple[str, ...] = ()


def embed_each(
    items: Iterable[Item], prepare: Callable[[], Embedder[Input]], *, ref: ModelRef, settings: Settings,
    store: ObjectStore, in_batches: bool | None = None,
) -> Iterator[Result]:  # fmt: skip
    """Embeds each item, in the order in which they are done.

    Args:
        prepare: picklable; loads the model. Called once, where the model is to run, before an item is taken.
        in_batches: whether the model runs here, over batches; None: as the device asks for.

    Raises:
        StoreError, ModelError: the platform fails; what is wrong with one video is yielded as its ``VideoError``. A
            model that cannot be loaded is an error before an item is taken.
    """
    if ref.origin != "stand-in":
        weights_folder(ref, settings, store)  # fetched once, here: what starts threads cannot be forked
    limits = limits_of(settings)
    if not (device_of(settings) != "cpu" if in_batches is None else in_batches):
        return made_in_workers(items, partial(_embedding, prepare), limits)
    return _embed_in_batches(items, prepare(), limits)


def _embedding(prepare: Callable[[], Embedder[Input]]) -> Callable[[Item], Made | VideoError]:
    """The whole of the work, by a model that the workers share."""
    embedder = prepare()
    _import(embedder.imports)
    return lambda item: attempt(_made, embedder, item)


def _made(embedder: Embedder[Input], item: Item) -> Made:
    found = embedder.read(item)
    return found if isinstance(found, Made) else found.made(embedder.infer([found.content])[0])


def _embed_in_batches(items: Iterable[Item], embedder: Embedder[Input], limits: Limits) -> Iterator[Result]:
    found = in_workers(items, partial(_reading, embedder.read, embedder.imports), limits)
    while batch := list(islice(found, _BATCH)):
        began = time.monotonic()
        ready = [outcome for _, outcome, _ in batch if isinstance(outcome, Ready)]
        vectors = iter(_vectors(embedder.infer, ready))
        share_sec = (time.monotonic() - began) / max(1, len(ready))
        for item, outcome, seconds in batch:
            if isinstance(outcome, Ready):
                yield item, timed(_joined(outcome, next(vectors)), seconds + share_sec)
            else:
                yield item, timed(outcome, seconds)


def _reading(
    read: Callable[[Item], Ready[Input] | Made], imports: tuple[str, ...]
) -> Callable[[Item], Ready[Input] | Made | VideoError]:
    _import(imports)
    return lambda item: attempt(read, item)


def _import(names: Iterable[str]) -> None:
    for name in names:
        import_module(name)


def _vectors(
    infer: Callable[[Sequence[Input]], list[Vector]], ready: Sequence[Ready[Input]]
) -> list[Vector | VideoError]:
    """All at once, and one at a time where that fails, so that one video's trouble is its own."""
    if not ready:
        return []
    together = attempt(infer, [each.content for each in ready])
    if not isinstance(together, VideoError):
        return [*together]
    alone = [attempt(infer, [each.content]) for each in ready]
    return [each if isinstance(each, VideoError) else each[0] for each in alone]


def _joined(ready: Ready[Input], vector: Vector | VideoError) -> Made | VideoError:
    return vector if isinstance(vector, VideoError) else ready.made(vector)
