"""Loudness is what the sound file holds, tenth by tenth."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from clipfarm_assets.clips.loudness import Loudness, read_loudness

RATE = 16_000


def written(path: Path, *levels: float) -> Path:
    """A second of a tone at each of these levels."""
    tone = np.sin(np.arange(RATE) * 0.1)
    soundfile.write(path, np.concatenate([level * tone for level in levels]), RATE, subtype="FLOAT")
    return path


def test_every_tenth_of_a_second_has_its_root_mean_square(tmp_path: Path) -> None:
    found = read_loudness(written(tmp_path / "a.wav", 0.5, 0.0, 0.1))
    assert found.rms.shape == (30,)
    assert found.rms[:10] == pytest.approx(0.5 / np.sqrt(2), rel=0.01) and not found.rms[10:20].any()
    assert found.mean(0, 1000) == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert list(found.silences()) == [(1000, 2000)]


def test_a_long_file_is_read_in_pieces_as_if_in_one(tmp_path: Path) -> None:
    levels = np.random.default_rng(0).uniform(0.1, 0.9, 130)
    found = read_loudness(written(tmp_path / "a.wav", *levels))
    assert found.rms.reshape(130, 10).mean(axis=1) == pytest.approx(levels / np.sqrt(2), rel=0.02)


def test_where_the_sound_does_not_reach_nothing_is_known() -> None:
    assert Loudness(np.ones(10, np.float32)).mean(5_000, 6_000) is None
    silent = Loudness(np.zeros(100, np.float32))
    assert silent.typical == 0 and list(silent.silences()) == []
