"""Does the work of a stage in the workers: items in, outcomes out, in the order in which they are done."""

import atexit
import contextlib
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from typing import TypeVar

from clipfarm_assets.errors import ClipfarmError, VideoError
from clipfarm_assets.workers.foreman import ENVIRONMENT
from clipfarm_assets.workers.messages import PREPARED, Answer, Job, Limits, Task, loaded

T = TypeVar("T")
R = TypeVar("R")

_START = "import sys; sys.path[:] = {path!r}; from clipfarm_assets.workers.foreman import main; main({fds})"
_PATIENCE_SEC = 2.0
_idle: "list[_Foreman]" = []


class WorkersLost(ClipfarmError):
    """The process that the workers come from has died: nothing is known against any video."""

    hint = "Look at the machine's memory; the next run takes up the rest."


def in_workers(
    items: Iterable[T], prepare: Callable[[], Callable[[T], R]], limits: Limits
) -> Iterator[tuple[T, R | VideoError, float]]:
    """Each item with what the work made of it, and the wall seconds that it took, in the order of completion.

    An item is taken when a worker is free or soon will be: twice as many as there are workers are under way. Temporary
    files of the work live until the next result is asked for.

    Args:
        prepare: picklable; called once, in the process that the workers are forked from, before an item is taken. It
            must leave no thread behind. What it returns is called with one item at a time, in a worker.

    Raises:
        Exception: whatever ``prepare`` or the work raises. A worker that dies, or is killed at a limit, is its item's
            ``VideoError``.
        WorkersLost: the process that the workers come from has died.
    """
    foreman, folder = _take(), Path(tempfile.mkdtemp(prefix="clipfarm-"))
    try:
        foreman.begin(Job(pickle.dumps(prepare), limits, folder, dict(os.environ), str(Path.cwd())))
        under_way: dict[int, T] = {}
        numbered = enumerate(items)
        while True:
            while len(under_way) < 2 * limits.workers and (following := next(numbered, None)) is not None:
                number, item = following
                under_way[number] = item
                foreman.send(Task(number, pickle.dumps(item)))
            if not under_way:
                break
            answer = foreman.answer()
            yield under_way.pop(answer.number), loaded(answer.content), answer.seconds
            shutil.rmtree(folder / str(answer.number), ignore_errors=True)
        foreman.send(None)
        _idle.append(foreman)
    except BaseException:
        foreman.close()
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Foreman:
    """The parent's end of one foreman process."""

    def __init__(self) -> None:
        from_parent, self._tasks = Pipe(duplex=False)
        self._answers, to_parent = Pipe(duplex=False)
        fds = (from_parent.fileno(), to_parent.fileno())
        self.owner = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path, fds=f"{fds[0]}, {fds[1]}")],
            pass_fds=fds, stdin=subprocess.DEVNULL, env={**os.environ, **ENVIRONMENT},
        )  # fmt: skip
        from_parent.close()
        to_parent.close()
        self._heard: SimpleQueue[Answer | None] = SimpleQueue()
        Thread(target=_listen, args=(self._answers, self._heard), daemon=True).start()

    def begin(self, job: Job) -> None:
        """Starts a job, and waits until it is prepared."""
        self.send(job)
        assert self.answer().number == PREPARED

    def send(self, message: Job | Task | None) -> None:
        try:
            self._tasks.send(message)
        except OSError:
            raise self._lost() from None

    def answer(self) -> Answer:
        """The next answer, when there is one; an error of the foreman's or a worker's is raised."""
        answer = self._heard.get()
        if answer is None:
            raise self._lost()
        if answer.raised:
            raise loaded(answer.content)
        return answer

    def close(self) -> None:
        """Ends the process, its workers, and their temporary files."""
        self._tasks.close()
        try:
            self._process.wait(_PATIENCE_SEC)
        except subprocess.TimeoutExpired:  # it is deep in its preparation
            self._process.kill()
            self._process.wait()

    def is_well(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def _lost(self) -> WorkersLost:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_PATIENCE_SEC)
        return WorkersLost(f"The process that the workers come from has ended with {self._process.returncode}.")


def _listen(answers: Connection, heard: "SimpleQueue[Answer | None]") -> None:
    """Takes each answer as it comes, so that the foreman never waits for a parent that is busy."""
    with contextlib.suppress(EOFError, OSError):
        while True:
            heard.put(answers.recv())
    heard.put(None)


def _take() -> _Foreman:
    """A foreman that an earlier step has left, with what it has imported and loaded, or a new one."""
    while _idle:
        if (foreman := _idle.pop()).is_well():
            return foreman
    return _Foreman()


@atexit.register
def _close_all() -> None:
    while _idle:
        if (foreman := _idle.pop()).owner == os.getpid():
            foreman.close()
