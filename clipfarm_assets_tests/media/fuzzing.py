"""Damage files of every kind, and try everything on each in a process of its own.

``python -m clipfarm_assets_tests.media.fuzzing FOLDER [ROUNDS] [SEED]`` reports what ends in anything but a result or a
named error within the limits, and keeps the file.
"""

import contextlib
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from clipfarm_assets.errors import VideoError
from clipfarm_assets.media.audio import decode_audio, write_wav
from clipfarm_assets.media.containers import to_mp4
from clipfarm_assets.media.frames import frames_at, sample_frames
from clipfarm_assets.media.probe import probe
from clipfarm_assets.media.thumbnail import thumbnail
from clipfarm_assets.media.transcripts import from_subtitle_stream
from clipfarm_assets_tests.media import kinds

MOST_SEC = 60
MOST_BYTES = 1 << 30
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
WAYS = ("sprinkle", "overwrite", "extremes", "cut", "remove", "repeat", "header")


class Ending(NamedTuple):
    """How a process ended: ``fault`` is empty where all is well."""

    fault: str
    seconds: float
    grown_bytes: int


def damaged(data: bytes, random: np.random.Generator) -> bytes:
    """The file's bytes, damaged in one of the ways."""
    made, at = bytearray(data), int(random.integers(0, max(len(data) - 4, 1)))
    length = int(random.integers(1, 1500))
    way = random.choice(WAYS)
    if way == "sprinkle":
        for place in random.integers(0, len(made), 40):
            made[place] = int(random.integers(0, 256))
    elif way == "overwrite":
        made[at : at + length] = bytes([int(random.integers(0, 256))]) * min(length, len(made) - at)
    elif way == "extremes":
        for place in random.integers(0, max(len(made) - 4, 1), 4):
            struct.pack_into(">I", made, int(place), int(random.choice(_EXTREMES)))
    elif way == "cut":
        del made[at:]
    elif way == "remove":
        del made[at : at + length]
    elif way == "repeat":
        made[at:at] = made[at : at + length]
    else:  # the headers stand at either end
        for _ in range(3):
            near = int(random.integers(0, min(2500, len(made) - 4)))
            place = near if random.integers(2) else len(made) - 4 - near
            struct.pack_into(">I", made, place, int(random.choice(_EXTREMES)))
    return bytes(made)


def attempt_everything(path: Path, folder: Path) -> None:
    """Whatever the product does with a file; a ``VideoError`` is a good end."""
    for act in (
        lambda: probe(path),
        lambda: sample_frames(path, 6),
        lambda: frames_at(path, [0.1]),
        lambda: decode_audio(path),
        lambda: write_wav(path, folder / "out.wav"),
        lambda: to_mp4(path, folder / "out.mp4"),
        lambda: thumbnail(path),
        lambda: from_subtitle_stream(path),
    ):
        with contextlib.suppress(VideoError):
            act()
    assert not list(folder.glob("*.partial"))


def in_own_processes(paths: Sequence[Path], most_sec: float = MOST_SEC) -> list[Ending]:
    """Attempts everything on each file, in forks of a fresh process: this one may have run encoders with threads."""
    code = f"import sys; from {__name__} import *; print(endings(sys.argv[1:], {most_sec}))"
    command = [sys.executable, "-c", code, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=most_sec * len(paths) + 60)
    return [Ending(*ending) for ending in json.loads(done.stdout)]


def endings(paths: Sequence[str], most_sec: float) -> str:
    """The endings as JSON."""
    return json.dumps([in_own_process(Path(path), most_sec) for path in paths])


def in_own_process(path: Path, most_sec: float = MOST_SEC) -> Ending:
    """Attempts everything on a file in a fork of this process."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            os.dup2(said.fileno(), 2)
            code = 0
            try:
                attempt_everything(path, Path(folder))
            except BaseException:
                traceback.print_exc()
                code = 1
            finally:
                sys.stderr.flush()
                os._exit(code)
        while True:
            pid, status, usage = os.wait4(child, os.WNOHANG)
            if pid:
                break
            if time.monotonic() - started > most_sec:
                os.kill(child, 9)
                os.wait4(child, 0)
                return Ending(f"not done after {most_sec:.0f} s", most_sec, 0)
            time.sleep(0.002)
        said.seek(0)
        words = said.read().decode("utf-8", "replace")
    fault = "" if status == 0 else f"ended with {status}: {words[-1500:]}"
    grown = max(usage.ru_maxrss - before, 0) * 1024
    if not fault and grown > MOST_BYTES:
        fault = f"took {grown / 2**20:,.0f} MiB"
    return Ending(fault, time.monotonic() - started, grown)


def main(folder: Path, rounds: int, seed: int) -> int:
    # made by another process, as encoders leave threads behind that no fork has
    subprocess.run([sys.executable, "-m", kinds.__name__, str(folder)], check=True, capture_output=True)
    sources = [folder / name for name in kinds.KINDS if not name.startswith("cut")]
    sources = [path for path in sources if 0 < path.stat().st_size < 200_000]
    faults, slowest, largest = 0, (0.0, ""), (0, "")
    for number in range(rounds):
        for path in sources:
            random = np.random.default_rng([seed, number, *path.name.encode()])
            file = folder / f"damaged-{seed}-{number}-{path.name}"
            file.write_bytes(damaged(path.read_bytes(), random))
            ending = in_own_process(file)
            slowest = max(slowest, (ending.seconds, file.name))
            largest = max(largest, (ending.grown_bytes, file.name))
            if ending.fault:
                faults += 1
                shutil.copy(file, folder / f"fault-{file.name}")
                sys.stdout.write(f"{file.name}: {ending.fault}\n")
                sys.stdout.flush()
            file.unlink()
    sys.stdout.write(f"{rounds * len(sources)} files, {faults} faults, slowest {slowest}, largest {largest}\n")
    return faults


if __name__ == "__main__":
    place, rounds, seed = [*sys.argv[1:], *("", "3", "0")[len(sys.argv) - 1 :]]
    sys.exit(bool(main(Path(place), int(rounds), int(seed))))
