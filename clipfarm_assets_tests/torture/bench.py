"""What the scenarios share: dice, deployments, and lines for the person who watches."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from clipfarm_assets_tests.torture.audit import Audit
from clipfarm_assets_tests.torture.evidence import STAGES
from clipfarm_assets_tests.torture.home import Home, new_home, until

_FILES_A_VIDEO = 2 * len(STAGES)
_LONGEST_WAIT_SEC = 120.0
_WORKER_SEC = 300.0
_CLI_STARTS_WITHIN_SEC = 4.0


@dataclass
class Bench:
    """One scenario's bench.

    Attributes:
        moments: how many times something is killed.
        videos: how many videos there are at first.
    """

    name: str
    folder: Path
    clip: Path
    seed: int
    moments: int
    videos: int
    keep: bool = False
    violations: list[str] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(f"{self.seed} {self.name}")
        self._began = time.monotonic()

    @contextmanager
    def home(self, name: str = "home", videos: int | None = None) -> Iterator[Home]:
        """A fresh deployment."""
        count = self.videos if videos is None else videos
        with new_home(self.folder / self.name / name, self.clip, count, keep=self.keep) as home:
            yield home

    def say(self, text: str) -> None:
        """One line, with the scenario and its seconds."""
        sys.stdout.write(f"{self.name:13} {time.monotonic() - self._began:5.0f} s  {text}\n")
        sys.stdout.flush()

    def moment(self, audit: Audit, what: str) -> None:
        """Audits what the last kill has left, and says so."""
        self.done += 1
        before = len(audit.violations)
        self.say(f"{self.done:2}. {what}: {audit.look(f'moment {self.done} ({what})')}")
        self._tell(audit, before)

    def end(self, audit: Audit) -> None:
        """Audits the end, and takes over what the audit found."""
        before = len(audit.violations)
        self.say(f"the end: {audit.end()}")
        self._tell(audit, before)
        self.violations += audit.violations

    def _tell(self, audit: Audit, since: int) -> None:
        for violation in audit.violations[since:]:
            self.say(f"    {violation}")

    def wait_for_a_moment(self, home: Home, process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Until a random moment of the work: some early ones by the clock, the others after so many more files."""
        if process is not None and self.dice.random() < 0.2:
            until(lambda: process.poll() is not None, self.dice.uniform(0, _CLI_STARTS_WITHIN_SEC), 0.02)
            return
        left = max(len(home.video_ids) * _FILES_A_VIDEO - home.files(), 0)
        share = min(2 * left / max(self.moments - self.done, 1), 0.8 * left)
        wanted = home.files() + round(self.dice.uniform(1, max(share, 2)))
        until(
            lambda: home.files() >= wanted or (process is not None and process.poll() is not None),
            _LONGEST_WAIT_SEC, 0.01,
        )  # fmt: skip
        time.sleep(self.dice.uniform(0, 0.2))

    def keep_busy(self, home: Home, audit: Audit) -> None:
        """Appends videos where next to nothing is left to be done."""
        made = sum(1 for count in audit.log().made.values() if count)
        if len(home.video_ids) * len(STAGES) - made < len(STAGES):
            home.more_videos(4)

    def wait_for_a_worker(self, home: Home, audit: Audit) -> None:
        """Until the daemon has started a run worker."""

        def comes() -> bool:
            self.keep_busy(home, audit)
            return bool(home.role("run worker"))

        audit.require(f"moment {self.done + 1}", "a run worker comes", until(comes, _WORKER_SEC, 1.0))


def wait_until_done(home: Home, audit: Audit, seconds: float) -> bool:
    """Until everything is made and booked, and the manifests have seen it."""
    wanted = {(video_id, stage) for video_id in home.video_ids for stage in STAGES}

    def done() -> bool:
        log = audit.log()
        return {pair for pair, count in log.made.items() if count} >= wanted and log.fan_in_is_newer

    return until(done, seconds, 0.5)
