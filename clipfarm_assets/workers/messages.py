"""What parent, foreman and workers tell each other, and how errors get across whole."""

import pickle
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

PREPARED = -1  # the ``number`` of the answer that says whether the work can begin


@dataclass(frozen=True)
class Limits:
    """How much the workers may take.

    Attributes:
        workers: processes at once.
        time_sec: wall seconds for one video, to which the work itself adds by ``worker.allow``.
        memory_bytes: resident memory of one worker, less the pages of files and what it shares with the others.
    """

    workers: int
    time_sec: float
    memory_bytes: int


@dataclass(frozen=True)
class Job:
    """One list of videos and what is done with each.

    Attributes:
        prepare: pickled; called once by the foreman, it returns the function that each worker calls with an item.
        temporary: a folder for the temporary files of the work; gone when the job is.
        environment, folder: those of the parent when the job began.
    """

    prepare: bytes
    limits: Limits
    temporary: Path
    environment: Mapping[str, str]
    folder: str


class Task(NamedTuple):
    """One pickled item."""

    number: int
    item: bytes


class Answer(NamedTuple):
    """What became of one item: the pickled outcome, or an error that is to be raised in the parent."""

    number: int
    seconds: float
    raised: bool
    content: bytes


def portable(error: Exception) -> bytes:
    """The error pickled, with the traceback as a note; its text alone where it cannot be had on the other side."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
    except Exception:  # noqa: BLE001  an error's own pickling may raise anything, and the error must not be lost
        return pickle.dumps(RuntimeError("".join(traceback.format_exception(error))))
    return content


def loaded(content: bytes) -> Any:
    """What was pickled on the other side, which is this program."""
    return pickle.loads(content)
