"""What is shared by the embeddings of picture and sound; their own tests say the rest, each with its model."""

import time
from collections.abc import Sequence

import numpy as np

from clipfarm_assets.embeddings.batches import Embedder, Ready, embed_each
from clipfarm_assets.embeddings.vectors import Vector
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.outcomes import Item
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.embeddings.conftest import MakeItem

INFER_SEC = 1.0


def read(item: Item) -> Ready[str] | Made:
    name = item.video.video_id
    return Made(None, Status.NO_AUDIO_TRACK) if name == "silent" else Ready(name, {"name": name})


def infer(names: Sequence[str]) -> list[Vector]:
    time.sleep(INFER_SEC)
    return [np.full(4, len(name), np.float32) for name in names]


def prepare() -> Embedder[str]:
    return Embedder(read, infer)


def test_a_batchs_seconds_are_shared_by_the_videos_that_the_model_has_seen(
    settings: Settings, models: ModelSet, local_store: ObjectStore, make_item: MakeItem
) -> None:
    items = [make_item("raw_audio", name) for name in ("a", "silent", "bb")]
    found = embed_each(items, prepare, ref=models.audio, settings=settings, store=local_store, in_batches=True)
    results = {item.video.video_id: made for item, made in found}
    seconds = {name: made.seconds or 0.0 for name, made in results.items()}
    assert seconds["silent"] < INFER_SEC / 2 <= min(seconds["a"], seconds["bb"])
    details = {name: dict(made.details) for name, made in results.items() if isinstance(made, Made)}
    assert details == {
        "a": {"embedding_dim": 4, "name": "a"}, "silent": {}, "bb": {"embedding_dim": 4, "name": "bb"}
    }  # fmt: skip
