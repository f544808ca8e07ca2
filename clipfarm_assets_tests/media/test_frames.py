import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media import frames
from clipfarm_assets.media.frames import decode_all, frames_at, sample_frames, uniform
from clipfarm_assets.media.sample_tables import SampleTable
from clipfarm_assets_tests.media import making
from clipfarm_assets_tests.media.conftest import REAL_FILES

NAMES = [recipe.name for recipe in making.RECIPES]
SEEKABLE = [n for n in NAMES if not n.startswith(("mpeg", "stream"))]


def equals_full_decode(path: Path, count: int) -> None:
    sampled = sample_frames(path, count)
    wanted = set(sampled.indices)
    total = 0
    full = {}
    for shown in decode_all(path):
        total += 1
        if shown.index in wanted:
            full[shown.index] = shown
    assert sampled.n_frames == total
    assert list(sampled.indices) == uniform(total, count)
    assert sampled.times_sec == pytest.approx([full[i].time_sec for i in sampled.indices], abs=1e-9)
    for index, image in zip(sampled.indices, sampled.images, strict=True):
        assert np.array_equal(image, full[index].image), f"frame {index} differs"
    assert sampled.substituted == 0


@pytest.mark.parametrize("name", [n for n in REAL_FILES if not n.endswith(".flac")])
def test_sampled_frames_of_real_recordings_equal_a_full_decode(real: Callable[[str], Path], name: str) -> None:
    equals_full_decode(real(name), 16)


@pytest.mark.parametrize("name", [n for n in SEEKABLE if n != "intra_refresh.mp4"])
def test_the_fast_way_is_taken_where_the_index_can_be_trusted(
    made: Callable[[str], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Any:
        raise AssertionError("decoded sequentially")

    monkeypatch.setattr(frames, "decode_sequentially", refuse)
    sample_frames(made(name), 16)


@pytest.mark.parametrize(
    "name",
    ["cfr.mp4", "vfr.mp4", "open_gop.mp4", "tiny_gop.mp4", "later_start.mp4", "hevc.mp4", "hevc_open_gop.mp4",
     "av1.mp4", "h264.mov", "negative_ctts.mp4", "no_edit_list.mp4", "early_sound.mp4", "cover.mp4", "two_hours.mp4"],
)  # fmt: skip
def test_the_tables_of_an_mp4_are_its_index(
    made: Callable[[str], Path], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_packets = sample_frames_by_packets(made(name), monkeypatch)

    def refuse(*_: object) -> Any:
        raise AssertionError("read every packet")

    monkeypatch.setattr(frames, "index_of_packets", refuse)
    by_tables = sample_frames(made(name), 16)
    assert (by_tables.indices, by_tables.times_sec) == (by_packets.indices, by_packets.times_sec)
    assert all(np.array_equal(a, b) for a, b in zip(by_tables.images, by_packets.images, strict=True))


def sample_frames_by_packets(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patch:
        patch.setattr(frames, "index_of_tables", lambda media: None)
        return sample_frames(path, 16)


@pytest.mark.parametrize("wrong", ["shifted", "one moved"])
def test_tables_that_do_not_fit_the_packets_give_no_wrong_frame(
    made: Callable[[str], Path], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_packets = sample_frames_by_packets(made("cfr.mp4"), monkeypatch)
    honest = SampleTable.times

    def times(table: SampleTable) -> Any:
        dts, pts = honest(table)  # type: ignore[misc]
        if wrong == "shifted":
            pts = np.concatenate([pts[:1], pts[1:] + 512])
        else:  # each frame between takes the number of the one before it
            pts[5] = np.sort(pts)[41] + 1
        return dts, pts

    monkeypatch.setattr(SampleTable, "times", times)
    sampled = sample_frames(made("cfr.mp4"), 16)
    assert sampled.times_sec == by_packets.times_sec
    assert all(np.array_equal(a, b) for a, b in zip(sampled.images, by_packets.images, strict=True))


@pytest.mark.parametrize("name", ["cfr.mp4", "open_gop.mkv", "vfr.mp4", "vp8.webm"])
def test_every_single_frame_can_be_had_by_its_time(made: Callable[[str], Path], name: str) -> None:
    full = list(decode_all(made(name)))
    found = frames_at(made(name), [p.time_sec for p in full])
    assert list(found.indices) == [p.index for p in full]
    assert all(np.array_equal(image, p.image) for image, p in zip(found.images, full, strict=True))


@pytest.mark.parametrize("name", ["vfr.mp4", "stream.ts"])
def test_the_frame_at_a_time_is_the_last_one_presented_by_then(made: Callable[[str], Path], name: str) -> None:
    times = [p.time_sec for p in decode_all(made(name))]
    between = (times[4] + times[5]) / 2
    assert frames_at(made(name), [-1.0, between, 1e6]).indices == (0, 4, len(times) - 1)


def test_time_0_is_the_first_picture_whatever_the_container_says(made: Callable[[str], Path]) -> None:
    for name in ("later_start.mp4", "later_start.mkv", "stream.ts"):
        assert sample_frames(made(name), 2).times_sec[0] == pytest.approx(0, abs=1e-6)


def test_a_short_video_gives_each_frame_and_repeats_the_last(made: Callable[[str], Path]) -> None:
    assert sample_frames(made("three_frames.mkv"), 6).indices == (0, 1, 2, 2, 2, 2)
    assert sample_frames(made("one_frame.mp4"), 4).indices == (0, 0, 0, 0)


def test_positions_are_spread_evenly() -> None:
    assert uniform(16, 16) == list(range(16))
    assert uniform(31, 4) == [0, 10, 20, 30]
    assert uniform(300, 1) == [0]


def test_frames_are_rgb_of_the_displayed_size(made: Callable[[str], Path]) -> None:
    image = sample_frames(made("odd.mp4"), 1).images[0]
    assert (image.shape, image.dtype) == ((63, 97, 3), np.uint8)
    assert image[:15, :25].mean() > 220 > image[40:, 60:].mean()


@pytest.mark.parametrize("turn", ["0", "90", "180", "270"])
def test_frames_are_turned_as_ffmpeg_turns_them(
    made: Callable[[str], Path], tmp_path: Path, ffmpeg: Callable[..., bytes], turn: str
) -> None:
    path = tmp_path / "turned.mp4"
    try:
        ffmpeg("-display_rotation", turn, "-i", made("cfr.mp4"), "-c", "copy", path)
    except subprocess.CalledProcessError:  # ffmpeg before 6 has no such option
        ffmpeg("-i", made("cfr.mp4"), "-c", "copy", "-metadata:s:v:0", f"rotate={turn}", path)
    ours = sample_frames(path, 1).images[0]
    theirs = np.frombuffer(ffmpeg("-i", path, "-frames:v", 1, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"), np.uint8)
    assert np.abs(ours.astype(int) - theirs.reshape(ours.shape).astype(int)).mean() < 3
    equals_full_decode(path, 5)


def test_a_real_rotated_recording_stands_upright(real: Callable[[str], Path], ffmpeg: Callable[..., bytes]) -> None:
    path = real("nasa_13013_rotated.mp4")
    ours = sample_frames(path, 1).images[0]
    assert ours.shape == (480, 270, 3)
    theirs = np.frombuffer(ffmpeg("-i", path, "-frames:v", 1, "-pix_fmt", "rgb24", "-f", "rawvideo", "-"), np.uint8)
    assert np.abs(ours.astype(int) - theirs.reshape(ours.shape).astype(int)).mean() < 3


def damaged(source: Path, target: Path, number: int) -> Path:
    """The file with the payload of one packet overwritten."""
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    position, size = packets[number].pos, packets[number].size
    assert position is not None
    data = bytearray(source.read_bytes())
    data[position + 4 : position + size] = bytes(size - 4)
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("number", [10, 20, 21, 40])
def test_a_damaged_frame_is_replaced_and_the_others_stay_as_in_a_full_decode(
    made: Callable[[str], Path], tmp_path: Path, number: int
) -> None:
    path = damaged(made("cfr.mp4"), tmp_path / "damaged.mp4", number)
    sampled = sample_frames(path, 60)
    full = {p.image.tobytes() for p in decode_all(path)}
    assert len(sampled.images) == 60
    assert sampled.substituted <= 21
    assert all(image.tobytes() in full for image in sampled.images)
    whole = [p.image for p in decode_all(made("cfr.mp4"))]
    group = number // 20 * 20
    untouched = [i for i in range(60) if not group - 4 <= i < group + 20]
    assert all(np.array_equal(sampled.images[i], whole[i]) for i in untouched)


def test_a_video_whose_first_key_frame_is_damaged_gives_what_decodes(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    equals_full_decode(damaged(made("cfr.mp4"), tmp_path / "damaged.mp4", 0), 8)


def test_a_video_cut_off_before_its_first_key_frame_gives_what_decodes(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    path = tmp_path / "headless.mkv"
    with av.open(str(made("open_gop.mkv"))) as source, av.open(str(path), "w") as out:
        stream: Any = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for number, packet in enumerate(source.demux(stream)):
            if packet.size and number > 5:
                packet.dts = packet.dts if packet.dts is not None else packet.pts
                packet.stream = copy
                out.mux(packet)
    equals_full_decode(path, 8)


@pytest.mark.parametrize(
    "content", [b"", b"<!doctype html><html>no video</html>", b"\0" * 5000, b"#EXTM3U\nother.ts\n"]
)
def test_what_is_no_video_is_unsupported(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file.mp4"
    path.write_bytes(content)
    with pytest.raises(UnsupportedMedia) as raised:
        sample_frames(path, 4)
    assert str(tmp_path) not in str(raised.value)
