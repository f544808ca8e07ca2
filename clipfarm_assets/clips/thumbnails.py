"""The picture that stands for a clip: its middle frame, upright, as JPEG.

In: a local video and its clips. Out: JPEG bytes a clip. What can go wrong: ``UnsupportedMedia`` where no picture of the
video decodes.
"""

from pathlib import Path

from sqlalchemy import select

from clipfarm_assets.clips.book import set_thumbnail
from clipfarm_assets.database.clip_tables import Clip
from clipfarm_assets.database.connect import Database
from clipfarm_assets.media.thumbnail import thumbnail
from clipfarm_assets.store.object_store import ObjectStore

MAX_SIDE = 640


def clip_thumbnail(video: Path | str, clip: Clip) -> bytes:
    """The frame on display in the middle of the clip, neither side over 640 pixels.

    Raises:
        UnsupportedMedia: nothing decodes.
    """
    return thumbnail(video, (clip.start_time_sec + clip.end_time_sec) / 2, MAX_SIDE)


def thumbnail_key(batch_id: str, clip: Clip) -> str:
    """Where it lies. The span is part of the name: a clip whose edges are moved has another picture."""
    span = f"{round(clip.start_time_sec * 1000)}-{round(clip.end_time_sec * 1000)}"
    return f"clipfarm/clips/{batch_id}/{clip.id}/{span}.jpg"


def make_thumbnails(database: Database, store: ObjectStore, batch_id: str, video: Path | str) -> int:
    """Makes those that a batch's clips lack; how many. Doing it again makes nothing.

    Raises:
        UnsupportedMedia: nothing decodes.
        StoreError: those already made are kept.
    """
    made = 0
    for clip in without_thumbnail(database, batch_id):
        key = thumbnail_key(batch_id, clip)
        store.put(key, clip_thumbnail(video, clip))
        made += set_thumbnail(database, clip.id, clip.start_time_sec, clip.end_time_sec, key)
    return made


def without_thumbnail(database: Database, batch_id: str) -> list[Clip]:
    """The clips of a batch that lack one, in the order of time."""
    query = select(Clip).where(Clip.clip_batch_id == batch_id, Clip.thumbnail_path.is_(None))
    with database.read() as session:
        return list(session.scalars(query.order_by(Clip.start_time_sec)))
