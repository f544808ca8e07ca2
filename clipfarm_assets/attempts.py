"""What every stage shares: reading an item's input, and keeping one video's trouble its own.

``made_of_each`` does a stage's work in the worker processes: a crash, a hang or a flood of memory is one video's
trouble too.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from clipfarm_assets.errors import ClipfarmError, MissingRawObject, VideoError
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import Identity, Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets.workers.pool import in_workers
from clipfarm_assets.workers.worker import allow

P = ParamSpec("P")
T = TypeVar("T")

# What decoding and inference raise over one input: av's and soundfile's errors are OSError, ValueError or RuntimeError,
# torch's are RuntimeError (out of memory included). TypeError, AttributeError and their like are mistakes in the code
# that would hit every video alike, so they stop the run and cost no video a try.
_OF_THE_INPUT = (RuntimeError, ValueError, OSError, ArithmeticError, MemoryError)
OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS})
_BROKEN_ACCELERATOR = "AcceleratorError"  # after it, every later call on the device fails too

# A transcode to H.264 on one core takes up to four times as long as the video, for 4K HEVC.
_WORK_SEC_PER_SEC = 4.0
_UNKNOWN_DURATION_SEC = 2 * 3600.0
_LONGEST_DURATION_SEC = 12 * 3600.0  # a damaged header may claim years


def attempt(make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | VideoError:
    """Runs the work of one video, ``make(*args, **kwargs)``; what goes wrong with it becomes a value.

    Platform errors (store, models, a full disk, a broken accelerator) are raised.
    """
    try:
        return make(*args, **kwargs)
    except VideoError as outcome:
        return outcome
    except ClipfarmError:
        raise
    except _OF_THE_INPUT as error:
        if type(error).__name__ == _BROKEN_ACCELERATOR or (
            isinstance(error, OSError) and error.errno in OF_THE_MACHINE
        ):
            raise
        return VideoError(f"{type(error).__name__}: {error}")


def made_of_each(items: Iterable[Item], make: Callable[[Item], Made], limits: Limits) -> Iterator[Result]:
    """What ``make`` (picklable) makes of each item in a worker, in the order in which they are done.

    Raises:
        StoreError, ModelError: the platform fails; what is wrong with one video is yielded as its ``VideoError``.
    """
    return made_in_workers(items, partial(_attempting, make), limits)


def made_in_workers(
    items: Iterable[Item], prepare: Callable[[], Callable[[Item], Made | VideoError]], limits: Limits
) -> Iterator[Result]:
    """As ``made_of_each``, with work that needs a preparation; see ``in_workers``."""
    for item, outcome, seconds in in_workers(items, prepare, limits):
        yield item, timed(outcome, seconds)


def _attempting(make: Callable[[Item], Made]) -> Callable[[Item], Made | VideoError]:
    return lambda item: attempt(make, item)


def timed(outcome: Made | VideoError, seconds: float) -> Made | VideoError:
    """The outcome with the seconds of its work."""
    if isinstance(outcome, Made):
        return replace(outcome, seconds=seconds)
    outcome.seconds = seconds
    return outcome


def limits_of(settings: Settings) -> Limits:
    """How much the workers of this deployment may take."""
    return Limits(settings.workers, settings.video_timeout_sec, settings.worker_memory_bytes)


def allow_for(duration_sec: object) -> None:
    """Lets the work on the video that this worker has in hand take time in proportion to how long the video lasts."""
    known = duration_sec if isinstance(duration_sec, int | float) and duration_sec >= 0 else _UNKNOWN_DURATION_SEC
    allow(_WORK_SEC_PER_SEC * min(known, _LONGEST_DURATION_SEC))


def raw_identity(item: Item, stage: str) -> Identity:
    """The identity of what the stage before made; MissingRawObject where there is none."""
    identity = item.inputs.get(stage)
    if identity is None:
        raise MissingRawObject(f"There is no {stage} of {item.video.video_id}.")
    return identity


def raw_key(item: Item, stage: str) -> str:
    """The store key of what the stage before made; MissingRawObject where it left no object."""
    key = raw_identity(item, stage).key
    if key is None:
        raise MissingRawObject(f"The {stage} of {item.video.video_id} left no object.")
    return key


@contextmanager
def raw_file(item: Item, stage: str, store: ObjectStore) -> Iterator[Path]:
    """What the stage before made, as a local file to read; MissingRawObject where the store lost it."""
    key = raw_key(item, stage)
    allow_for(item.inputs[stage].details.get("duration_sec"))
    with store.local_file(key) as path:
        if path is None:
            raise MissingRawObject(f"{key} is not in the store.")
        yield path
