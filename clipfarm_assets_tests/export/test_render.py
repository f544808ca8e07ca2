"""Exported clips, against a full decode of their source."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clipfarm_assets.errors import UnsupportedMedia, VideoError
from clipfarm_assets.export.render import ExportSettings, render
from clipfarm_assets.export.subtitles import Subtitle
from clipfarm_assets.media.audio import decode_audio
from clipfarm_assets.media.frames import decode_all
from clipfarm_assets.media.probe import probe
from clipfarm_assets_tests.export.staged import FILMS, shoot
from clipfarm_assets_tests.media import kinds, making

QUICK = ExportSettings(preset="ultrafast", crf=23, find_subject=False)
Made = Callable[[str], Path]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("media")
    return lambda name: kinds.make(name, folder)


@pytest.fixture(scope="session")
def numbered(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The file of a kind whose every frame shows its number."""
    folder = tmp_path_factory.mktemp("numbered")

    def make(name: str) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(making, "picture", with_number)
            return kinds.make(name, folder)

    return make


def with_number(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Its bits as bright and dark bands, the lowest on top; a cut of columns keeps them all."""
    rows = np.arange(size[1]) * 7 // size[1]
    bits = (number >> rows) & 1
    return np.broadcast_to((40 + 170 * bits).astype(np.uint8)[:, None, None], (size[1], size[0], 3)).copy()


def number_of(picture: NDArray[Any]) -> int:
    height, width = picture.shape[:2]
    middles = [picture[round((band + 0.5) * height / 7), width // 4 : -width // 4].mean() for band in range(7)]
    return sum(1 << band for band, level in enumerate(middles) if level > 125)


@pytest.mark.parametrize(
    ("name", "start", "end"),
    [
        ("cfr.mp4", 0.52, 1.4), ("b_pyramid.mp4", 1.0, 9.0), ("vfr.mp4", 0.5, 1.6), ("vfr.mkv", 0.501, 1.6),
        ("open_gop.mp4", 0.96, 1.2), ("later_start.mkv", 0.3, 1.0), ("stream.ts", 0.25, 1.3), ("hevc.mp4", 0.7, 1.5),
        ("vp9.webm", 0.81, 1.5), ("ten_bit.mp4", 0.0, 0.5), ("mpeg4.avi", 1.0, 1.7), ("one_frame.mp4", 0.0, 1.0),
    ],
)  # fmt: skip
def test_frames_are_those_of_the_span_each_at_its_time(
    numbered: Made, tmp_path: Path, name: str, start: float, end: float
) -> None:
    source = numbered(name)
    everything = list(decode_all(source))
    assert [number_of(picture.image) for picture in everything] == list(range(len(everything)))
    inside = [picture for picture in everything if start <= picture.time_sec < end]
    result = render(source, start, end, "1:1", tmp_path / "clip.mp4", settings=QUICK)
    shown = list(decode_all(result.path))
    assert [number_of(picture.image) for picture in shown] == [picture.index for picture in inside]
    expected = [0.0] + [picture.time_sec - start for picture in inside[1:]]
    assert [picture.time_sec for picture in shown] == pytest.approx(expected, abs=0.0001)
    assert (result.first_frame_sec, result.last_frame_sec) == (inside[0].time_sec, inside[-1].time_sec)
    assert result.n_frames == len(inside)


def test_what_the_index_says_wrongly_is_decoded_from_the_beginning(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clipfarm_assets.export import span

    def fails(*args: object) -> Any:
        raise span.IndexDisagrees
        yield

    source = made("cfr.mp4")
    good = render(source, 0.5, 1.5, "1:1", tmp_path / "good.mp4", settings=QUICK)
    monkeypatch.setattr(span, "_decoded_from", fails)
    assert render(source, 0.5, 1.5, "1:1", tmp_path / "clip.mp4", settings=QUICK).n_frames == good.n_frames
    assert good.path.read_bytes() == (tmp_path / "clip.mp4").read_bytes()


def test_a_picture_that_is_held_is_there_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "picture", with_number)
    ticks = [0, 40, 80, 3000, 3040, 8000, 8040]
    recipe = making.Recipe("held.mkv", n_frames=7, ticks=ticks, options=making.x264("keyint=20:bframes=0"))
    source = making.make_video(tmp_path, recipe)
    for start, end, numbers, times in [(1.0, 5.0, [2, 3, 4], [0.0, 2.0, 2.04]), (4.0, 6.0, [4], [0.0])]:
        shown = list(decode_all(render(source, start, end, "1:1", tmp_path / "clip.mp4", settings=QUICK).path))
        assert [number_of(picture.image) for picture in shown] == numbers
        assert [picture.time_sec for picture in shown] == pytest.approx(times, abs=0.0001)


@pytest.mark.parametrize(("ratio", "size"), [("9:16", (1080, 1920)), ("1:1", (1080, 1080)), ("16:9", (1920, 1080))])
@pytest.mark.parametrize("name", ["cfr.mp4", "odd.mp4", "rotated_90.mp4", "wide_pixels.mpg"])
def test_clips_have_their_shape_upright_and_without_bars(
    made: Made, tmp_path: Path, name: str, ratio: Any, size: tuple[int, int]
) -> None:
    source = made(name)
    result = render(source, 0.0, 0.2, ratio, tmp_path / "clip.mp4", settings=QUICK)
    info = probe(result.path)
    assert (info.width, info.height, info.rotation, info.pixel_format) == (*size, 0, "yuv420p")
    assert (result.width, result.height) == size
    first = next(decode_all(source)).image
    with av.open(str(source)) as container:
        shape = container.streams.video[0].sample_aspect_ratio or Fraction(1)
    height, width = first.shape[:2]
    seen_width = width * float(shape)
    cut_width, cut_height = min(seen_width, height * size[0] / size[1]), min(height, seen_width * size[1] / size[0])
    left, top = (seen_width - cut_width) / 2 / float(shape), (height - cut_height) / 2
    box = (left, top, left + cut_width / float(shape), top + cut_height)
    expected = np.asarray(Image.fromarray(first).resize((27, 27), Image.Resampling.BILINEAR, box), np.float64)
    shown = next(decode_all(result.path)).image
    own = np.asarray(Image.fromarray(shown).resize((27, 27), Image.Resampling.BOX), np.float64)
    assert np.abs(own - expected).mean() < 9


def flash_and_click(path: Path, rate: int, moments: list[float], seconds: float) -> Path:
    """White pictures with a click at each moment."""
    sound = np.zeros((2, round(seconds * rate)), np.int16)
    for moment in moments:
        at = round(moment * rate)
        sound[:, at : at + rate // 100] = 20_000 * np.sign(np.sin(np.arange(rate // 100)))[None]
    recipe = making.Recipe(path.name, "libx264", 0, (160, 90), options=making.x264("keyint=50:bframes=3"))
    codec = "libvpx" if path.suffix == ".webm" else "libx264"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = *recipe.size, "yuv420p"
        track = making._sound_stream(out, path, rate)
        for number in range(round(seconds * 25)):
            level = 255 if any(moment <= number / 25 < moment + 0.2 for moment in moments) else 0
            image = np.full((90, 160, 3), level, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
        making._encode_sound(out, track, sound, 0)
    return path


@pytest.mark.parametrize(("name", "rate"), [("a.mp4", 44_100), ("a.webm", 48_000), ("a.mkv", 22_050), ("a.ts", 48_000)])
@pytest.mark.parametrize("start", [0.0, 1.013, 9.5])
def test_sound_is_in_sync(tmp_path: Path, name: str, rate: int, start: float) -> None:
    source = flash_and_click(tmp_path / name, rate, [0.4, 2.0, 10.0], 11.0)
    flash, click = flash_and_click_in(source, start)
    result = render(source, start, start + 1.4, "1:1", tmp_path / "clip.mp4", settings=QUICK)
    own_flash, own_click = flash_and_click_in(result.path, 0.0)
    assert own_flash == pytest.approx(flash - start, abs=0.0001)
    assert own_click == pytest.approx(click - start, abs=0.003)
    assert len(decode_audio(result.path, 48_000)) / 48_000 == pytest.approx(1.4, abs=0.05)


def flash_and_click_in(path: Path, start_sec: float) -> tuple[float, float]:
    """When the first of each is, from a moment on."""
    flash = next(p.time_sec for p in decode_all(path) if p.time_sec >= start_sec and p.image.mean() > 128)
    first = round(start_sec * 48_000)
    return flash, (first + int(np.argmax(np.abs(decode_audio(path, 48_000)[first:]) > 0.1))) / 48_000


def test_sound_is_cut_to_the_sample_wherever_the_clip_begins(tmp_path: Path) -> None:
    from clipfarm_assets.export.sound import SoundSpan

    source = flash_and_click(tmp_path / "a.mp4", 44_100, [0.4, 2.0, 10.0], 11.0)
    whole = np.concatenate(list(SoundSpan(source, 0.0, 11.0).pieces()), axis=1)
    for start, end in [(0.01, 0.6), (1.9, 2.3), (9.7003, 11.5)]:
        span = SoundSpan(source, start, end)
        part = np.concatenate(list(span.pieces()), axis=1)
        assert part.shape == (2, span.n_samples) == (2, round((end - start) * 44_100))
        first = round(start * 44_100)
        expected = np.pad(whole, ((0, 0), (0, 44_100)))[:, first : first + part.shape[1]]
        assert np.abs(part - expected).max() < 1e-4


def test_a_video_without_sound_gives_a_clip_without(made: Made, tmp_path: Path) -> None:
    result = render(made("cfr.mp4"), 0.0, 0.2, "1:1", tmp_path / "clip.mp4", settings=QUICK)
    assert not result.has_sound and not probe(result.path).has_audio


def film(path: Path, name: str) -> Path:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for _, frame, _ in shoot(FILMS[name]):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_one_who_walks_through_the_picture_stays_in_the_frame_and_the_camera_is_calm(tmp_path: Path) -> None:
    source = film(tmp_path / "walk.mp4", "walks_across")
    settings = ExportSettings(preset="ultrafast")
    result = render(source, 1.0, 5.0, "9:16", tmp_path / "clip.mp4", settings=settings)
    (shot,) = result.shots
    assert shot.is_found and shot.is_moving
    centres = []
    for picture in decode_all(result.path):
        red, green, blue = (picture.image[::4, ::4, n].astype(int) for n in range(3))
        columns = np.nonzero((red > 180) & (green < 110) & (blue < 110))[1]
        centres.append(columns.mean() / 270 if len(columns) > 500 else np.nan)
    assert np.all(np.abs(np.array(centres) - 0.5) < 0.3)
    camera = [shot.centre(1.0 + n / 25) for n in range(100)]
    assert np.abs(np.diff(camera, 2)).max() < 0.002
    centred = render(source, 1.0, 5.0, "9:16", tmp_path / "clip.mp4", settings=QUICK)
    assert not centred.shots[0].is_found


def test_drawn_subtitles_are_seen_at_their_time_in_the_lower_part(made: Made, tmp_path: Path) -> None:
    subtitles = [
        Subtitle(400, 800, ("Why does nobody", "say это по-русски?")),
        Subtitle(1200, 1500, ("שלום and سلام",)),
    ]
    plain = render(made("cfr.mp4"), 0.0, 0.6, "9:16", tmp_path / "plain.mp4", subtitles=subtitles, settings=QUICK)
    drawn = render(
        made("cfr.mp4"), 0.0, 0.6, "9:16", tmp_path / "drawn.mp4", subtitles=subtitles, burn_in=True, settings=QUICK
    )
    for one, other in zip(decode_all(plain.path), decode_all(drawn.path), strict=True):
        differs = np.abs(one.image.astype(int) - other.image.astype(int)).max(axis=2) > 90
        is_shown = any(s.start_ms <= round(one.time_sec * 1000) < s.end_ms for s in subtitles)
        assert (differs.sum() > 5000) == is_shown
        if is_shown:
            rows, columns = np.nonzero(differs)
            assert rows.min() > 1920 * 0.6 and rows.max() < 1920 * 0.9
            assert columns.min() > 1080 * 0.03 and columns.max() < 1080 * 0.97
            assert abs((columns.min() + columns.max()) / 2 - 540) < 30


def test_letters_that_no_font_has_are_named_and_signs_are_left_out(made: Made, tmp_path: Path) -> None:
    from clipfarm_assets.export.lettering import packaged_font

    def export(text: str) -> str:
        settings = ExportSettings(preset="ultrafast", find_subject=False, font=packaged_font())
        subtitles = [Subtitle(0, 100, (text,))]
        return render(
            made("cfr.mp4"),
            0.0,
            0.1,
            "1:1",
            tmp_path / "clip.mp4",
            subtitles=subtitles,
            burn_in=True,
            settings=settings,
        ).left_out

    assert export("fine 🫠") == "🫠"
    with pytest.raises(VideoError, match="今"):
        export("今天")
    assert not (tmp_path / "clip.mp4.partial").exists()


@pytest.mark.parametrize("transfer", [16, pytest.param(18, marks=pytest.mark.slow)], ids=["PQ", "HLG"])
def test_hdr_becomes_ordinary_colours_in_eight_bits(tmp_path: Path, transfer: int) -> None:
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx265", rate=25, options=making.x265("keyint=5"))
        stream.width, stream.height, stream.pix_fmt = 128, 128, "yuv420p10le"
        codec = stream.codec_context
        codec.color_range, codec.colorspace, codec.color_primaries, codec.color_trc = 1, 9, 9, transfer
        for _ in range(3):
            frame = av.VideoFrame(128, 128, "yuv420p10le")
            for number, plane in enumerate(frame.planes):
                np.frombuffer(plane, np.uint16)[:] = 520 if number == 0 else 512
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    result = render(path, 0.0, 0.12, "1:1", tmp_path / "clip.mp4", settings=QUICK)
    with av.open(str(result.path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.format.name, frame.colorspace, frame.color_trc, frame.color_range) == ("yuv420p", 1, 1, 1)
    grey = next(decode_all(result.path)).image
    assert grey.std() < 3
    assert 90 < grey.mean() < 220


@pytest.mark.parametrize(("start", "end"), [(50.0, 60.0), (2.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (float("nan"), 2.0)])
def test_a_span_without_a_picture_is_an_error_and_no_file(made: Made, tmp_path: Path, start: float, end: float) -> None:
    with pytest.raises(VideoError):
        render(made("cfr.mp4"), start, end, "1:1", tmp_path / "clip.mp4", settings=QUICK)
    assert list(tmp_path.iterdir()) == []


def test_no_media_is_an_error_and_no_file(tmp_path: Path) -> None:
    source = tmp_path / "text.mp4"
    source.write_bytes(b"no video at all")
    with pytest.raises(UnsupportedMedia):
        render(source, 0.0, 1.0, "1:1", tmp_path / "clip.mp4", settings=QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


def test_a_clip_is_no_larger_on_a_machine_of_more_cores(made: Made, tmp_path: Path) -> None:
    sizes = [
        render(made("cfr.mp4"), 0.0, 2.0, "9:16", tmp_path / f"{threads}.mp4", settings=replace(QUICK, threads=threads))
        .path.stat().st_size
        for threads in (1, 8)
    ]  # fmt: skip
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)


def test_progress_never_goes_back_and_ends_at_one(made: Made, tmp_path: Path) -> None:
    told: list[float] = []
    settings = ExportSettings(preset="ultrafast")
    render(made("cfr.mp4"), 0.0, 2.0, "9:16", tmp_path / "clip.mp4", settings=settings, progress=told.append)
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 10 and len(told) == len(set(told))


def test_kill_9_while_rendering_leaves_no_clip_and_the_next_try_makes_it(made: Made, tmp_path: Path) -> None:
    source, out = made("cfr.mp4"), tmp_path / "clip.mp4"
    program = (
        "import sys; from pathlib import Path; from clipfarm_assets.export.render import render\n"
        "def told(share):\n"
        "    print(share, flush=True)\n"
        "    if share > 0.6: sys.stdin.read()\n"
        "render(Path(sys.argv[1]), 0.0, 2.4, '9:16', Path(sys.argv[2]), progress=told)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(source), str(out)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while float(process.stdout.readline()) <= 0.6:
        pass
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert not out.exists()
    render(source, 0.0, 2.4, "9:16", out, settings=QUICK)
    assert probe(out).duration_sec == pytest.approx(2.4, abs=0.05)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
