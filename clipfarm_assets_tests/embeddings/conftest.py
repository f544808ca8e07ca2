"""The stand-ins for video and audio, the real text model, and items as the graph makes them."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from clipfarm_assets.embeddings.audio import AudioEncoder, load_audio_encoder
from clipfarm_assets.embeddings.text import TextEncoder, load_text_encoder
from clipfarm_assets.embeddings.video import VideoEncoder, load_video_encoder
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.models.catalog import ModelSet, resolve_models
from clipfarm_assets.outcomes import Item
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Identity, Versions

MakeItem = Callable[..., Item]


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder: Path = tmp_path_factory.mktemp("models")
    return Settings(_env_file=None, model_dir=folder, device="cpu", profile="stand-in")


@pytest.fixture(scope="session")
def models(settings: Settings) -> ModelSet:
    return resolve_models(settings, None)


@pytest.fixture(scope="session")
def video_encoder(models: ModelSet, settings: Settings) -> VideoEncoder:
    return load_video_encoder(models.video, settings, None)


@pytest.fixture(scope="session")
def audio_encoder(models: ModelSet, settings: Settings) -> AudioEncoder:
    return load_audio_encoder(models.audio, settings, None)


@pytest.fixture(scope="session")
def text_encoder(models: ModelSet, settings: Settings) -> TextEncoder:
    return load_text_encoder(models.text, settings, None)


@pytest.fixture
def make_item() -> MakeItem:
    """An item of one input; ``key`` None where the stage before left no object."""

    def make(stage: str, key: str | None, status: Status = Status.SUCCESS, **fields: str) -> Item:
        video = Video(video_id=(key or "none").rsplit("/", 1)[-1], url="file:///none.mp4", **fields)
        identity = Identity(stage=stage, video_id=video.video_id, key=key, source_hash="s", versions=Versions("1"),
                            status=status, data_version="d", sha256=None, size=None, etag=None, made_at="")  # fmt: skip
        inputs: Mapping[str, Identity] = {stage: identity}
        return Item(video, inputs, "s")

    return make
