"""The tables of clips: batches, their clips, exports, jobs, and what language models were asked.

As with ``tables``, a change here needs a migration beside it.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from clipfarm_assets.database.tables import Base, one_of

BATCH_STATUSES = ("draft", "processing", "ready", "final", "failed")
CLIP_STATUSES = ("candidate", "edited", "exported")
JOB_STATUSES = ("queued", "running", "done", "failed")
EXPORT_STATUSES = ("queued", "running", "ready", "failed")
JOB_KINDS = ("score_batch", "export_clip")


class ClipBatch(Base):
    """What a person asked to be cut out of a video, and how far that is.

    Attributes:
        config_json: a ``clips.model.BatchConfig``.
        error_message: why it failed; where it is ready, what it has to do without.
        input_version: of what its clips were made of; None before the first time.
        owner: who works on it; set exactly while it is processing.
        lease_until: when the owner counts as dead, unless it says something before.
        tries: how often somebody has begun to work on it since it was last asked for.
        awaits_vector: its clips have no trend yet, since the video had no fused vector when they were scored.
    """

    __tablename__ = "clip_batches"
    __table_args__ = (
        one_of("status", BATCH_STATUSES),
        CheckConstraint("(status = 'processing') = (owner IS NOT NULL)", name="owner"),
        CheckConstraint("(owner IS NULL) = (lease_until IS NULL)", name="lease"),
        Index(None, "video_source_id", "created_at"),
        Index(None, "status"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    video_source_id: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    config_json: Mapped[dict[str, Any]]
    status: Mapped[str] = mapped_column(String(16))
    error_message: Mapped[str | None] = mapped_column(Text)
    input_version: Mapped[str | None] = mapped_column(Text)
    owner: Mapped[str | None] = mapped_column(Text)
    lease_until: Mapped[datetime | None]
    tries: Mapped[int]
    awaits_vector: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Clip(Base):
    """A span of a video, ranked.

    Attributes:
        id: uuid5 of batch and the span as it was found; it stays when a person moves the edges.
        viral_score: 0 to 10 with one decimal; None where it could not be made, with the reason in ``score_parts``.
        score_parts: ``clips.blend.Blended`` as JSON: local and model score, evidence, reasons for what is missing.
        thumbnail_path: store key; None until it is made, and again when a person moves the edges.
    """

    __tablename__ = "clips"
    __table_args__ = (
        one_of("status", CLIP_STATUSES),
        CheckConstraint("0 <= start_time_sec AND start_time_sec < end_time_sec", name="times"),
        CheckConstraint("viral_score IS NULL OR (viral_score >= 0 AND viral_score <= 10)", name="viral_score"),
        Index(None, "clip_batch_id", "viral_score"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    clip_batch_id: Mapped[str] = mapped_column(ForeignKey("clip_batches.id"))
    start_time_sec: Mapped[float]
    end_time_sec: Mapped[float]
    duration_sec: Mapped[float]
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    viral_score: Mapped[float | None]
    grade_hook: Mapped[str | None] = mapped_column(String(2))
    grade_flow: Mapped[str | None] = mapped_column(String(2))
    grade_value: Mapped[str | None] = mapped_column(String(2))
    grade_trend: Mapped[str | None] = mapped_column(String(2))
    score_parts: Mapped[dict[str, Any]]
    language: Mapped[str | None] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16))
    thumbnail_path: Mapped[str | None] = mapped_column(Text)
    transcript_preview: Mapped[str] = mapped_column(Text)
    hashtags: Mapped[list[str]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ClipLlmContext(Base):
    """One question to a language model and what came of it.

    Attributes:
        key: SHA-256 over everything that shapes the call.
        video_source_id: whose transcript stands in it.
        response: the answer as JSON; None where asking again cannot help, with ``error`` saying why.
        cost_usd: None where the model's price is not configured.
    """

    __tablename__ = "clip_llm_contexts"
    __table_args__ = (
        CheckConstraint("(response IS NULL) = (error IS NOT NULL)", name="response"),
        Index(None, "video_source_id"),
    )

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    video_source_id: Mapped[str] = mapped_column(Text)
    model: Mapped[str] = mapped_column(Text)
    prompt_version: Mapped[str] = mapped_column(Text)
    prompt: Mapped[str] = mapped_column(Text)
    response: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    calls: Mapped[int]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cost_usd: Mapped[float | None]
    seconds: Mapped[float]
    created_at: Mapped[datetime]


class Job(Base):
    """Work that somebody asked for and may want to follow.

    Attributes:
        dagster_run_id: as soon as there is one.
        tries: of an export: how often somebody has begun to work on it.
        progress: 0 to 1.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        one_of("kind", JOB_KINDS),
        one_of("status", JOB_STATUSES),
        CheckConstraint("progress >= 0 AND progress <= 1", name="progress"),
        Index(None, "clip_batch_id"),
        Index(None, "clip_id"),
        Index(None, "status"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[str] = mapped_column(String(16))
    clip_batch_id: Mapped[str] = mapped_column(ForeignKey("clip_batches.id"))
    clip_id: Mapped[str | None] = mapped_column(ForeignKey("clips.id"))
    dagster_run_id: Mapped[str | None] = mapped_column(Text)
    tries: Mapped[int]
    progress: Mapped[float]
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ClipExport(Base):
    """A clip as a file.

    Attributes:
        version: hash of everything that shapes the file; the same export is made once.
        video_path, subtitles_path: store keys; None until they are there.
    """

    __tablename__ = "clip_exports"
    __table_args__ = (one_of("status", EXPORT_STATUSES), UniqueConstraint("clip_id", "version"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    clip_id: Mapped[str] = mapped_column(ForeignKey("clips.id"))
    version: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    aspect_ratio: Mapped[str] = mapped_column(String(8))
    subtitles_burned: Mapped[bool]
    start_time_sec: Mapped[float]
    end_time_sec: Mapped[float]
    width: Mapped[int | None]
    height: Mapped[int | None]
    size_bytes: Mapped[int | None]
    sha256: Mapped[str | None] = mapped_column(String(64))
    video_path: Mapped[str | None] = mapped_column(Text)
    subtitles_path: Mapped[str | None] = mapped_column(Text)
    error_message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
