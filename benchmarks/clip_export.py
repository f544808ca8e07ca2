"""A clip's export against the plain ffmpeg command doing the same.

Compared are ``render`` and ``ffmpeg -ss … -t … -vf crop,scale -c:v libx264 -c:a aac`` on ten seconds from the middle of
20 s of 720p at 25 frames a second with sound, made 1080 × 1920 by the same preset, quality and number of threads: cut
around the middle; then with the look for a subject, which takes a decoding of its own, and with drawn subtitles, which
ffmpeg is not asked for. ffmpeg and PyAV bring an x264 each. Memory is the highest of a process of its own
(Linux), for 5 s and for 60 s.
"""

import shutil
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.measure import Row, in_turn
from clipfarm_assets.export.render import ExportSettings, render
from clipfarm_assets.export.subtitles import SubtitleStyle, clip_subtitles
from clipfarm_assets.media.cues import Cue
from clipfarm_assets.media.probe import probe
from clipfarm_assets.settings import usable_cores

START, END = 5.0, 15.0
_MEMORY = (
    "import sys; from pathlib import Path; from clipfarm_assets.export.render import render\n"
    "render(Path(sys.argv[1]), 0.0, float(sys.argv[2]), '9:16', Path(sys.argv[3]))\n"
    "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
)


def run() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as name:
        folder = Path(name)
        source = film(folder / "source.mp4", 20)
        plain = ExportSettings(find_subject=False)
        speech = [Cue(n * 2.0, n * 2.0 + 1.8, "What is said here is drawn once for each cue") for n in range(10)]
        subtitles = clip_subtitles(speech, START, END, SubtitleStyle(26))
        export = partial(render, source, START, END, "9:16", folder / "clip.mp4")
        ways: dict[str, Any] = {
            "centre": partial(export, settings=plain),
            "subject": export,
            "drawn": partial(export, settings=plain, subtitles=subtitles, burn_in=True),
        }
        if program := shutil.which("ffmpeg"):
            ways["ffmpeg"] = partial(by_ffmpeg, program, source, folder / "reference.mp4")
        took = in_turn(ways, 3)
        rows = [
            Row(f"export, {way}, seconds of CPU a second of clip", took[way].cpu_sec / (END - START),
                note=f"{took[way].wall_sec:.1f} s for {END - START:g} s on {usable_cores()} cores")
            for way in ("centre", "subject", "drawn")
        ]  # fmt: skip
        if "ffmpeg" in took:
            ours, reference = probe(folder / "clip.mp4"), probe(folder / "reference.mp4")
            assert (ours.width, ours.height, ours.n_frames) == (reference.width, reference.height, reference.n_frames)
            rows = [
                Row(f"export, {way} ÷ ffmpeg, CPU", took[way].cpu_sec / took["ffmpeg"].cpu_sec,
                    1.2 if way == "centre" else None,
                    note=f"{took[way].cpu_sec:.1f} s of {took['ffmpeg'].cpu_sec:.1f} s CPU; "
                    f"{took[way].wall_sec:.1f} s of {took['ffmpeg'].wall_sec:.1f} s on the clock")
                for way in ("centre", "subject", "drawn")
            ] + rows  # fmt: skip
        long = film(folder / "long.mp4", 60)
        short_mb, long_mb = (peak_mb(long, seconds, folder / "clip.mp4") for seconds in (5, 60))
        return [
            *rows,
            Row("export's memory, 60 s ÷ 5 s", long_mb / short_mb, 1.15, note=f"{long_mb:.0f} MB, {short_mb:.0f} MB"),
        ]


def by_ffmpeg(program: str, source: Path, path: Path) -> None:
    cores = str(usable_cores())
    subprocess.run(
        [
            program, "-v", "error", "-nostdin", "-y", "-ss", str(START), "-t", str(END - START), "-i", source,
            "-vf", "crop=406:720,scale=1080:1920:flags=bicubic,setsar=1", "-pix_fmt", "yuv420p",
            "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-threads", cores,
            "-c:a", "aac", "-b:a", "160k", "-movflags", "+faststart", path,
        ],
        check=True,
    )  # fmt: skip


def peak_mb(source: Path, seconds: float, path: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _MEMORY, source, str(seconds), path], check=True, capture_output=True, text=True
    )
    return float(done.stdout) / 1024


def film(path: Path, seconds: int) -> Path:
    """Somebody red walks to and fro before a textured wall, with two tones."""
    random = np.random.default_rng(0)
    wall = np.kron(random.integers(40, 215, (90, 160, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    rows, columns = np.ogrid[:720, :1280]
    with av.open(str(path), "w") as out:
        picture: Any = out.add_stream("libx264", rate=25, options={"preset": "veryfast", "g": "100"})
        picture.width, picture.height, picture.pix_fmt = 1280, 720, "yuv420p"
        sound: Any = out.add_stream("aac", rate=44_100, layout="stereo")
        for number in range(seconds * 25):
            image = wall.copy()
            image[(columns - 640 - 400 * np.sin(number / 40)) ** 2 + (rows - 400) ** 2 < 120**2] = (220, 60, 60)
            out.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(picture.encode(None))
        at = np.arange(seconds * 44_100) / 44_100
        tones = np.array([np.sin(2 * np.pi * 440 * at), np.sin(2 * np.pi * 1000 * at)], np.float32) * 0.5
        frame = av.AudioFrame.from_ndarray(tones, format="fltp", layout="stereo")
        frame.sample_rate = 44_100
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return path
