"""Jobs: work that somebody asked for and may want to follow. One transaction a function that has a database."""

from datetime import datetime
from typing import TypeVar
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from clipfarm_assets.database.clip_tables import Clip, ClipBatch, ClipExport, Job
from clipfarm_assets.database.connect import Database
from clipfarm_assets.errors import ClipMissing

Row = TypeVar("Row")


def get_job(database: Database, job_id: str) -> Job:
    """Raises ClipMissing."""
    with database.read() as session:
        return found(session.get(Job, job_id), "job", job_id)


def video_behind(database: Database, *, batch: str = "", clip: str = "", export: str = "", job: str = "") -> str | None:
    """The video of a batch, clip, export or job, by its id; None where there is no such thing."""
    query = select(ClipBatch.video_source_id)
    if export:
        clip_of_export = select(ClipExport.clip_id).where(ClipExport.id == export).scalar_subquery()
        query = query.join(Clip, Clip.clip_batch_id == ClipBatch.id).where(Clip.id == clip_of_export)
    elif clip:
        query = query.join(Clip, Clip.clip_batch_id == ClipBatch.id).where(Clip.id == clip)
    elif job:
        query = query.join(Job, Job.clip_batch_id == ClipBatch.id).where(Job.id == job)
    else:
        query = query.where(ClipBatch.id == batch)
    with database.read() as session:
        return session.scalar(query)


def create_export_job(database: Database, clip_id: str, now: datetime) -> Job:
    """A job that will export a clip. Raises ClipMissing."""
    with database.write() as session:
        job = new_job("export_clip", existing_clip(session, clip_id).clip_batch_id, clip_id, now)
        session.add(job)
        return job


def follow_job(
    database: Database,
    job_id: str,
    now: datetime,
    status: str | None = None,
    progress: float | None = None,
    dagster_run_id: str | None = None,
    error_message: str | None = None,
) -> Job:
    """Notes how far a job is. One that is done or failed stays so; progress never goes back. Raises ClipMissing."""
    with database.write() as session:
        job = found(session.get(Job, job_id, with_for_update=True), "job", job_id)
        if job.status in ("done", "failed"):
            return job
        if dagster_run_id is not None:
            job.dagster_run_id = dagster_run_id
        if progress is not None:
            job.progress = max(job.progress, min(1.0, progress))
        if status is not None:
            move(job, status, error_message, now)
        job.updated_at = now
        return job


def open_jobs(session: Session, batch_id: str) -> list[Job]:
    """The jobs of a batch's scoring that have not ended, the oldest first."""
    return list(
        session.scalars(
            select(Job)
            .where(Job.clip_batch_id == batch_id, Job.kind == "score_batch", Job.status.in_(("queued", "running")))
            .order_by(Job.created_at)
        )
    )


def move(job: Job, status: str, what: str | None, now: datetime) -> None:
    """Into another status, with the times that go with it."""
    job.status, job.error_message, job.updated_at = status, what, now
    if status != "queued":
        job.started_at = job.started_at or now
    if status in ("done", "failed"):
        job.finished_at = now
    if status == "done":
        job.progress = 1.0


def new_job(kind: str, batch_id: str, clip_id: str | None, now: datetime, job_id: str | None = None) -> Job:
    """A row that waits."""
    return Job(
        id=job_id or str(uuid4()), kind=kind, status="queued", clip_batch_id=batch_id, clip_id=clip_id, tries=0,
        progress=0.0, created_at=now, updated_at=now,
    )  # fmt: skip


def existing_clip(session: Session, clip_id: str) -> Clip:
    """Raises ClipMissing."""
    return found(session.get(Clip, clip_id), "clip", clip_id)


def found(row: Row | None, what: str, row_id: str) -> Row:
    """The row. Raises ClipMissing where there is none."""
    if row is None:
        raise ClipMissing(f"There is no {what} {row_id}.")
    return row
