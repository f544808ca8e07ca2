"""``python -m clipfarm_assets_tests.torture [--moments 20] [--seed N] [--videos 40] [SCENARIO …]``.

Says what happened at every moment and ends with a verdict on each scenario; exits with 1 where something that must
hold did not.
"""

# ruff: noqa: T201

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from clipfarm_assets_tests.media.making import Recipe, make_video, tone
from clipfarm_assets_tests.torture import kills
from clipfarm_assets_tests.torture.bench import Bench

SCENARIOS = {"cli": kills.cli, "daemon": kills.daemon}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m clipfarm_assets_tests.torture", description=__doc__)
    parser.add_argument("scenario", nargs="*", choices=[*SCENARIOS, []], help="all where none is named")
    parser.add_argument("--moments", type=int, default=20, help="kills in each scenario that kills at random")
    parser.add_argument("--videos", type=int, default=40, help="videos at first")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the moments; printed")
    parser.add_argument("--keep", action="store_true", help="leave the deployments behind")
    asked = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _stop)
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    print(f"seed {asked.seed}, in {folder}")
    clip = make_video(folder, Recipe("clip.mp4", n_frames=12, size=(64, 48)), tone(0.5))
    verdicts = []
    try:
        for name in asked.scenario or SCENARIOS:
            began = time.monotonic()
            bench = Bench(name, folder, clip, asked.seed, asked.moments, asked.videos, keep=asked.keep)
            SCENARIOS[name](bench)
            verdicts.append((name, bench.done, time.monotonic() - began, bench.violations))
    finally:
        if not asked.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"\n{'scenario':14}{'moments':>8}{'seconds':>9}  verdict (seed {asked.seed})")
    for name, moments, seconds, violations in verdicts:
        print(f"{name:14}{moments:8}{seconds:9.0f}  {f'{len(violations)} VIOLATED' if violations else 'holds'}")
    for name, _, _, violations in verdicts:
        for violation in violations:
            print(f"{name}: {violation}")
    return 1 if any(violations for *_, violations in verdicts) else 0


def _stop(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
