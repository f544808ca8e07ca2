"""Small media files, made with PyAV, each of one kind that is found in the wild."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


@dataclass(frozen=True)
class Recipe:
    """How one video is made; ``ticks`` are milliseconds of each frame, else 25 a second.

    ``options`` are the encoder's and ``muxer`` the container's; ``set_up`` may change the stream before it starts.
    """

    name: str
    codec: str = "libx264"
    n_frames: int = 60
    size: tuple[int, int] = (96, 64)
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    ticks: Sequence[int] | None = None
    start_ms: int = 0
    muxer: dict[str, str] = field(default_factory=dict)
    set_up: Callable[[Any], None] | None = None


def x264(params: str, **more: str) -> dict[str, str]:
    return {"preset": "veryfast", "x264-params": params, **more}


def x265(params: str) -> dict[str, str]:
    return {"preset": "ultrafast", "x265-params": f"log-level=none:{params}"}


_VFR = np.cumsum([0, *([20, 70, 33, 120, 15, 40] * 10)])[:60].tolist()

RECIPES = (
    Recipe("cfr.mp4", options=x264("keyint=20:bframes=3")),
    Recipe("b_pyramid.mp4", options=x264("keyint=30:bframes=5:b-pyramid=normal:b-adapt=0")),
    Recipe("vfr.mp4", options=x264("keyint=20:bframes=3"), ticks=_VFR),
    Recipe("vfr.mkv", options=x264("keyint=20:bframes=3"), ticks=_VFR),
    Recipe("open_gop.mp4", options=x264("open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0")),
    Recipe("open_gop.mkv", options=x264("open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0:scenecut=0")),
    Recipe("intra_refresh.mp4", options=x264("intra-refresh=1:keyint=15:bframes=0")),
    Recipe("one_key.mp4", options=x264("keyint=1000:bframes=2:scenecut=0")),
    Recipe("all_key.mp4", options=x264("keyint=1")),
    Recipe("tiny_gop.mp4", options=x264("keyint=3:min-keyint=3:bframes=2:b-adapt=0:scenecut=0")),
    Recipe("later_start.mp4", options=x264("keyint=20:bframes=3"), start_ms=700),
    Recipe("later_start.mkv", options=x264("keyint=20:bframes=3"), start_ms=700),
    Recipe("stream.ts", options=x264("keyint=20:bframes=3")),
    Recipe("odd.mp4", pix_fmt="yuv444p", size=(97, 63), options=x264("keyint=20")),
    Recipe("ten_bit.mp4", pix_fmt="yuv420p10le", options=x264("keyint=20")),
    Recipe("hevc.mp4", codec="libx265", options=x265("keyint=20:bframes=3")),
    Recipe("vp8.webm", codec="libvpx", options={"g": "20", "auto-alt-ref": "1", "lag-in-frames": "10"}),
    Recipe("vp9.webm", codec="libvpx-vp9", options={"g": "20", "lag-in-frames": "10", "cpu-used": "8"}),
    Recipe("vp9.mp4", codec="libvpx-vp9", options={"g": "20", "cpu-used": "8", "deadline": "realtime"}),
    Recipe("av1.mp4", codec="libsvtav1", options={"preset": "12", "g": "20", "svtav1-params": "lp=1"}),
    Recipe("mpeg4.mp4", codec="mpeg4", options={"g": "12", "bf": "2"}),
    Recipe("mpeg4.avi", codec="mpeg4", options={"g": "12"}),
    Recipe("mpeg2.mkv", codec="mpeg2video", options={"g": "12", "bf": "2"}),
    Recipe("mpeg2.mpg", codec="mpeg2video", options={"g": "12", "bf": "2"}),
    Recipe("one_frame.mp4", n_frames=1),
    Recipe("three_frames.mkv", n_frames=3),
)  # fmt: skip


def picture(number: int, size: tuple[int, int]) -> np.ndarray[Any, Any]:
    """A moving gradient that no two frames share, its top left corner bright."""
    width, height = size
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([(columns * 2 + number * 5) % 256, (rows * 3 + number * 3) % 256, (rows + columns) % 256], axis=-1)
    image = image.astype(np.uint8) // 2
    image[: height // 3, : width // 3] = 255
    return image


def make_video(
    folder: Path, recipe: Recipe, audio: np.ndarray[Any, Any] | None = None, audio_start_sec: float = 0
) -> Path:
    path = folder / recipe.name
    with av.open(str(path), "w", options=dict(recipe.muxer)) as out:
        stream: Any = out.add_stream(recipe.codec, rate=25, options=dict(recipe.options))
        stream.width, stream.height = recipe.size
        stream.pix_fmt = recipe.pix_fmt
        stream.codec_context.thread_count = 1
        if recipe.set_up is not None:
            recipe.set_up(stream)
        base = Fraction(1, 1000) if recipe.ticks is not None else Fraction(1, 25)
        stream.codec_context.time_base = base
        sound = _sound_stream(out, path) if audio is not None else None
        for number in range(recipe.n_frames):
            frame = av.VideoFrame.from_ndarray(picture(number, recipe.size), format="rgb24")
            own = recipe.ticks[number] if recipe.ticks is not None else number
            frame.pts, frame.time_base = own + round(recipe.start_ms / 1000 / base), base
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if audio is not None:
            _encode_sound(out, sound, audio, audio_start_sec)
    if recipe.codec == "libsvtav1" and hasattr(os, "sched_setscheduler"):
        # The encoder makes root's thread a real-time one, which would keep everything else off a core.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def make_sound(path: Path, samples: np.ndarray[Any, Any], rate: int = 44_100, codec: str | None = None) -> Path:
    """Sound alone: int16 (channels, n)."""
    with av.open(str(path), "w") as out:
        _encode_sound(out, _sound_stream(out, path, rate, len(samples), codec), samples, 0)
    return path


def tone(seconds: float, rate: int = 44_100, channels: int = 2) -> np.ndarray[Any, Any]:
    """Int16 (channels, n): two tones at half strength."""
    at = np.arange(round(seconds * rate)) / rate
    waves = [np.sin(2 * np.pi * 440 * at), np.sin(2 * np.pi * 1000 * at)][:channels]
    return (np.array(waves) * 16_000).astype(np.int16)


def _sound_stream(out: Any, path: Path, rate: int = 44_100, channels: int = 2, codec: str | None = None) -> Any:
    by_ending = {".webm": "libopus", ".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".avi": "libmp3lame"}
    name = codec or by_ending.get(path.suffix, "aac")
    rate = 48_000 if name == "libopus" else rate
    return out.add_stream(name, rate=rate, layout="stereo" if channels == 2 else "mono")


def _encode_sound(out: Any, stream: Any, samples: np.ndarray[Any, Any], start_sec: float) -> None:
    rate = stream.codec_context.sample_rate
    packed = np.ascontiguousarray(samples.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="stereo" if len(samples) == 2 else "mono")
    frame.sample_rate = rate
    resampler = av.AudioResampler(format=stream.codec_context.format, layout=stream.codec_context.layout, rate=rate)
    position = round(start_sec * rate)
    for part in resampler.resample(frame):
        part.pts, part.time_base = position, Fraction(1, rate)
        out.mux(stream.encode(part))
    out.mux(stream.encode(None))
