"""One writer at a time on this machine: a lock of the operating system, which ends with its process however it ends.

A store on S3 is locked by a file of this machine; two machines that write at once are kept apart by LanceDB's own
commits, which detect the conflict.
"""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipfarm_assets.errors import IndexBusy

_POLL_SEC = 0.05


@contextmanager
def exclusive(place: str, purpose: str, wait_sec: float) -> Iterator[None]:
    """Holds the lock for the time of the block.

    Args:
        place: the folder or URL that is locked.
        purpose: what the lock is for, such as ``write``; different purposes do not wait for each other.

    Raises:
        IndexBusy: somebody else held it for ``wait_sec``.
    """
    until = time.monotonic() + wait_sec
    with _file(place, purpose).open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise IndexBusy(f"Another process has held the index ({purpose}) for {wait_sec:g} s.") from None
                time.sleep(_POLL_SEC)
        yield  # closing the file gives the lock back


def _file(place: str, purpose: str) -> Path:
    if "://" not in place:
        Path(place).mkdir(parents=True, exist_ok=True)
        return Path(place) / f".{purpose}.lock"
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"clipfarm-{name}-{os.getuid()}-{purpose}.lock"
