"""Batches and clips in the database: every function here is one transaction, and safe to call again.

A batch is ``draft`` until somebody takes it, ``processing`` while its owner's lease lasts, then ``ready`` or
``failed``. An owner that dies loses the batch when the lease is over, and the next one does it again; one that has
been taken three times without an end is ``failed``. A person sets ``final``, after which nothing changes any more.

Every change of a batch or its clips locks the batch's row first, so a person and a worker never mix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from sqlalchemy import and_, delete, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clipfarm_assets.clips.jobs import existing_clip, found, move, new_job, open_jobs
from clipfarm_assets.clips.model import BatchConfig
from clipfarm_assets.clips.titles import MAX_TITLE
from clipfarm_assets.database.clip_tables import Clip, ClipBatch, ClipExport, ClipLlmContext, Job
from clipfarm_assets.database.connect import Database
from clipfarm_assets.errors import ClipError, DatabaseChanged

LEASE = timedelta(minutes=15)
MAX_TRIES = 3
DEFAULT = "default"
_MAX_DESCRIPTION = 5_000


@dataclass(frozen=True)
class Edit:
    """What a person changes of a clip; None leaves as it is."""

    title: str | None = None
    description: str | None = None
    start_sec: float | None = None
    end_sec: float | None = None
    hashtags: tuple[str, ...] | None = None


def default_batch_id(video_id: str) -> str:
    """Of the one batch that every new video gets."""
    return str(uuid5(NAMESPACE_URL, f"clipfarm:default-batch:{video_id}"))


def create_batch(
    database: Database,
    video_id: str,
    config: BatchConfig,
    now: datetime,
    name: str = DEFAULT,
    batch_id: str | None = None,
) -> tuple[ClipBatch, Job]:
    """A draft, and the job that will score it. The same id again gives the batch and the job that are there.

    Raises:
        ClipError: there is a batch of this id that asks for something else.
    """
    batch_id = batch_id or str(uuid4())
    batch = ClipBatch(
        id=batch_id, video_source_id=video_id, name=name, config_json=config.model_dump(mode="json"), status="draft",
        tries=0, awaits_vector=False, created_at=now, updated_at=now,
    )  # fmt: skip
    job = new_job("score_batch", batch_id, None, now, str(uuid5(NAMESPACE_URL, f"clipfarm:first-job:{batch_id}")))
    try:
        with database.write() as session:
            session.add(batch)
            session.flush()
            session.add(job)
        return batch, job
    except IntegrityError:
        pass  # read in a transaction of its own: the one above is over
    with database.read() as session:
        known = session.get_one(ClipBatch, batch_id)
        if (known.video_source_id, known.config_json) != (video_id, batch.config_json):
            raise ClipError(f"There is a batch {batch_id} already, of another video or another configuration.")
        return known, session.get_one(Job, job.id)


def due_batches(database: Database, now: datetime, most: int = 100) -> list[ClipBatch]:
    """Those that somebody should take: drafts, and those whose owner is dead; the oldest first."""
    query = select(ClipBatch).where(_can_be_taken(now)).order_by(ClipBatch.created_at, ClipBatch.id).limit(most)
    with database.read() as session:
        return list(session.scalars(query))


def take_batch(
    database: Database, batch_id: str, owner: str, now: datetime, lease: timedelta = LEASE
) -> ClipBatch | None:
    """Takes a batch to work on; None where somebody else has it, or it wants no work.

    One that was taken three times without coming to an end fails here.
    """
    with database.write() as session:
        batch = session.scalars(select(ClipBatch).where(ClipBatch.id == batch_id, _can_be_taken(now)).with_for_update())
        taken = batch.one_or_none()
        if taken is None:
            return None
        if taken.tries >= MAX_TRIES:
            what = f"The worker died {MAX_TRIES} times while it made these clips."
            _end(session, taken, "failed", what, now)
            return None
        taken.status, taken.owner, taken.lease_until = "processing", owner, now + lease
        taken.tries += 1
        taken.updated_at = now
        for job in open_jobs(session, batch_id):
            job.status, job.started_at, job.updated_at = "running", job.started_at or now, now
        return taken


def renew_lease(database: Database, batch_id: str, owner: str, now: datetime, lease: timedelta = LEASE) -> None:
    """The owner is alive. Raises DatabaseChanged where the batch is no longer its own."""
    with database.write() as session:
        _owned(session, batch_id, owner).lease_until = now + lease


def give_back(database: Database, batch_id: str, owner: str, what: str, now: datetime) -> None:
    """The owner cannot do it now, through no fault of the batch: a draft again, without the try counted."""
    with database.write() as session:
        batch = _owned(session, batch_id, owner)
        batch.status, batch.owner, batch.lease_until = "draft", None, None
        batch.tries, batch.error_message, batch.updated_at = batch.tries - 1, what, now
        for job in open_jobs(session, batch_id):
            job.status, job.error_message, job.updated_at = "queued", what, now


def finish_batch(
    database: Database,
    batch_id: str,
    owner: str,
    clips: Sequence[Clip],
    now: datetime,
    error_message: str | None = None,
    input_version: str | None = None,
    awaits_vector: bool = False,
) -> None:
    """Writes the batch's clips and says that it is ready.

    Of clips that were there before, those that a person edited, or that were exported or are in a job, stay as they
    are; a new one that covers more than half of such a clip, or is covered so by it, is left out. Other earlier clips
    are updated under their ids, or removed where they were not found again.

    Args:
        error_message: what the clips have to do without.
        awaits_vector: their trend is to be judged when the video has a fused vector.

    Raises:
        DatabaseChanged: the batch is no longer the owner's; nothing was written.
    """
    with database.write() as session:
        batch = _owned(session, batch_id, owner)
        before = {clip.id: clip for clip in session.scalars(select(Clip).where(Clip.clip_batch_id == batch_id))}
        kept = kept_clips(session, before)
        for clip in clips:
            if clip.id in kept or any(_same_span(clip, other) for other in kept.values()):
                continue
            if (earlier := before.pop(clip.id, None)) is not None:
                clip.created_at = earlier.created_at
                clip.thumbnail_path = earlier.thumbnail_path  # of the same span of the same video
            session.merge(clip)
        gone = [clip_id for clip_id in before if clip_id not in kept]
        session.flush()
        session.execute(delete(Clip).where(Clip.id.in_(gone)))
        batch.input_version, batch.awaits_vector = input_version, awaits_vector
        _end(session, batch, "ready", error_message, now)


def fail_batch(database: Database, batch_id: str, owner: str, what: str, now: datetime) -> None:
    """The batch cannot be made; ``reopen_batch`` asks for it again. Raises DatabaseChanged as ``finish_batch``."""
    with database.write() as session:
        _end(session, _owned(session, batch_id, owner), "failed", what, now)


def reopen_batch(database: Database, batch_id: str, now: datetime) -> tuple[ClipBatch, Job]:
    """Asks for the clips of a batch once more: a draft with a new job. One that waits already is left as it is.

    Raises:
        ClipMissing: there is no such batch.
        ClipError: it is final.
    """
    with database.write() as session:
        batch = _changeable(session, batch_id)
        waiting = batch.status in ("draft", "processing")
        if waiting and (following := open_jobs(session, batch_id)):
            return batch, following[0]
        if not waiting:
            batch.status, batch.error_message, batch.tries, batch.updated_at = "draft", None, 0, now
        job = new_job("score_batch", batch_id, None, now)
        session.add(job)
        return batch, job


def set_final(database: Database, batch_id: str, now: datetime) -> ClipBatch:
    """A person is done with a batch. Raises ClipMissing, or ClipError where it is not ready."""
    with database.write() as session:
        batch = _locked(session, batch_id)
        if batch.status not in ("ready", "final"):
            raise ClipError(f"The batch is {batch.status}; only one that is ready can be made final.")
        batch.status, batch.updated_at = "final", now
        return batch


def edit_clip(
    database: Database, clip_id: str, edit: Edit, now: datetime, video_duration_sec: float | None = None
) -> Clip:
    """What a person changes. A changed title or time makes the clip ``edited``; a moved edge wants a new thumbnail.

    Raises:
        ClipMissing: there is no such clip.
        ClipError: its batch is final, or the values cannot be.
    """
    with database.write() as session:
        clip = existing_clip(session, clip_id)
        _changeable(session, clip.clip_batch_id)
        session.refresh(clip)  # as it is since the batch is locked
        start = clip.start_time_sec if edit.start_sec is None else edit.start_sec
        end = clip.end_time_sec if edit.end_sec is None else edit.end_sec
        if not 0 <= start < end <= (float("inf") if video_duration_sec is None else video_duration_sec):
            raise ClipError(f"A clip from {start:g} to {end:g} s does not lie in the video.")
        title = clip.title if edit.title is None else " ".join(edit.title.split())
        if not 0 < len(title) <= MAX_TITLE:
            raise ClipError(f"A title has 1 to {MAX_TITLE} characters; this one has {len(title)}.")
        if edit.description is not None and len(edit.description) > _MAX_DESCRIPTION:
            raise ClipError(f"A description has at most {_MAX_DESCRIPTION} characters.")
        moved = (start, end) != (clip.start_time_sec, clip.end_time_sec)
        if moved or title != clip.title:
            clip.status = "edited"
        if moved:
            clip.start_time_sec, clip.end_time_sec, clip.duration_sec = start, end, round(end - start, 3)
            clip.thumbnail_path = None
        clip.title = title
        clip.description = clip.description if edit.description is None else edit.description
        clip.hashtags = clip.hashtags if edit.hashtags is None else list(edit.hashtags)
        clip.updated_at = now
        return clip


def set_thumbnail(database: Database, clip_id: str, start_sec: float, end_sec: float, key: str) -> bool:
    """Notes where the thumbnail of this span lies; False where the clip has gone or moved meanwhile."""
    with database.write() as session:
        clip = session.get(Clip, clip_id, with_for_update=True)
        if clip is None or (clip.start_time_sec, clip.end_time_sec) != (start_sec, end_sec):
            return False
        clip.thumbnail_path = key
        return True


def get_batch(database: Database, batch_id: str) -> ClipBatch:
    """Raises ClipMissing."""
    with database.read() as session:
        return found(session.get(ClipBatch, batch_id), "batch", batch_id)


def get_clip(database: Database, clip_id: str) -> Clip:
    """Raises ClipMissing."""
    with database.read() as session:
        return existing_clip(session, clip_id)


def list_batches(database: Database, video_id: str, most: int = 100, skip: int = 0) -> list[ClipBatch]:
    """A video's batches, the newest first."""
    query = select(ClipBatch).where(ClipBatch.video_source_id == video_id)
    query = query.order_by(ClipBatch.created_at.desc(), ClipBatch.id).limit(most).offset(skip)
    with database.read() as session:
        return list(session.scalars(query))


def list_clips(database: Database, batch_id: str, most: int = 1000, skip: int = 0) -> list[Clip]:
    """A batch's clips by score, the best first, those without a score last. Raises ClipMissing."""
    query = select(Clip).where(Clip.clip_batch_id == batch_id)
    query = query.order_by(Clip.viral_score.desc().nulls_last(), Clip.start_time_sec, Clip.id).limit(most).offset(skip)
    with database.read() as session:
        found(session.get(ClipBatch, batch_id), "batch", batch_id)
        return list(session.scalars(query))


def forget_video(database: Database, video_id: str) -> int:
    """Removes all that is known of a video's clips, prompts with its transcript too; how many batches there were."""
    with database.write() as session:
        batch_ids = list(session.scalars(select(ClipBatch.id).where(ClipBatch.video_source_id == video_id)))
        clip_ids = select(Clip.id).where(Clip.clip_batch_id.in_(batch_ids))
        session.execute(delete(Job).where(Job.clip_batch_id.in_(batch_ids)))
        session.execute(delete(ClipExport).where(ClipExport.clip_id.in_(clip_ids)))
        session.execute(delete(Clip).where(Clip.clip_batch_id.in_(batch_ids)))
        session.execute(delete(ClipBatch).where(ClipBatch.id.in_(batch_ids)))
        session.execute(delete(ClipLlmContext).where(ClipLlmContext.video_source_id == video_id))
        return len(batch_ids)


def _can_be_taken(now: datetime) -> Any:
    dead = and_(ClipBatch.status == "processing", ClipBatch.lease_until < now)
    return or_(ClipBatch.status == "draft", dead)


def _locked(session: Session, batch_id: str) -> ClipBatch:
    return found(session.get(ClipBatch, batch_id, with_for_update=True), "batch", batch_id)


def _changeable(session: Session, batch_id: str) -> ClipBatch:
    batch = _locked(session, batch_id)
    if batch.status == "final":
        raise ClipError("The batch is final; nothing in it changes any more.")
    return batch


def _owned(session: Session, batch_id: str, owner: str) -> ClipBatch:
    batch = _locked(session, batch_id)
    if batch.status != "processing" or batch.owner != owner:
        raise DatabaseChanged(f"The batch {batch_id} is {batch.status}, and no longer worked on by {owner}.")
    return batch


def _end(session: Session, batch: ClipBatch, status: str, what: str | None, now: datetime) -> None:
    batch.status, batch.owner, batch.lease_until = status, None, None
    batch.error_message, batch.updated_at = what, now
    if status == "ready":
        batch.tries = 0
    for job in open_jobs(session, batch.id):
        move(job, "failed" if status == "failed" else "done", what, now)


def kept_clips(session: Session, before: dict[str, Clip]) -> dict[str, Clip]:
    """The clips that a person or an export holds on to."""
    ids = list(before)
    held = set(session.scalars(select(ClipExport.clip_id).where(ClipExport.clip_id.in_(ids))))
    held |= {each for each in session.scalars(select(Job.clip_id).where(Job.clip_id.in_(ids))) if each}
    return {clip_id: clip for clip_id, clip in before.items() if clip.status != "candidate" or clip_id in held}


def _same_span(one: Clip, other: Clip) -> bool:
    both = min(one.end_time_sec, other.end_time_sec) - max(one.start_time_sec, other.start_time_sec)
    return both > 0.5 * min(one.duration_sec, other.duration_sec)
