"""Whatever is in a file, every module gives a result or a named error, and soon."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.errors import VideoError
from clipfarm_assets.media.audio import decode_audio, write_wav
from clipfarm_assets.media.containers import to_mp4
from clipfarm_assets.media.frames import frames_at, sample_frames
from clipfarm_assets.media.probe import probe
from clipfarm_assets.media.thumbnail import thumbnail
from clipfarm_assets.media.transcripts import from_subtitle_stream
from clipfarm_assets_tests.media import making

NAMES = ["open_gop.mp4", "vfr.mkv", "vp8.webm", "mpeg4.avi", "stream.ts", "mpeg2.mpg", "sound.mkv", "sound.ts"]


@pytest.fixture(scope="session")
def with_sound(made: Callable[[str], Path], media_folder: Path) -> Callable[[str], Path]:
    """A recipe's file, or one with pictures and sound."""

    def make(name: str) -> Path:
        if not name.startswith("sound") or (media_folder / name).exists():
            return made(name) if not name.startswith("sound") else media_folder / name
        return making.make_video(media_folder, making.Recipe(name, n_frames=20), making.tone(0.8))

    return make


def attempt_everything(path: Path, folder: Path) -> None:
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
        started = time.monotonic()
        with contextlib.suppress(VideoError):
            act()
        assert time.monotonic() - started < 20
    assert not list(folder.glob("*.partial"))


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_end_in_a_result_or_a_named_error(
    with_sound: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    random = np.random.default_rng(NAMES.index(name))
    whole = np.frombuffer(with_sound(name).read_bytes(), np.uint8)
    for way in ("cut", "sprinkle", "overwrite") * 3:
        data = whole.copy()
        at = int(random.integers(1, len(data)))
        if way == "cut":
            data = data[:at]
        elif way == "sprinkle":
            data[random.integers(0, len(data), 40)] = random.integers(0, 256, 40)
        else:
            data[at : at + 1500] = random.integers(0, 256)
        (tmp_path / name).write_bytes(data.tobytes())
        attempt_everything(tmp_path / name, tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"<html></html>", b"\0" * 4096, b"RIFF\xff\xff\xff\xffWAVEfmt ", b"#EXTM3U\n"]
)
@pytest.mark.parametrize("ending", ["mp4", "webm", "avi", "txt"])
def test_garbage_ends_in_a_named_error(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"file.{ending}"
    path.write_bytes(content)
    attempt_everything(path, tmp_path)
    with pytest.raises(VideoError):
        probe(path)


def test_every_real_recording_ends_in_a_result_or_a_named_error(real: Callable[[str], Path], tmp_path: Path) -> None:
    for path in sorted(real("chaplin.mp4").parent.iterdir()):
        if path.name != "big_buck_bunny_0_30.webm":  # transcoding it takes long; the other tests read it
            attempt_everything(path, tmp_path)
