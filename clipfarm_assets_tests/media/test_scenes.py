"""Scenes of the sample videos, whose cuts their script knows, and of files of many kinds."""

import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media import frames as frames_module
from clipfarm_assets.media.frames import decode_all, frames_at
from clipfarm_assets.media.scenes import _MOST_PICTURES, Scene, _Pictures, detect_scenes
from clipfarm_assets_tests.media import kinds, making

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
TRUTH = {name: truth for name, truth in json.loads((SAMPLES / "truth.json").read_text())["videos"].items()}
SHORT = [name for name, truth in TRUTH.items() if truth["decodable"] and truth["duration_sec"] < 60]


def assert_covers(scenes: list[Scene], start_sec: float, end_sec: float) -> None:
    assert [scene.index for scene in scenes] == list(range(len(scenes)))
    assert scenes[0].start_sec == pytest.approx(start_sec, abs=0.001)
    assert scenes[-1].end_sec == pytest.approx(end_sec, abs=0.05)
    for scene, after in itertools.pairwise(scenes):
        assert scene.start_sec < scene.end_sec == after.start_sec


@pytest.mark.parametrize("name", SHORT)
def test_the_cuts_of_the_samples_are_found_at_their_frame_and_no_others(name: str) -> None:
    truth = TRUTH[name]
    scenes = detect_scenes(SAMPLES / truth["file"], None)
    assert [scene.start_sec for scene in scenes[1:]] == pytest.approx([cut["sec"] for cut in truth["cuts"]], abs=0.001)
    assert_covers(scenes, 0.0, truth["duration_sec"])


@pytest.mark.parametrize(
    "name",
    ["cfr.mp4", "vfr.mp4", "vfr.mkv", "later_start.mkv", "ten_bit.mp4", "odd.mp4", "mpeg4.avi", "vp9.webm"],
)
def test_a_video_without_a_cut_is_one_scene(made: Callable[[str], Path], name: str) -> None:
    path = made(name)
    pictures = list(decode_all(path))
    scenes = detect_scenes(path, None)
    assert len(scenes) == 1
    assert_covers(scenes, pictures[0].time_sec, pictures[-1].time_sec + 0.04)


def test_one_frame_is_one_scene_of_some_length(made: Callable[[str], Path]) -> None:
    (scene,) = detect_scenes(made("one_frame.mp4"), None)
    assert scene.end_sec > scene.start_sec
    assert scene.score_change == 0
    assert Image.open(io.BytesIO(scene.thumbnail)).size == (96, 64)


def test_a_damaged_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "page.mp4"
    path.write_text("<html>not a video</html>")
    with pytest.raises(UnsupportedMedia):
        detect_scenes(path, None)


def test_the_picture_of_a_scene_is_its_middle_frame_upright(real: Callable[[str], Path]) -> None:
    path = real("nasa_13013_rotated.mp4")
    for scene in detect_scenes(path, None):
        middle = frames_at(path, [(scene.start_sec + scene.end_sec) / 2]).images[0]
        shown = Image.open(io.BytesIO(scene.thumbnail))
        assert shown.size[0] / shown.size[1] == pytest.approx(middle.shape[1] / middle.shape[0], rel=0.02)
        wanted = Image.fromarray(middle).resize(shown.size, Image.Resampling.BOX)
        difference = np.abs(np.asarray(shown, dtype=int) - np.asarray(wanted, dtype=int)).mean()
        assert difference < 12  # a neighbouring frame at most: the same picture turned or mirrored is far off
        flipped = np.asarray(wanted, dtype=int)[::-1]
        assert np.abs(np.asarray(shown, dtype=int) - flipped).mean() > 2 * difference


def test_loudness_is_each_scenes_own(tmp_path: Path) -> None:
    """Two shots of two seconds; the sound of the second is half as loud."""
    video, sound = tmp_path / "two.mp4", tmp_path / "two.wav"
    with av.open(str(video), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(100):
            image = np.full((64, 96, 3), (20, 20, 20) if number < 50 else (230, 60, 60), dtype=np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    tone = making.tone(4, rate=16_000, channels=1)[0].astype(np.float32) / 32768
    tone[32_000:] /= 2
    soundfile.write(sound, tone, 16_000, subtype="FLOAT")
    first, second = detect_scenes(video, sound)
    assert second.start_sec == 2.0
    assert first.score_energy == pytest.approx(2 * (second.score_energy or 0), rel=0.01)
    assert detect_scenes(video, None)[0].score_energy is None


def test_a_video_is_decoded_once_for_its_scenes_and_their_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    whole = frames_module.decode_sequentially
    monkeypatch.setattr(
        "clipfarm_assets.media.scenes.decode_sequentially", lambda path: passes.append(path) or whole(path)
    )
    assert len(detect_scenes(SAMPLES / TRUTH["game-ace"]["file"], None)) == 4
    assert len(passes) == 1


@given(st.integers(1, 3000), st.floats(0, 1))
def test_pictures_are_few_and_near_any_time_of_a_long_scene(count: int, place: float) -> None:
    kept = _Pictures()
    for number in range(count):
        kept.add(float(number), np.full((2, 2, 3), number % 256, dtype=np.uint8))
    assert len(kept.kept) <= _MOST_PICTURES
    wanted = place * (count - 1)
    assert min(abs(time - wanted) for time, _ in kept.kept) <= max(1, 2 * count / _MOST_PICTURES)


@pytest.mark.parametrize("name", ["resizing.ts", "resizing.webm"])
def test_a_resolution_that_changes_half_way_breaks_nothing(tmp_path: Path, name: str) -> None:
    scenes = detect_scenes(kinds.make(name, tmp_path), None)
    assert scenes[0].start_sec < scenes[-1].end_sec
