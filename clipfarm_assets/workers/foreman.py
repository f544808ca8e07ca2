"""The foreman: forks the workers, hands out the items, enforces the limits, and says what became of each item.

Runs as a process of its own, ``main``. It ends, with all workers and their temporary files, when the parent does.
"""

import contextlib
import gc
import os
import pickle
import shutil
import signal
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from clipfarm_assets.errors import VideoError
from clipfarm_assets.workers.messages import PREPARED, Answer, Job, Task, loaded, portable
from clipfarm_assets.workers.worker import Done, More, work

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TQDM_DISABLE": "1",
    # The GNU C library gives a model's tensors back to the kernel, page by page, and has them cleared again: here it
    # keeps up to 512 MiB between them, of allocations of up to 64 MiB.
    "MALLOC_MMAP_THRESHOLD_": str(64 * 1024**2), "MALLOC_TRIM_THRESHOLD_": str(512 * 1024**2),
}  # fmt: skip
_WATCH_SEC = 0.1
_MIB = 1024**2


class WorkerDied(VideoError):
    """The process that worked on the video crashed, or was killed."""

    hint = "Look at the file, and at the machine's memory."


class TimeLimit(VideoError):
    """The work on the video took longer than it may."""

    hint = "Look at the file, or raise CLIPFARM_VIDEO_TIMEOUT_SEC."


class MemoryLimit(VideoError):
    """The work on the video took more memory than it may."""

    hint = "Look at the file, or raise CLIPFARM_WORKER_MEMORY_BYTES."


@dataclass
class _Worker:
    """A worker as its foreman sees it; ``number`` is None where it waits for a task.

    Attributes:
        shared_bytes: memory that it had of its foreman when it was forked, such as the model: not its own doing.
    """

    pid: int
    shared_bytes: int
    number: int | None = None
    began: float = 0.0
    until: float = 0.0
    allowed_sec: float = 0.0


def main(from_parent: int, to_parent: int) -> None:
    """Does one job after another until the parent goes away."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the parent, whose end is noticed
        signal.signal(number, signal.SIG_IGN)
    tasks, answers = Connection(from_parent, writable=False), Connection(to_parent, readable=False)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            _Shift(tasks, answers, tasks.recv()).run()


class _Shift:
    """One job, from the preparation to the last answer."""

    def __init__(self, tasks: Connection, answers: Connection, job: Job) -> None:
        self._tasks = tasks
        self._answers = answers
        self._limits = job.limits
        self._prepare = job.prepare
        self._waiting: deque[Task] = deque()
        self._workers: dict[Connection, _Worker] = {}
        os.environ.clear()
        os.environ.update(job.environment, **ENVIRONMENT)
        os.chdir(job.folder)
        tempfile.tempdir = str(job.temporary)
        self._folder = job.temporary

    def run(self) -> None:
        try:
            self._make: Callable[[Any], object] = loaded(self._prepare)()
            gc.collect()
            gc.freeze()  # so that a worker's collector does not copy what it shares with the others
            self._answers.send(Answer(PREPARED, 0.0, False, pickle.dumps(None)))
            while self._step():
                pass
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:  # noqa: BLE001  raised again in the parent
            self._answers.send(Answer(PREPARED, 0.0, True, portable(error)))
        finally:
            for conn, worker in list(self._workers.items()):
                os.kill(worker.pid, signal.SIGKILL)
                self._bury(conn, worker)
            shutil.rmtree(self._folder, ignore_errors=True)

    def _step(self) -> bool:
        """Hands out what waits, takes what comes, looks at the limits; False when the parent says that it is all."""
        self._hand_out()
        busy = any(worker.number is not None for worker in self._workers.values())
        for conn in wait([self._tasks, *self._workers], _WATCH_SEC if busy else None):
            assert isinstance(conn, Connection)
            if conn is not self._tasks:
                self._hear(conn, self._workers[conn])
            elif (task := conn.recv()) is None:
                return False
            else:
                self._waiting.append(task)
        for conn, worker in list(self._workers.items()):
            if worker.number is not None and (error := self._over_limit(worker)):
                os.kill(worker.pid, signal.SIGKILL)
                self._lose(conn, worker, error)
        return True

    def _hand_out(self) -> None:
        while self._waiting:
            idle = next((conn for conn, worker in self._workers.items() if worker.number is None), None)
            if idle is None and len(self._workers) >= self._limits.workers:
                return
            conn = idle or self._hire()
            task, worker = self._waiting.popleft(), self._workers[conn]
            worker.number, worker.began = task.number, time.monotonic()
            self._grant(worker, 0.0)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died idle: heard of as any death is
                conn.send(task)

    def _hire(self) -> Connection:
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        foreman_pid = os.getpid()
        shared_bytes = _resident_bytes(foreman_pid)
        pid = os.fork()
        if pid == 0:
            try:
                for other in (self._tasks, self._answers, ours, *self._workers):
                    other.close()
                work(theirs, self._make, self._folder, foreman_pid)
            finally:
                os._exit(1)
        theirs.close()
        self._workers[ours] = _Worker(pid, shared_bytes)
        return ours

    def _hear(self, conn: Connection, worker: _Worker) -> None:
        try:
            said = conn.recv()
        except (EOFError, ConnectionResetError):
            return self._lose(conn, worker, None)
        if isinstance(said, More):
            self._grant(worker, said.seconds)
        elif isinstance(said, Done) and worker.number is not None:
            self._answers.send(Answer(worker.number, time.monotonic() - worker.began, said.raised, said.content))
            worker.number = None
        return None

    def _grant(self, worker: _Worker, more_sec: float) -> None:
        worker.allowed_sec = self._limits.time_sec + more_sec
        worker.until = time.monotonic() + worker.allowed_sec

    def _over_limit(self, worker: _Worker) -> VideoError | None:
        if time.monotonic() > worker.until:
            return TimeLimit(f"The work on this video was stopped after {worker.allowed_sec:.0f} s.")
        with contextlib.suppress(psutil.NoSuchProcess):
            if _resident_bytes(worker.pid) - worker.shared_bytes > self._limits.memory_bytes:
                limit_mib = self._limits.memory_bytes // _MIB
                return MemoryLimit(f"The work on this video was stopped at {limit_mib} MiB of memory.")
        return None

    def _lose(self, conn: Connection, worker: _Worker, error: VideoError | None) -> None:
        """Says of the item at work that its worker is dead; ``error`` where the foreman killed it."""
        status = self._bury(conn, worker)
        if worker.number is not None:
            shutil.rmtree(self._folder / str(worker.number), ignore_errors=True)
            content = pickle.dumps(error or WorkerDied(_cause(status)))
            self._answers.send(Answer(worker.number, time.monotonic() - worker.began, False, content))

    def _bury(self, conn: Connection, worker: _Worker) -> int:
        del self._workers[conn]
        conn.close()
        return os.waitpid(worker.pid, 0)[1]


def _resident_bytes(pid: int) -> int:
    """Resident memory less the pages of files."""
    memory = psutil.Process(pid).memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _cause(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return f"The process that worked on this video ended itself with exit code {os.waitstatus_to_exitcode(status)}."
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    why = ", as happens when the machine's memory runs out" if number == signal.SIGKILL else ""
    return f"The process that worked on this video was ended by {name}{why}."
