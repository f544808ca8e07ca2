"""One worker: takes an item, does the work, sends what came of it, until its foreman goes away."""

import contextlib
import ctypes
import os
import pickle
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from clipfarm_assets.workers.messages import Task, loaded, portable

_PR_SET_PDEATHSIG = 1
_oneself: Connection | None = None  # in a worker: the way to its foreman


class Done(NamedTuple):
    """The pickled outcome of the task, or an error that is to be raised in the parent."""

    raised: bool
    content: bytes


class More(NamedTuple):
    """The task may take this many seconds beyond the limit, from now."""

    seconds: float


def allow(seconds: float) -> None:
    """Gives the item at work the limit's seconds, and ``seconds`` more, from now on; nothing outside of a worker."""
    if _oneself is not None:
        _oneself.send(More(seconds))


def work(foreman: Connection, make: Callable[[Any], object], folder: Path, foreman_pid: int) -> NoReturn:
    """The life of a worker. Every temporary file of a task lies in ``folder/<number>``, whoever makes it."""
    global _oneself  # noqa: PLW0603  one worker a process
    _oneself = foreman
    _die_with(foreman_pid)
    _be_the_first_to_go()
    try:
        while True:
            task: Task = foreman.recv()
            tempfile.tempdir = str(folder / str(task.number))
            Path(tempfile.tempdir).mkdir()
            foreman.send(_done(make, task))
    except (EOFError, OSError):
        os._exit(0)  # the foreman has gone


def _done(make: Callable[[Any], object], task: Task) -> Done:
    try:
        return Done(False, pickle.dumps(make(loaded(task.item)), protocol=pickle.HIGHEST_PROTOCOL))
    except Exception as error:  # noqa: BLE001  raised again in the parent
        return Done(True, portable(error))


def _die_with(foreman_pid: int) -> None:
    """A worker deep in a decoder does not notice that its foreman has died: the kernel ends it (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != foreman_pid:
        os._exit(0)


def _be_the_first_to_go() -> None:
    """Where the machine's memory runs out, the kernel ends a worker, which costs one video, and not the run."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("800")
