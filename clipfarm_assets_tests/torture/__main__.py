"""``python -m clipfarm_assets_tests.torture [--moments 20] [--seed N] [--videos 40] [SCENARIO …]``.

Says what happened at every moment and ends with a verdict on each scenario; exits with 1 where something that must
hold did not. Scenarios run beside each other, each in a process of its own: they mostly wait for the daemon.
"""

# ruff: noqa: T201

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from clipfarm_assets_tests.media.making import Recipe, make_video, tone
from clipfarm_assets_tests.torture import disk, hang, kills, remote, rivals
from clipfarm_assets_tests.torture.bench import Bench

SCENARIOS = {
    "cli": kills.cli,
    "daemon": kills.daemon,
    "stopped": hang.stopped,
    "disk_full": disk.disk_full,
    "store_refuses": remote.store_refuses,
    "two_daemons": rivals.two_daemons,
}


@dataclass(frozen=True)
class Verdict:
    """What came of one scenario."""

    scenario: str
    moments: int
    seconds: float
    violations: list[str]


def main(arguments: list[str] | None = None) -> int:
    asked = _parse(arguments)
    signal.signal(signal.SIGTERM, _stop)  # so that whatever was started is stopped
    folder = Path(tempfile.mkdtemp(prefix="torture-", dir=asked.folder))
    print(f"seed {asked.seed}, in {folder}", flush=True)
    names = asked.scenario or list(SCENARIOS)
    try:
        verdicts = _side_by_side(names, folder, asked) if len(names) > 1 else [_torture(names[0], folder, asked)]
        if asked.verdict:
            asked.verdict.write_text(json.dumps([asdict(verdict) for verdict in verdicts]))
            return 0
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    _print(verdicts, asked.seed)
    return 1 if any(verdict.violations for verdict in verdicts) else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m clipfarm_assets_tests.torture", description=__doc__)
    parser.add_argument("scenario", nargs="*", help=f"of {', '.join(SCENARIOS)}; all where none is named")
    parser.add_argument("--moments", type=int, default=20, help="kills in each scenario that kills at random")
    parser.add_argument("--videos", type=int, default=40, help="videos at first")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the moments; printed")
    parser.add_argument("--jobs", type=int, default=3, help="scenarios beside each other")
    parser.add_argument("--keep", action="store_true", help="leave the deployments behind")
    parser.add_argument("--folder", type=Path, help="where the deployments lie; the machine's temporary folder")
    parser.add_argument("--verdict", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if unknown := set(asked.scenario) - set(SCENARIOS):
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    return asked


def _torture(name: str, folder: Path, asked: argparse.Namespace) -> Verdict:
    began = time.monotonic()
    clip = make_video(folder, Recipe("clip.mp4", n_frames=12, size=(64, 48)), tone(0.5))
    bench = Bench(name, folder, clip, asked.seed, asked.moments, asked.videos, keep=asked.keep)
    SCENARIOS[name](bench)
    return Verdict(name, bench.done, time.monotonic() - began, bench.violations)


def _side_by_side(names: Sequence[str], folder: Path, asked: argparse.Namespace) -> list[Verdict]:
    """Each scenario in a process of its own, so many at a time; one without a verdict has itself failed."""
    waiting, running, began = list(names), {}, time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < asked.jobs:
                name = waiting.pop(0)
                running[name] = _start(name, folder, asked)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                del running[name]
            time.sleep(0.5)
    finally:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.wait()
    return [_read(name, folder, time.monotonic() - began) for name in names]


def _start(name: str, folder: Path, asked: argparse.Namespace) -> "subprocess.Popen[bytes]":
    options = ["--moments", asked.moments, "--videos", asked.videos, "--seed", asked.seed, "--folder", folder]
    command = [sys.executable, "-m", "clipfarm_assets_tests.torture", name, "--verdict", _verdict_file(name, folder)]
    keep = ["--keep"] if asked.keep else []
    return subprocess.Popen([str(word) for word in (*command, *options, *keep)])


def _verdict_file(name: str, folder: Path) -> Path:
    return folder / f"{name}.json"


def _read(name: str, folder: Path, seconds: float) -> Verdict:
    path = _verdict_file(name, folder)
    if not path.exists():
        return Verdict(name, 0, seconds, ["the scenario itself has failed: see its traceback above"])
    return Verdict(**json.loads(path.read_text())[0])


def _print(verdicts: Sequence[Verdict], seed: int) -> None:
    print(f"\n{'scenario':14}{'moments':>8}{'seconds':>9}  verdict (seed {seed})")
    for each in verdicts:
        said = f"{len(each.violations)} VIOLATED" if each.violations else "holds"
        print(f"{each.scenario:14}{each.moments:8}{each.seconds:9.0f}  {said}")
    for each in verdicts:
        for violation in each.violations:
            print(f"{each.scenario}: {violation}")


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
