"""Sixteen exact frames of a video, against decoding all of it; and of two hours, against reading all of it.

Compared are ``sample_frames`` and two full decodes to RGB (all frames kept; one in memory at a time) on 15 s of 1080p
at 30 frames a second with a key frame every 150, in three codecs, and, in H.264, the bare decoding of the frames that
others refer to; then the two indices of an MP4 (its tables, or every packet read) on two hours of 720p with a key frame
every 250. Every way must give the same pictures, to the bit. The files (1.7 GB) are made once, in the machine's folder
for temporary files.
"""

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.measure import Row, in_turn
from clipfarm_assets.media import frames
from clipfarm_assets.media.frames import decode_all, sample_frames, uniform
from clipfarm_assets.media.opening import open_media
from clipfarm_assets_tests.media.kinds import repeat

COUNT = 16
_CODERS = {
    "H.264": ("libx264", {"preset": "veryfast", "g": "250", "sc_threshold": "0"}),
    "VP9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "250", "b": "4000000"}),
    "HEVC": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}),
}


def run() -> list[Row]:
    rows = []
    folder = Path(tempfile.gettempdir()) / "clipfarm-benchmark-media"
    folder.mkdir(exist_ok=True)
    for name, (codec, options) in _CODERS.items():
        path = _made(folder / f"15s-1080p-{codec}.mp4", codec, options, 150, (1920, 1080), times=3)
        same(sample_frames(path, COUNT).images, full_decode(path))
        ways: dict[str, Callable[[], object]] = {
            "sampled": partial(sample_frames, path, COUNT), "full": partial(full_decode, path),
            "kept": partial(keep_all, path),
        }  # fmt: skip
        if name == "H.264":
            ways["referred to"] = partial(decode_referred_to, path)
        took = {way: timing.cpu_sec for way, timing in in_turn(ways, 5).items()}

        def ratio(what: str, one: str, other: str, target: float | None = None, took: Any = took) -> Row:
            return Row(what, took[one] / took[other], target, note=f"{took[one]:.2f} s of {took[other]:.2f} s CPU")

        target = 0.25 if name == "H.264" else None
        rows.append(ratio(f"16 frames ÷ all to RGB and kept, {name}", "sampled", "kept", target))
        rows.append(ratio(f"16 frames ÷ all to RGB one by one, {name}", "sampled", "full"))
        if name == "H.264":
            rows.append(ratio("ffmpeg decoding what others refer to ÷ 16 frames, H.264", "referred to", "sampled"))
    return rows + two_hours(folder)


def two_hours(folder: Path) -> list[Row]:
    path = _made(folder / "two-hours-720p.mp4", *_CODERS["H.264"], 250, (1280, 720), times=864)
    size = path.stat().st_size
    same(sample_frames(path, COUNT).images, by_packets(path))
    took = in_turn({"tables": lambda: sample_frames(path, COUNT), "packets": lambda: by_packets(path)}, 3)
    tables, packets = took["tables"], took["packets"]
    read, read_whole = _bytes_read(sample_frames, path), _bytes_read(by_packets, path)
    return [
        Row(
            "16 frames of two hours, seconds",
            tables.wall_sec,
            3.0,
            note=f"{tables.cpu_sec:.2f} s CPU; a file of {size / 1e6:.0f} MB",
        ),
        Row(
            "16 frames of two hours, tables ÷ every packet, CPU",
            tables.cpu_sec / packets.cpu_sec,
            note=f"{tables.cpu_sec:.2f} s of {packets.cpu_sec:.2f} s",
        ),
        Row(
            "16 frames of two hours, bytes read ÷ file",
            read / size,
            note=f"{read / 1e6:.1f} MB; by every packet {read_whole / 1e6:.0f} MB",
        ),
    ]


def full_decode(path: Path) -> list[Any]:
    """Everything to RGB, one frame in memory at a time."""
    wanted = set(uniform(sum(1 for _ in _packets(path)), COUNT))
    return [picture.image for picture in decode_all(path) if picture.index in wanted]


def keep_all(path: Path) -> list[Any]:
    """The simple way as most people write it: every frame in memory (2.8 GB), then the wanted ones."""
    with av.open(str(path)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return [images[index] for index in uniform(len(images), COUNT)]


def decode_referred_to(path: Path) -> int:
    """Decodes the frames that others refer to and does nothing with them."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count, stream.codec_context.skip_frame = 1, "NONREF"
        return sum(1 for _ in container.decode(stream))


def by_packets(path: Path, count: int = COUNT) -> list[Any]:
    """The same sampling, by an index that reads every packet."""
    with open_media(path) as media:
        index = frames.index_of_packets(media)
        assert index is not None
        wanted = index.pts[uniform(len(index.pts), count)].tolist()
        found = frames._decode_indexed(media, index, wanted)
    assert found is not None
    return [found[pts] for pts in wanted]


def same(one: Any, other: Any) -> None:
    assert len(one) == len(other) == COUNT
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def _packets(path: Path) -> Any:
    with av.open(str(path)) as container:
        yield from (packet.pts for packet in container.demux(video=0) if packet.size)


def _bytes_read(way: Callable[[Path, int], object], path: Path) -> int:
    """Bytes that this process asked the system for (Linux)."""
    before = _rchar()
    way(path, COUNT)
    return _rchar() - before


def _rchar() -> int:
    return int(Path("/proc/self/io").read_text().split("\n", 1)[0].split()[1])


def _made(path: Path, codec: str, options: dict[str, str], n_frames: int, size: tuple[int, int], times: int) -> Path:
    """One group of pictures over and over; made unless it lies there."""
    if not path.exists():
        once, unfinished = path.with_name("once-" + path.name), path.with_name("unfinished-" + path.name)
        _encode(once, codec, options, n_frames, size)
        repeat(once, unfinished, times, n_frames / 30)
        unfinished.replace(path)
        once.unlink()
    return path


def _encode(path: Path, codec: str, options: dict[str, str], n_frames: int, size: tuple[int, int]) -> None:
    """A camera that moves over a textured plane, with a little noise."""
    width, height = size
    random = np.random.default_rng(0)
    plane = np.kron(
        random.integers(40, 215, (height // 8 + 80, width // 8 + 80, 3), np.uint8), np.ones((8, 8, 1), np.uint8)
    )
    noise = random.integers(0, 6, (4, height, width, 3), np.uint8)
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_type = "FRAME"  # one slice a picture, as cameras and platforms write
        for number in range(n_frames):
            x, y = (320 + 300 * np.array([np.sin(number / 40), np.cos(number / 55)])).astype(int)
            image = np.ascontiguousarray(plane[y : y + height, x : x + width] + noise[number % 4])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
