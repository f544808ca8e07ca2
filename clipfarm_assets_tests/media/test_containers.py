from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.audio import decode_audio
from clipfarm_assets.media.containers import Container, to_mp4
from clipfarm_assets.media.frames import decode_all
from clipfarm_assets.media.probe import probe
from clipfarm_assets.media.transcripts import from_subtitle_stream
from clipfarm_assets_tests.media import making


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("cfr.mp4", Container.COPIED),
        ("vp9.mp4", Container.COPIED),
        ("vfr.mkv", Container.REMUXED),
        ("open_gop.mkv", Container.REMUXED),
        ("later_start.mkv", Container.REMUXED),
        ("stream.ts", Container.REMUXED),
        ("vp9.webm", Container.REMUXED),
        ("three_frames.mkv", Container.REMUXED),
        ("vp8.webm", Container.TRANSCODED),
        ("mpeg2.mpg", Container.TRANSCODED),
        ("mpeg4.avi", None),
    ],
)
def test_the_mp4_shows_the_same_frames_at_the_same_times(
    made: Callable[[str], Path], tmp_path: Path, name: str, how: Container | None
) -> None:
    path = tmp_path / "out.mp4"
    result = to_mp4(made(name), path)
    assert how in (None, result)
    before, after = list(decode_all(made(name))), list(decode_all(path))
    assert len(before) == len(after)
    start = before[0].time_sec
    assert [p.time_sec - after[0].time_sec for p in after] == pytest.approx(
        [p.time_sec - start for p in before], abs=2e-3
    )
    tolerance = 0 if result is not Container.TRANSCODED else 8
    assert all(np.abs(b.image.astype(int) - a.image).mean() <= tolerance for a, b in zip(after, before, strict=True))
    assert probe(path).container.startswith("mov,mp4")
    assert list(tmp_path.iterdir()) == [path]


def test_an_mp4_is_copied_to_the_byte(made: Callable[[str], Path], tmp_path: Path) -> None:
    to_mp4(made("cfr.mp4"), tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_bytes() == made("cfr.mp4").read_bytes()


@pytest.mark.parametrize("ending", ["mkv", "webm", "avi"])
def test_the_sound_comes_along(tmp_path: Path, ending: str) -> None:
    codec = {"mkv": "libx264", "webm": "libvpx", "avi": "mpeg2video"}[ending]
    recipe = making.Recipe(f"in.{ending}", codec=codec, n_frames=25)
    source = making.make_video(tmp_path, recipe, making.tone(1.0, 48_000 if ending == "webm" else 44_100))
    to_mp4(source, tmp_path / "out.mp4")
    before, after = decode_audio(source), decode_audio(tmp_path / "out.mp4")
    length = min(len(before), len(after))
    assert length == pytest.approx(16_000, abs=2_500)
    spectrum = [np.abs(np.fft.rfft(sound[2000:14_000])) for sound in (before, after)]
    assert np.corrcoef(*spectrum)[0, 1] > 0.98


def test_a_turned_video_stays_turned(made: Callable[[str], Path], tmp_path: Path, real: Callable[[str], Path]) -> None:
    import av

    source = tmp_path / "in.mkv"
    with av.open(str(real("nasa_13013_rotated.mp4"))) as container, av.open(str(source), "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        for packet in container.demux(stream):
            if packet.size:
                packet.stream = copy
                out.mux(packet)
    assert to_mp4(source, tmp_path / "out.mp4") is Container.REMUXED
    assert next(decode_all(tmp_path / "out.mp4")).image.shape == (480, 270, 3)


def test_subtitles_come_along(tmp_path: Path, real: Callable[[str], Path], ffmpeg: Callable[..., bytes]) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg("-i", real("nasa_13013.mp4"), "-map", "0:0", "-map", "0:2", "-c:v", "copy", "-c:s", "srt", source)
    to_mp4(source, tmp_path / "out.mp4")
    before, after = from_subtitle_stream(source), from_subtitle_stream(tmp_path / "out.mp4")
    assert before is not None
    assert after is not None
    assert after.transcript == before.transcript
    assert [c.start for c in after.cues] == pytest.approx([c.start for c in before.cues], abs=2e-3)


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\0" * 3000])
def test_what_is_no_video_leaves_nothing_behind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.mkv").write_bytes(content)
    with pytest.raises(UnsupportedMedia):
        to_mp4(tmp_path / "in.mkv", tmp_path / "out.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["in.mkv"]
