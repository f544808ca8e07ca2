"""A clip's thumbnail is its middle frame, upright."""

import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clipfarm_assets.clips import book
from clipfarm_assets.clips.book import Edit
from clipfarm_assets.clips.model import BatchConfig
from clipfarm_assets.clips.thumbnails import make_thumbnails
from clipfarm_assets.database.connect import Database
from clipfarm_assets.media.frames import decode_all
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.clips.test_book import clip
from clipfarm_assets_tests.clips.videos import SAMPLES

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def by_full_decode(video: Path, at_sec: float) -> Image.Image:
    """The last picture that is shown by then, from decoding all of them."""
    before = [picture for picture in decode_all(video) if picture.time_sec <= at_sec + 1e-6]
    return Image.fromarray(before[-1].image)


@pytest.mark.parametrize("name", ["game-fail", "app-login-confusion", "podcast-pricing"])
def test_it_shows_what_a_full_decode_shows(quick_database: Database, local_store: ObjectStore, name: str) -> None:
    """One is stored on its side, one has a changing frame rate."""
    video = SAMPLES / f"{name}.mp4"
    book.create_batch(quick_database, name, BatchConfig(), NOW, batch_id="b1")
    book.take_batch(quick_database, "b1", "w", NOW)
    book.finish_batch(quick_database, "b1", "w", [clip("b1", 0, 5), clip("b1", 5, 16)], NOW)
    assert make_thumbnails(quick_database, local_store, "b1", video) == 2
    for each in book.list_clips(quick_database, "b1"):
        content = local_store.get(each.thumbnail_path or "")
        assert content is not None
        picture = Image.open(io.BytesIO(content))
        expected = by_full_decode(video, (each.start_time_sec + each.end_time_sec) / 2)
        assert picture.format == "JPEG" and picture.size == expected.size
        assert np.abs(np.asarray(picture).astype(int) - np.asarray(expected).astype(int)).mean() < 4
    assert make_thumbnails(quick_database, local_store, "b1", video) == 0


def test_a_clip_whose_edges_were_moved_gets_another(quick_database: Database, local_store: ObjectStore) -> None:
    video = SAMPLES / "podcast-pricing.mp4"
    book.create_batch(quick_database, "v", BatchConfig(), NOW, batch_id="b1")
    book.take_batch(quick_database, "b1", "w", NOW)
    book.finish_batch(quick_database, "b1", "w", [clip("b1", 0, 20), clip("b1", 20, 40)], NOW)
    make_thumbnails(quick_database, local_store, "b1", video)
    first, second = (each.thumbnail_path for each in book.list_clips(quick_database, "b1"))
    book.edit_clip(quick_database, book.list_clips(quick_database, "b1")[0].id, Edit(end_sec=10.0), NOW)
    assert make_thumbnails(quick_database, local_store, "b1", video) == 1
    moved, same = (each.thumbnail_path for each in book.list_clips(quick_database, "b1"))
    assert moved != first and same == second
