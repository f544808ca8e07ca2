from collections.abc import Callable
from pathlib import Path

import pytest

from clipfarm_assets.errors import MissingRawObject, UnsupportedMedia
from clipfarm_assets.media.probe import probe
from clipfarm_assets_tests.media import making


@pytest.mark.parametrize("recipe", making.RECIPES, ids=lambda r: r.name)
def test_every_kind_of_video_is_described(made: Callable[[str], Path], recipe: making.Recipe) -> None:
    info = probe(made(recipe.name))
    assert (info.width, info.height) == recipe.size
    assert info.rotation == 0
    assert info.n_frames in (None, recipe.n_frames)
    assert info.duration_sec == pytest.approx(_duration(recipe), abs=0.2 + recipe.start_ms / 1000)
    assert info.variable_frame_rate is (None if recipe.n_frames < 3 else recipe.ticks is not None)
    assert not info.has_audio
    assert info.pixel_format == recipe.pix_fmt


def _duration(recipe: making.Recipe) -> float:
    return recipe.ticks[-1] / 1000 if recipe.ticks is not None else recipe.n_frames / 25


def test_real_recordings_are_described(real: Callable[[str], Path]) -> None:
    rotated = probe(real("nasa_13013_rotated.mp4"))
    assert (rotated.width, rotated.height, rotated.rotation, rotated.n_frames) == (270, 480, 270, 17)
    nasa = probe(real("nasa_13013.mp4"))
    assert (nasa.video_codec, nasa.audio_codec, nasa.audio_sample_rate) == ("h264", "aac", 8000)
    assert nasa.has_subtitles
    assert not nasa.variable_frame_rate


def test_a_duration_that_the_container_lacks_comes_from_its_packets(real: Callable[[str], Path]) -> None:
    assert probe(real("no_duration.webm")).duration_sec == pytest.approx(4.94, abs=0.05)


def test_a_file_with_sound_alone_is_unsupported(tmp_path: Path) -> None:
    path = making.make_sound(tmp_path / "sound.flac", making.tone(0.5))
    with pytest.raises(UnsupportedMedia, match="no video stream"):
        probe(path)


def test_cover_art_is_no_video(tmp_path: Path, ffmpeg: Callable[..., bytes]) -> None:
    sound = making.make_sound(tmp_path / "sound.mp3", making.tone(0.5))
    ffmpeg("-f", "lavfi", "-i", "color=s=32x32:d=0.1", "-frames:v", 1, tmp_path / "cover.jpg")
    path = tmp_path / "cover.mp3"
    ffmpeg("-i", sound, "-i", tmp_path / "cover.jpg", "-map", 0, "-map", 1, "-c", "copy",
           "-disposition:v", "attached_pic", path)  # fmt: skip
    with pytest.raises(UnsupportedMedia, match="no video stream"):
        probe(path)


def test_a_file_cut_off_before_its_index_is_unsupported(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(made("cfr.mp4").read_bytes()[:400])
    with pytest.raises(UnsupportedMedia) as raised:
        probe(path)
    assert "not readable media" in str(raised.value)
    assert str(tmp_path) not in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"word " * 900, b"#EXTM3U\n#EXTINF:1\nfile.ts\n"])
@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a.m3u8", "a:b%03d.mp4"])
def test_what_is_no_media_is_unsupported(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnsupportedMedia):
        probe(path)


def test_a_playlist_saved_as_a_video_opens_no_other_file(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text(f"ffconcat version 1.0\nfile '{made('cfr.mp4')}'\n")
    with pytest.raises(UnsupportedMedia):
        probe(path)


def test_names_with_colons_and_percents_are_just_names(made: Callable[[str], Path], tmp_path: Path) -> None:
    path = tmp_path / "concat:%03d ü.mp4"
    path.write_bytes(made("cfr.mp4").read_bytes())
    assert probe(path).n_frames == 60


def test_a_missing_file_is_a_missing_raw_object(tmp_path: Path) -> None:
    with pytest.raises(MissingRawObject):
        probe(tmp_path / "none.mp4")
