import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from clipfarm_assets_tests.media import kinds

REAL_FILES = (
    "big_buck_bunny_0_30.webm",
    "chaplin.mp4",
    "jfk.flac",
    "nasa_13013.mp4",
    "nasa_13013_rotated.mp4",
    "no_duration.webm",
    "video_with_failing_audio.mp4",
)


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(scope="session")
def made(media_folder: Path) -> Callable[[str], Path]:
    """The file of a kind by name, made once."""
    return lambda name: kinds.make(name, media_folder)


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """A real recording by name."""

    def find(name: str) -> Path:
        folder = os.environ.get("CLIPFARM_TEST_MEDIA")
        if not folder or not (Path(folder) / name).is_file():
            pytest.skip("CLIPFARM_TEST_MEDIA does not name a folder that holds the real recordings")
        return Path(folder) / name

    return find


@pytest.fixture(scope="session")
def ffmpeg() -> Callable[..., bytes]:
    """Run the ffmpeg command line, the reference of some tests; its standard output."""
    program = shutil.which("ffmpeg")

    def run(*arguments: object) -> bytes:
        if program is None:
            pytest.skip("no ffmpeg command line to compare with")
        done = subprocess.run(
            [program, "-v", "error", "-nostdin", "-y", *map(str, arguments)],
            capture_output=True,
            check=True,
            timeout=60,
        )
        return done.stdout

    return run
