"""One deployment to be tortured, and every process that belongs to it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from clipfarm_assets_tests.journeys.deployment import PROGRAMS, Deployment

QUICK = {
    "CLIPFARM_RETRY_PAUSE_SEC": "0.1",
    "CLIPFARM_CHUNK_SIZE": "8",
    "CLIPFARM_FAN_IN_QUIET_SEC": "1",
    "CLIPFARM_FILE_CHECK_SEC": "1000",
    "OMP_NUM_THREADS": "1",
    "COLUMNS": "200",
}
T_END_SEC = 15.0


@dataclass
class Home(Deployment):
    """A deployment whose videos differ in their bytes, and whose processes are found by their environment."""

    n_videos: int = 0
    video_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        (self.folder / "tmp").mkdir()
        self.env.update(QUICK | {"TMPDIR": str(self.folder / "tmp")})
        config = (self.folder / "dagster.yaml").read_text()
        (self.folder / "dagster.yaml").write_text(
            config.replace("poll_interval_seconds: 20", "poll_interval_seconds: 2")
        )
        self.more_videos(self.n_videos)

    def more_videos(self, count: int) -> None:
        """Appends rows, each with a file of its own content."""
        new = [f"v{len(self.video_ids) + number:03}" for number in range(count)]
        for video_id in new:
            self.media(video_id).write_bytes(self.clip.read_bytes() + b"\0\0\0\x0cfree" + video_id.encode())
        self.add_rows(new)
        self.video_ids += new

    @property
    def databases_folder(self) -> Path:
        return Path(self.env["CLIPFARM_DAGSTER_STORAGE"])

    @property
    def workspace(self) -> str:
        return str(self.folder / "workspace.yaml")

    # Processes

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        """Starts a program in a process group of its own; what it says goes to a log in the folder."""
        with (self.folder / f"{arguments[0]}.log").open("ab") as sink:
            return subprocess.Popen(
                [str(PROGRAMS / arguments[0]), *arguments[1:]], cwd=self.folder, stdin=subprocess.DEVNULL,
                env={**os.environ, **self.env, **(env or {})}, stdout=sink, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip

    def start_daemon(self) -> "subprocess.Popen[bytes]":
        return self.start("dagster-daemon", "run", "-w", self.workspace)

    def log(self, program: str, characters: int = 3000) -> str:
        path = self.folder / f"{program}.log"
        return path.read_text(errors="replace")[-characters:] if path.exists() else ""

    def processes(self) -> list[psutil.Process]:
        """Every living process of this deployment, whoever its parent is now."""
        found = []
        for process in psutil.process_iter():
            try:
                mine = process.environ().get("DAGSTER_HOME") == str(self.folder)
                if mine and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def lives(self, process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return False

    def role(self, name: str) -> list[psutil.Process]:
        """Those of one part: ``daemon``, ``code server`` or ``run worker``; everything that lives for any other."""
        found = {process: _role(process) for process in self.processes()}
        return [process for process, role in found.items() if role == name or name == "everything"]

    def kill(self, processes: list[psutil.Process]) -> None:
        """kill -9, and waits until they are gone."""
        for process in processes:
            _send(process, signal.SIGKILL)
        psutil.wait_procs(processes, timeout=T_END_SEC)

    def stop(self) -> list[psutil.Process]:
        """Stops everything as a person would, and returns what would not go."""
        processes = self.processes()
        for process in processes:
            _send(process, signal.SIGCONT)
        for process in processes:
            if _role(process) in ("daemon", "clipfarm"):
                _send(process, signal.SIGINT)
        deadline = time.monotonic() + 60
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return left

    def files(self) -> int:
        """How many files the store holds: how far the work has come."""
        return sum(len(names) for _, _, names in os.walk(self.store))


def _role(process: psutil.Process) -> str:
    try:
        words = process.cmdline()
        line = " ".join(words)
        if "resource_tracker" in line:
            return "helper"
        if "spawn_main" in line:
            parent = process.parent()
            under_worker = parent is not None and "spawn_main" in " ".join(parent.cmdline())
            return "stage worker" if under_worker else "run worker"
        if "grpc" in words:
            return "code server"
        return "daemon" if any(word.endswith("dagster-daemon") for word in words) else "clipfarm"
    except psutil.NoSuchProcess:
        return "gone"


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):  # it has ended by itself
        process.send_signal(number)


@contextmanager
def new_home(folder: Path, clip: Path, n_videos: int, *, keep: bool) -> Iterator[Home]:
    """A fresh deployment; whatever happens in the block, no process of it outlives it."""
    folder.mkdir(parents=True)
    home = Home(folder, clip, n_videos=n_videos)
    try:
        with home.instance():
            pass  # two processes that make the databases at once break each other
        yield home
    finally:
        with _undisturbed():
            while left := home.processes():  # one may have started another meanwhile
                home.kill(left)
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Whoever asks twice for an end must not interrupt the cleaning up."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def until(done: Callable[[], object], seconds: float, every: float = 0.2) -> bool:
    """Whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
