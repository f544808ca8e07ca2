"""Of every kind of medium comes what a slow, plain decode shows, or an error that names what is wrong."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from clipfarm_assets.errors import NoAudioTrack, UnsupportedMedia, VideoError
from clipfarm_assets.media.audio import decode_audio
from clipfarm_assets.media.containers import Container, to_mp4
from clipfarm_assets.media.frames import decode_all, frames_at, sample_frames, uniform
from clipfarm_assets.media.probe import probe
from clipfarm_assets_tests.media import kinds

Image = NDArray[np.uint8]

NO_VIDEO = {
    "cover_only.mp4": "no video stream",
    "cover.mp3": "no video stream",
    "sound_only.mp4": "no video stream",
    "sound_only.flac": "no video stream",
    "all_frames_damaged.mp4": "can be decoded",
    "cut_no_index.mp4": "not readable",
    "empty.mp4": "zero bytes",
    "page.mp4": "not readable",
    "zeros.mp4": "not readable",
    "playlist.mp4": "not readable",
}
DAMAGED = ["first_frames_damaged.mp4", "some_frames_damaged.mp4", "headless.mkv"]
VIDEOS = [n for n in kinds.KINDS if not n.startswith(("cut", "two_hours")) and n not in NO_VIDEO]
WHOLE = [n for n in VIDEOS if n not in DAMAGED]
TURNS: dict[str, Callable[[Any], Any]] = {
    "rotated_90.mp4": lambda image: np.rot90(image, 1),
    "rotated_90.mkv": lambda image: np.rot90(image, 1),
    "rotated_90_mpeg2.mov": lambda image: np.rot90(image, 1),
    "rotated_180.mp4": lambda image: np.rot90(image, 2),
    "rotated_270.mp4": lambda image: np.rot90(image, 3),
    "mirrored.mp4": np.fliplr,
}
REMUXED = [
    *("vfr.mkv", "open_gop.mkv", "later_start.mkv", "stream.ts", "vp9.webm", "mpeg4.avi", "three_frames.mkv"),
    *(
        "hevc_ten_bit.mkv",
        "h264.flv",
        "h264.mkv",
        "hevc.mkv",
        "hevc.ts",
        "vp9.mkv",
        "vp9_odd.webm",
        "vp9.avi",
        "av1.avi",
    ),
    *("av1.webm", "av1.mkv", "mpeg4.mkv", "odd.avi", "two_by_two.webm", "two_by_two.avi", "rotated_90.mkv"),
    *("sound.mkv", "sound.ts", "sound.avi", "late_sound.mkv", "early_sound.mkv", "resizing.ts", "unknown_sound.mkv"),
    "subtitles.mkv",
]
SUBSAMPLED = ("odd", "four_four_four", "animation", "interlaced.mpg")  # their colours lose most on the way to 4:2:0


def plainly_decoded(path: Path) -> list[Image]:
    """Every frame of the video as PyAV gives it, unturned."""
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]  # type: ignore[misc]


@pytest.mark.parametrize("name", WHOLE)
def test_sampled_frames_equal_a_plain_decode_of_everything(made: Callable[[str], Path], name: str) -> None:
    turn = TURNS.get(name, lambda image: image)
    whole = [turn(image) for image in plainly_decoded(made(name))]
    for count in (16, 3):
        sampled = sample_frames(made(name), count)
        assert (sampled.n_frames, list(sampled.indices)) == (len(whole), uniform(len(whole), count))
        assert all(np.array_equal(image, whole[i]) for i, image in zip(sampled.indices, sampled.images, strict=True))
        assert sampled.substituted == 0


@pytest.mark.parametrize("name", VIDEOS)
def test_the_times_of_sampled_frames_are_those_of_a_full_decode(made: Callable[[str], Path], name: str) -> None:
    sampled = sample_frames(made(name), 5)
    times = [picture.time_sec for picture in decode_all(made(name))]
    if name != "some_frames_damaged.mp4":  # its timeline has the frames that do not decode
        assert sampled.times_sec == pytest.approx([times[i] for i in sampled.indices], abs=1e-9)
    assert list(sampled.times_sec) == sorted(sampled.times_sec)
    assert sampled.times_sec[0] >= 0
    if len(set(times)) == len(times) == sampled.n_frames:
        assert frames_at(made(name), sampled.times_sec).indices == sampled.indices


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts", "fragmented.mp4"])
def test_a_truncated_file_gives_the_frames_that_are_left(made: Callable[[str], Path], ending: str) -> None:
    seen = []
    for number in range(1, kinds.TRUNCATIONS):
        path = made(f"cut_{number:02}.{ending}")
        try:
            sampled = sample_frames(path, 8)
        except UnsupportedMedia:
            continue
        whole = list(decode_all(path))
        assert sampled.n_frames == len(whole)
        assert all(
            np.array_equal(image, whole[i].image) for i, image in zip(sampled.indices, sampled.images, strict=True)
        )
        seen.append(sampled.n_frames)
    assert seen == sorted(seen)
    assert len(seen) >= kinds.TRUNCATIONS - 4
    assert 50 <= seen[-1] <= 60


@pytest.mark.parametrize("name", NO_VIDEO)
def test_what_holds_no_picture_says_so(made: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    for act in (probe, lambda path: sample_frames(path, 4), lambda path: to_mp4(path, tmp_path / "out.mp4")):
        with pytest.raises(UnsupportedMedia, match=NO_VIDEO[name]) as raised:
            act(made(name))
        assert str(made(name)) not in str(raised.value)


def test_two_hours_are_sampled_without_being_read(made: Callable[[str], Path]) -> None:
    sampled = sample_frames(made("two_hours.mp4"), 16)
    assert sampled.n_frames == 36_000
    assert sampled.times_sec[-1] == pytest.approx(7199.8)


@pytest.mark.parametrize("name", [n for n in VIDEOS if not n.endswith((".mp4", "h264.mov"))])
def test_the_mp4_shows_what_the_original_shows(made: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    source, path = made(name), tmp_path / "out.mp4"
    how = to_mp4(source, path)
    assert how is (Container.REMUXED if name in REMUXED else Container.TRANSCODED)
    before, after = list(decode_all(source)), list(decode_all(path))
    assert len(after) == len(before)
    shift = before[0].time_sec - after[0].time_sec
    assert [p.time_sec + shift for p in after] == pytest.approx([p.time_sec for p in before], abs=2e-3)
    lasts = before[-1].time_sec - before[0].time_sec + 0.04
    assert probe(path).duration_sec == pytest.approx(lasts, abs=0.09 if not probe(source).has_audio else 0.6)
    if how is Container.REMUXED:
        assert all(np.array_equal(b.image, a.image) for b, a in zip(before, after, strict=True))
        return
    size = after[0].image.shape[:2]
    assert all(0 <= b - a <= 1 for b, a in zip(before[0].image.shape[:2], size, strict=True))
    for b, a in zip(before, after, strict=True):
        if b.image.shape[:2] == before[0].image.shape[:2]:  # else the video changes size
            assert psnr(b.image[: size[0], : size[1]], a.image) > (20 if name.startswith(SUBSAMPLED) else 26)
            assert np.abs((b.image[: size[0], : size[1]].astype(float) - a.image).mean((0, 1))).max() < 2.5


def psnr(one: Image, other: Image) -> float:
    error = float(((one.astype(float) - other) ** 2).mean())
    return 10 * np.log10(255**2 / error) if error else 99.0


@pytest.mark.parametrize(("name", "tag"), [("bt709.mkv", "colorspace"), ("full_range.avi", "color_range")])
def test_a_transcoded_video_says_what_its_colours_mean(
    made: Callable[[str], Path], tmp_path: Path, name: str, tag: str
) -> None:
    assert to_mp4(made(name), tmp_path / "out.mp4") is Container.TRANSCODED
    tags = []
    for path in (made(name), tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            tags.append(int(getattr(next(container.decode(video=0)), tag)))
    assert tags[0] == tags[1]


def test_a_transcoded_video_keeps_the_shape_of_its_pixels(made: Callable[[str], Path], tmp_path: Path) -> None:
    assert to_mp4(made("wide_pixels.mpg"), tmp_path / "out.mp4") is Container.TRANSCODED
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(8, 9)


@pytest.mark.parametrize("name", [n for n in VIDEOS if n.startswith(("late_sound", "early_sound", "sound"))])
def test_sound_stays_with_the_picture(made: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    to_mp4(made(name), tmp_path / "out.mp4")
    begins = []
    for path in (made(name), tmp_path / "out.mp4"):
        first_sound = np.flatnonzero(np.abs(decode_audio(path)) > 0.1)[0] / 16_000
        begins.append(first_sound - next(decode_all(path)).time_sec)
    assert begins[0] == pytest.approx(begins[1], abs=0.002)
    expected = {"late": 0.5, "early": -0.48}.get(name[: name.index("_")], 0) if "_" in name else 0
    assert begins[0] == pytest.approx(expected, abs=0.06)  # a fragmented file has no edit list for the codecs' delay


@pytest.mark.parametrize("name", VIDEOS)
def test_the_sound_of_every_kind_is_heard_or_its_absence_named(made: Callable[[str], Path], name: str) -> None:
    try:
        samples = decode_audio(made(name))
    except NoAudioTrack:
        assert not probe(made(name)).has_audio
    except VideoError as error:
        assert name == "unknown_sound.mkv", error
    else:
        assert 1.0 < len(samples) / 16_000 < 3.0
