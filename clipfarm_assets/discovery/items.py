"""Videos and clips as documents, with what persons have written in place of their source's words."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from clipfarm_assets.database.clip_tables import Clip, ClipBatch
from clipfarm_assets.database.discovery import Written, overrides
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.search.documents import Document, Kind, of_video, overridden
from clipfarm_assets.store.object_store import ObjectStore

ENRICHED = "clipfarm/enriched/{video_id}.json"
_AT_ONCE = 400


def row_document(video: Video) -> Document:
    """The document of a metadata row; without a date of publication, that of the first capture, which never moves."""
    first = video.first_captured_at or video.captured_at
    return of_video(replace(video, captured_at=first))


def to_json(document: Document) -> bytes:
    """As it is kept in the store: all but the views, which change with every snapshot."""
    fields = asdict(document) | {"created_at": document.created_at and document.created_at.isoformat()}
    fields.pop("views")
    return json.dumps(fields, ensure_ascii=False, sort_keys=True).encode("utf-8", "replace")


def from_json(content: bytes, views: int = 0) -> Document:
    """The document that ``to_json`` has written."""
    fields = json.loads(content)
    created = fields.pop("created_at")
    moment = datetime.fromisoformat(created) if created else None
    return Document(**fields | {"tags": tuple(fields["tags"])}, created_at=moment, views=views)


def source_document(store: ObjectStore, video: Video) -> Document:
    """What enrichment made of the row; the row itself where that is still to come."""
    content = store.get(ENRICHED.format(video_id=video.video_id))
    return from_json(content, video.view_count or 0) if content else row_document(video)


def written_of(session: Session, kind: Kind = "video") -> dict[str, Written]:
    """What persons have written, by the item's id."""
    return {item_id: written for _, item_id, written in overrides(session, kind)}


def edited(document: Document, written: Mapping[str, Written]) -> Document:
    """The document as a person wants it."""
    own = written.get(document.id)
    return document if own is None else overridden(document, own.title, own.description, own.tags)


def clip_documents(
    session: Session, videos: Mapping[str, Document], clip_ids: Collection[str] | None = None
) -> Iterator[Document]:
    """The documents of clips; ``videos`` are those of their videos, whose game and people a clip shares.

    A clip whose video is not among them is left out.
    """
    for clip, video_id in _clips(session, clip_ids):
        video = videos.get(video_id)
        if video is not None:
            yield Document(
                kind="clip", id=clip.id, title=clip.title, description=clip.description, tags=tuple(clip.hashtags),
                game_id=video.game_id, game=video.game, broadcaster_id=video.broadcaster_id,
                broadcaster=video.broadcaster, creator_id=video.creator_id, creator=video.creator,
                language=clip.language or video.language, created_at=clip.created_at.astimezone(UTC),
            )  # fmt: skip


def videos_of_clips(session: Session, clip_ids: Collection[str]) -> dict[str, str]:
    """Each clip's video, of the clips that are there."""
    return {clip.id: video_id for clip, video_id in _clips(session, clip_ids)}


def clips_of_video(session: Session, video_id: str) -> list[str]:
    """The ids of a video's clips in all its batches."""
    query = select(Clip.id).join(ClipBatch, Clip.clip_batch_id == ClipBatch.id)
    return list(session.scalars(query.where(ClipBatch.video_source_id == video_id).order_by(Clip.id)))


def _clips(session: Session, clip_ids: Collection[str] | None) -> Iterator[tuple[Clip, str]]:
    query = select(Clip, ClipBatch.video_source_id).join(ClipBatch, Clip.clip_batch_id == ClipBatch.id)
    query = query.order_by(Clip.id)
    for some in [None] if clip_ids is None else _groups(sorted(clip_ids)):
        yield from session.execute(query if some is None else query.where(Clip.id.in_(some))).tuples()


def _groups(ids: list[str]) -> Iterable[list[str]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
