"""What every stage shares: reading an item's input, and keeping one video's trouble its own."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec

from clipfarm_assets.errors import ClipfarmError, MissingRawObject, VideoError
from clipfarm_assets.outcomes import Item
from clipfarm_assets.store.artifacts import Identity, Made
from clipfarm_assets.store.object_store import ObjectStore

P = ParamSpec("P")

# What decoding and inference raise over one input: av's and soundfile's errors are OSError, ValueError or RuntimeError,
# torch's are RuntimeError (out of memory included). TypeError, AttributeError and their like are mistakes in the code
# that would hit every video alike, so they stop the run and cost no video a try.
_OF_THE_INPUT = (RuntimeError, ValueError, OSError, ArithmeticError, MemoryError)
_OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EROFS})
_BROKEN_ACCELERATOR = "AcceleratorError"  # after it, every later call on the device fails too


def attempt(make: Callable[P, Made], *args: P.args, **kwargs: P.kwargs) -> Made | VideoError:
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
            isinstance(error, OSError) and error.errno in _OF_THE_MACHINE
        ):
            raise
        return VideoError(f"{type(error).__name__}: {error}")


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
    with store.local_file(key) as path:
        if path is None:
            raise MissingRawObject(f"{key} is not in the store.")
        yield path
