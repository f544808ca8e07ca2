"""Every test here has a model folder and caches of its own, and a hub that refuses unless the test brings one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfarm_assets.models import load, places
from clipfarm_assets.settings import Settings


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    import huggingface_hub.constants

    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)  # read once, from whoever imported it first
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CLIPFARM_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    load._loaded.clear()
    places.forget_hub_answers()
    yield
    places.forget_hub_answers()
    load._loaded.clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(_env_file=None, model_dir=tmp_path / "models", device="cpu", hub_timeout_sec=1.0)
