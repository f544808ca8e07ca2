import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.media.frames import sample_frames
from clipfarm_assets.media.thumbnail import thumbnail


def test_the_thumbnail_is_the_middle_frame(made: Callable[[str], Path]) -> None:
    picture = Image.open(io.BytesIO(thumbnail(made("cfr.mp4"))))
    middle = sample_frames(made("cfr.mp4"), 60).images[30]
    assert picture.format == "JPEG"
    assert np.abs(np.asarray(picture).astype(int) - middle.astype(int)).mean() < 6


def test_the_thumbnail_of_a_rotated_video_stands_upright_and_fits(real: Callable[[str], Path]) -> None:
    picture = Image.open(io.BytesIO(thumbnail(real("nasa_13013_rotated.mp4"), at_sec=0.2, max_side=160)))
    assert picture.size == (90, 160)


def test_no_video_no_thumbnail(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"<html>")
    with pytest.raises(UnsupportedMedia):
        thumbnail(tmp_path / "a.mp4")
