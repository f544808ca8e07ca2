"""What waits for a worker, who works on what, and the exports' way through it. One transaction a function.

An owner is the id of a Dagster run. One whose run is over without an end loses what it has at once; one of which
nobody knows loses it when it has given no sign for the time of a lease. An export that was begun three times and never
ended is ``failed``, as a batch is; asking again is another job.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from clipfarm_assets.clips.book import LEASE, MAX_TRIES, renew_lease
from clipfarm_assets.clips.jobs import found, move, open_jobs
from clipfarm_assets.clips.model import AspectRatio, BatchConfig
from clipfarm_assets.database.clip_tables import Clip, ClipBatch, ClipExport, Job
from clipfarm_assets.database.connect import Database

_CODE = "1"  # raised by hand when an export of the same clip looks otherwise
_EXPORT = "export_clip"


class Launched(NamedTuple):
    """The Dagster run that will do a job, or why there is none yet; then the job waits for the sensor."""

    run_id: str | None
    why: str | None


@dataclass(frozen=True)
class WaitingExport:
    """An export that somebody asked for and nobody has begun."""

    job_id: str
    clip_id: str
    batch_id: str
    video_id: str


@dataclass(frozen=True)
class ExportPlan:
    """What is to be rendered, as the clip was when its job was taken.

    Attributes:
        is_made: the same export is there from before.
    """

    job_id: str
    run_id: str
    export_id: str
    clip_id: str
    batch_id: str
    video_id: str
    start_sec: float
    end_sec: float
    aspect_ratio: AspectRatio
    subtitles_burned: bool
    version: str
    is_made: bool

    def key(self, ending: str) -> str:
        """Where a file of the export lies; beside the clip's thumbnails."""
        return f"{batch_prefix(self.batch_id)}{self.clip_id}/{self.version[:16]}.{ending}"


@dataclass(frozen=True)
class ExportedFile:
    """What an export has become: store keys, pixels, bytes."""

    video_path: str
    subtitles_path: str | None
    width: int
    height: int
    size_bytes: int
    sha256: str


def batch_prefix(batch_id: str) -> str:
    """What the keys of all files of a batch's clips begin with."""
    return f"clipfarm/clips/{batch_id}/"


def waiting_exports(database: Database, most: int = 100) -> list[WaitingExport]:
    """The oldest first."""
    query = (
        select(Job.id, Job.clip_id, Job.clip_batch_id, ClipBatch.video_source_id)
        .join(ClipBatch, ClipBatch.id == Job.clip_batch_id)
        .where(Job.kind == _EXPORT, Job.status == "queued")
        .order_by(Job.created_at, Job.id)
        .limit(most)
    )
    with database.read() as session:
        return [WaitingExport(job, clip or "", batch, video) for job, clip, batch, video in session.execute(query)]


def waiting_thumbnails(database: Database) -> list[tuple[str, str]]:
    """Batch and video of every ready or final batch with clips that have no thumbnail."""
    query = (
        select(ClipBatch.id, ClipBatch.video_source_id)
        .join(Clip, Clip.clip_batch_id == ClipBatch.id)
        .where(Clip.thumbnail_path.is_(None), ClipBatch.status.in_(("ready", "final")))
        .distinct()
        .order_by(ClipBatch.id)
    )
    with database.read() as session:
        return [(batch_id, video_id) for batch_id, video_id in session.execute(query)]


def owners(database: Database) -> set[str]:
    """The runs that work on a batch or an export by their own account."""
    with database.read() as session:
        of_batches = session.scalars(select(ClipBatch.owner).where(ClipBatch.status == "processing"))
        of_jobs = session.scalars(select(Job.dagster_run_id).where(Job.kind == _EXPORT, Job.status == "running"))
        return {owner for owner in (*of_batches, *of_jobs) if owner}


def release(database: Database, dead: Sequence[str], now: datetime) -> int:
    """Takes from dead owners what they have, so that the next one takes it up; how much that was.

    An export whose last try that was fails.
    """
    with database.read() as session:
        query = select(ClipBatch.id, ClipBatch.owner).where(ClipBatch.owner.in_(dead), ClipBatch.lease_until > now)
        held = [(batch_id, owner) for batch_id, owner in session.execute(query) if owner]
    for batch_id, owner in held:
        renew_lease(database, batch_id, owner, now, lease=timedelta(seconds=-1))
    with database.write() as session:
        silent = Job.updated_at < now - LEASE
        lost = select(Job).where(
            Job.kind == _EXPORT, Job.status == "running", or_(Job.dagster_run_id.in_(dead), silent)
        )
        jobs = list(session.scalars(lost.with_for_update()))
        for job in jobs:
            if job.tries < MAX_TRIES:
                _wait_again(session, job, "The worker died; the next one does it again.", now)
            else:
                what = f"The worker died {job.tries} times while it made this export."
                _of_export(session, job, "failed", what, now)
                move(job, "failed", what, now)
    return len(held) + len(jobs)


def note_run(database: Database, batch_id: str, run_id: str, now: datetime) -> None:
    """Says in the jobs of a batch which run makes it."""
    with database.write() as session:
        for job in open_jobs(session, batch_id):
            job.dagster_run_id, job.updated_at = run_id, now


def note_launch(database: Database, job_id: str, launched: Launched, now: datetime) -> Job:
    """Says in a job that waits which run will do it, or why there is none yet. Raises ClipMissing."""
    with database.write() as session:
        job = found(session.get(Job, job_id, with_for_update=True), "job", job_id)
        if job.status == "queued":
            job.dagster_run_id, job.error_message, job.updated_at = launched.run_id, launched.why, now
        return job


def say_why_it_waits(database: Database, batch_id: str, why: str, now: datetime) -> None:
    """Says in the jobs of a draft what it waits for."""
    with database.write() as session:
        for job in open_jobs(session, batch_id):
            if job.status == "queued" and job.error_message != why:
                job.error_message, job.updated_at = why, now


def take_export(database: Database, job_id: str, run_id: str, video_version: str, now: datetime) -> ExportPlan | None:
    """Begins an export; None where somebody else has, or the clip is gone.

    Args:
        video_version: changes when the video, its transcript or its scenes do.
    """
    with database.write() as session:
        job = _job(session, job_id)
        if job is None or job.status != "queued" or job.clip_id is None:
            return None
        batch = session.get_one(ClipBatch, job.clip_batch_id)
        clip, config = session.get_one(Clip, job.clip_id), BatchConfig.model_validate(batch.config_json)
        version = _version(clip, config, video_version)
        export = session.scalars(
            select(ClipExport).where(ClipExport.clip_id == clip.id, ClipExport.version == version)
        ).one_or_none()
        if export is None:
            export = ClipExport(
                id=str(uuid5(NAMESPACE_URL, f"clipfarm:export:{clip.id}:{version}")), clip_id=clip.id, version=version,
                aspect_ratio=config.aspect_ratio.value, subtitles_burned=config.subtitle_enabled,
                start_time_sec=clip.start_time_sec, end_time_sec=clip.end_time_sec, created_at=now,
            )  # fmt: skip
            session.add(export)
        is_made = export.status == "ready"
        if not is_made:
            export.status, export.error_message = "running", None
        export.updated_at = now
        job.dagster_run_id = run_id
        job.tries += 1
        move(job, "running", None, now)
        return ExportPlan(
            job.id, run_id, export.id, clip.id, batch.id, batch.video_source_id, clip.start_time_sec,
            clip.end_time_sec, config.aspect_ratio, config.subtitle_enabled, version, is_made,
        )  # fmt: skip


def finish_export(database: Database, plan: ExportPlan, made: ExportedFile | None, now: datetime) -> None:
    """The export is there, and the clip ``exported`` unless its edges have been moved meanwhile.

    Args:
        made: None where the export was there from before.
    """
    with database.write() as session:
        session.get(ClipBatch, plan.batch_id, with_for_update=True)
        job, clip = _job(session, plan.job_id), session.get(Clip, plan.clip_id)
        export = session.get(ClipExport, plan.export_id)
        if job is None or clip is None or export is None or job.dagster_run_id != plan.run_id:
            return  # removed, or somebody else's by now
        if made is not None:
            export.video_path, export.subtitles_path = made.video_path, made.subtitles_path
            export.width, export.height = made.width, made.height
            export.size_bytes, export.sha256 = made.size_bytes, made.sha256
        export.status, export.error_message, export.updated_at = "ready", None, now
        if (clip.start_time_sec, clip.end_time_sec) == (plan.start_sec, plan.end_sec):
            clip.status, clip.updated_at = "exported", now
        move(job, "done", None, now)


def fail_export(database: Database, plan: ExportPlan, what: str, now: datetime) -> None:
    """The export cannot be made; another job may ask for it again."""
    with database.write() as session:
        job, export = _job(session, plan.job_id), session.get(ClipExport, plan.export_id)
        if export is not None and export.status == "running":
            export.status, export.error_message, export.updated_at = "failed", what, now
        if job is not None and job.dagster_run_id == plan.run_id:
            move(job, "failed", what, now)


def give_back_export(database: Database, plan: ExportPlan, what: str, now: datetime) -> None:
    """The platform fails, through no fault of the clip: the job waits again, without the try counted."""
    with database.write() as session:
        job = _job(session, plan.job_id)
        if job is not None and (job.status, job.dagster_run_id) == ("running", plan.run_id):
            job.tries -= 1
            _wait_again(session, job, what, now)


def fail_waiting_export(database: Database, job_id: str, what: str, now: datetime) -> None:
    """The export cannot even begin."""
    with database.write() as session:
        job = _job(session, job_id)
        if job is not None and job.status == "queued":
            move(job, "failed", what, now)


def list_exports(database: Database, clip_id: str) -> list[ClipExport]:
    """Of a clip, the newest first."""
    query = select(ClipExport).where(ClipExport.clip_id == clip_id)
    with database.read() as session:
        return list(session.scalars(query.order_by(ClipExport.updated_at.desc(), ClipExport.id)))


def get_export(database: Database, export_id: str) -> ClipExport:
    """Raises ClipMissing."""
    with database.read() as session:
        return found(session.get(ClipExport, export_id), "export", export_id)


def export_of_job(database: Database, job: Job) -> ClipExport | None:
    """The newest export of the job's clip that the job has had a hand in; None where there is none yet."""
    if job.kind != _EXPORT or job.clip_id is None or job.started_at is None:
        return None
    return next(iter(list_exports(database, job.clip_id)), None)


def count_batches(database: Database, video_id: str) -> int:
    """How many batches a video has."""
    with database.read() as session:
        query = select(func.count()).select_from(ClipBatch).where(ClipBatch.video_source_id == video_id)
        return session.scalar(query) or 0


def count_clips(database: Database, batch_id: str) -> int:
    """How many clips a batch has."""
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Clip).where(Clip.clip_batch_id == batch_id)) or 0


def batch_ids(database: Database, video_id: str) -> list[str]:
    """Of all batches of a video."""
    with database.read() as session:
        return list(session.scalars(select(ClipBatch.id).where(ClipBatch.video_source_id == video_id)))


def _job(session: Session, job_id: str) -> Job | None:
    """Locked, after its batch."""
    job = session.get(Job, job_id)
    if job is not None:
        session.get(ClipBatch, job.clip_batch_id, with_for_update=True)
        session.refresh(job, with_for_update=True)
    return job


def _wait_again(session: Session, job: Job, what: str, now: datetime) -> None:
    _of_export(session, job, "queued", None, now)
    move(job, "queued", what, now)


def _of_export(session: Session, job: Job, status: str, what: str | None, now: datetime) -> None:
    """What becomes of the file that a job which does not end was working on."""
    begun = select(ClipExport).where(ClipExport.clip_id == job.clip_id, ClipExport.status == "running")
    for export in session.scalars(begun.with_for_update()):
        export.status, export.error_message, export.updated_at = status, what, now


def _version(clip: Clip, config: BatchConfig, video_version: str) -> str:
    shape = [_CODE, video_version, clip.start_time_sec, clip.end_time_sec, config.aspect_ratio, config.subtitle_enabled]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()
