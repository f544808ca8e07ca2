"""Whatever is in a file, every module gives a result or a named error, and soon."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.errors import VideoError
from clipfarm_assets.media.probe import probe
from clipfarm_assets_tests.media import kinds
from clipfarm_assets_tests.media.fuzzing import attempt_everything, damaged, in_own_processes

SMALL = [n for n in kinds.KINDS if not n.startswith(("cut", "two_hours", "empty", "all_key"))]


@pytest.mark.parametrize("part", range(8))
def test_damaged_files_of_every_kind_end_in_a_result_or_a_named_error(
    made: Callable[[str], Path], tmp_path: Path, part: int
) -> None:
    files = [tmp_path / name for name in SMALL[part::8]]
    for file in files:
        random = np.random.default_rng([7, *file.name.encode()])
        file.write_bytes(damaged(made(file.name).read_bytes(), random))
    faults = {file.name: ending.fault for file, ending in zip(files, in_own_processes(files), strict=True)}
    assert not {name: fault for name, fault in faults.items() if fault}


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
