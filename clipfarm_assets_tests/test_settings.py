"""Settings: read when used, wrong values named, secrets masked."""

from pathlib import Path

import pytest

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.settings import Settings, load_settings, setting_variable


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(setting_variable(name), raising=False)


def test_a_wrong_value_is_an_error_that_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPFARM_CHUNK_SIZE", "many")
    monkeypatch.setenv("EMBEDDING_PROVIDER", "carrier-pigeon")
    with pytest.raises(ConfigurationError, match=r"CLIPFARM_CHUNK_SIZE.*EMBEDDING_PROVIDER"):
        load_settings()


def test_a_wrong_secret_is_not_repeated_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPFARM_STORE", "ftp://user:hunter2@example.org/x")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "CLIPFARM_STORE" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_api_key_is_masked_wherever_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    settings = load_settings()
    assert "sk-very-secret" not in f"{settings!r} {settings.openai_api_key} {settings.model_dump()}"
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "sk-very-secret"


def test_a_dot_env_file_is_read_from_the_current_folder_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("CLIPFARM_CHUNK_SIZE=7\nCLIPFARM_MAX_TRIES=5\n")
    monkeypatch.setenv("CLIPFARM_MAX_TRIES", "9")
    settings = load_settings()
    assert (settings.chunk_size, settings.max_tries) == (7, 9)


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("file:///data/store", "file:///data/store"),
        ("/data/store", "file:///data/store"),
    ],
)
def test_the_store_is_a_url_or_a_folder(monkeypatch: pytest.MonkeyPatch, value: str, url: str) -> None:
    monkeypatch.setenv("CLIPFARM_STORE", value)
    assert load_settings().store_url == url


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "not empty"),
        ("  ", "not empty"),
        ("file://data/store", "file:///"),
        ("file://", "must be"),
        ("s3:/bucket/prefix", "two slashes"),
        ("file:/data", "two slashes"),
        ("s3://", "must be"),
        ("https://example.org/store", "must be"),
        ("~no-such-user-of-this-machine/x", "home folder"),
    ],
)
@pytest.mark.parametrize("name", ["CLIPFARM_STORE", "CLIPFARM_METADATA"])
def test_a_place_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=rf"{name}: .*{said}"):
        load_settings()


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("file:///x/a%20file.csv", "/x/a file.csv"),
        ("~/file.csv", "/home/ann/file.csv"),
        ("data/file.csv", "data/file.csv"),
        ("s3://bucket/file.csv", "s3://bucket/file.csv"),
    ],
)
def test_the_metadata_is_a_plain_path_or_in_s3(monkeypatch: pytest.MonkeyPatch, value: str, place: str) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("CLIPFARM_METADATA", value)
    assert load_settings().metadata == place


def test_the_store_may_lie_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("CLIPFARM_STORE", "~/a store")
    assert load_settings().store_url == "file:///home/ann/a%20store"


@pytest.mark.parametrize("device", ["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:11"])
def test_a_device_is_named_as_torch_does(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setenv("CLIPFARM_DEVICE", device)
    assert load_settings().device == device


@pytest.mark.parametrize("device", ["gpu", "", "cuda:", "cuda:x", "cpu:0:0", "cpu\n"])
def test_another_device_is_refused(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setenv("CLIPFARM_DEVICE", device)
    with pytest.raises(ConfigurationError, match="CLIPFARM_DEVICE"):
        load_settings()


def test_fusion_strategies_are_made_once_each_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPFARM_FUSION_STRATEGIES", "max_pool,concat,max_pool")
    assert load_settings().fusion_strategies == ("max_pool", "concat")


def test_fusion_strategies_are_given_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPFARM_FUSION_STRATEGIES", "concat, max_pool")
    assert load_settings().fusion_strategies == ("concat", "max_pool")
    monkeypatch.setenv("CLIPFARM_FUSION_STRATEGIES", "concat,blend")
    with pytest.raises(ConfigurationError, match="CLIPFARM_FUSION_STRATEGIES"):
        load_settings()


def test_every_setting_says_what_it_does() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert silent == []
