"""Batches of clips, their clips and exports, jobs, and what language models were asked."""

import sqlalchemy as sa
from alembic import op

from clipfarm_assets.database.columns import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "clip_batches",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("video_source_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config_json", sa.JSON(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("input_version", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("(status = 'processing') = (owner IS NOT NULL)", name="ck_clip_batches_owner"),
        sa.CheckConstraint("(owner IS NULL) = (lease_until IS NULL)", name="ck_clip_batches_lease"),
        sa.CheckConstraint(
            "status IN ('draft', 'processing', 'ready', 'final', 'failed')", name="ck_clip_batches_status"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_clip_batches"),
    )
    op.create_index("ix_clip_batches_status", "clip_batches", ["status"])
    op.create_index("ix_clip_batches_video_source_id_created_at", "clip_batches", ["video_source_id", "created_at"])

    op.create_table(
        "clips",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("clip_batch_id", sa.String(length=36), nullable=False),
        sa.Column("start_time_sec", sa.Float(53), nullable=False),
        sa.Column("end_time_sec", sa.Float(53), nullable=False),
        sa.Column("duration_sec", sa.Float(53), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("viral_score", sa.Float(53), nullable=True),
        sa.Column("grade_hook", sa.String(length=2), nullable=True),
        sa.Column("grade_flow", sa.String(length=2), nullable=True),
        sa.Column("grade_value", sa.String(length=2), nullable=True),
        sa.Column("grade_trend", sa.String(length=2), nullable=True),
        sa.Column("score_parts", sa.JSON(), nullable=False),
        sa.Column("language", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("thumbnail_path", sa.Text(), nullable=True),
        sa.Column("transcript_preview", sa.Text(), nullable=False),
        sa.Column("hashtags", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("0 <= start_time_sec AND start_time_sec < end_time_sec", name="ck_clips_times"),
        sa.CheckConstraint("status IN ('candidate', 'edited', 'exported')", name="ck_clips_status"),
        sa.CheckConstraint(
            "viral_score IS NULL OR (viral_score >= 0 AND viral_score <= 10)", name="ck_clips_viral_score"
        ),
        sa.ForeignKeyConstraint(["clip_batch_id"], ["clip_batches.id"], name="fk_clips_clip_batch_id_clip_batches"),
        sa.PrimaryKeyConstraint("id", name="pk_clips"),
    )
    op.create_index("ix_clips_clip_batch_id_viral_score", "clips", ["clip_batch_id", "viral_score"])

    op.create_table(
        "clip_llm_contexts",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("video_source_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("prompt_version", sa.Text(), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("response", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cost_usd", sa.Float(53), nullable=True),
        sa.Column("seconds", sa.Float(53), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("(response IS NULL) = (error IS NOT NULL)", name="ck_clip_llm_contexts_response"),
        sa.PrimaryKeyConstraint("key", name="pk_clip_llm_contexts"),
    )
    op.create_index("ix_clip_llm_contexts_video_source_id", "clip_llm_contexts", ["video_source_id"])

    op.create_table(
        "jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("clip_batch_id", sa.String(length=36), nullable=False),
        sa.Column("clip_id", sa.String(length=36), nullable=True),
        sa.Column("dagster_run_id", sa.Text(), nullable=True),
        sa.Column("progress", sa.Float(53), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.CheckConstraint("status IN ('queued', 'running', 'done', 'failed')", name="ck_jobs_status"),
        sa.CheckConstraint("progress >= 0 AND progress <= 1", name="ck_jobs_progress"),
        sa.CheckConstraint("kind IN ('score_batch', 'export_clip')", name="ck_jobs_kind"),
        sa.ForeignKeyConstraint(["clip_batch_id"], ["clip_batches.id"], name="fk_jobs_clip_batch_id_clip_batches"),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name="fk_jobs_clip_id_clips"),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_clip_batch_id", "jobs", ["clip_batch_id"])
    op.create_index("ix_jobs_clip_id", "jobs", ["clip_id"])
    op.create_index("ix_jobs_status", "jobs", ["status"])

    op.create_table(
        "clip_exports",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("clip_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("aspect_ratio", sa.String(length=8), nullable=False),
        sa.Column("subtitles_burned", sa.Boolean(), nullable=False),
        sa.Column("start_time_sec", sa.Float(53), nullable=False),
        sa.Column("end_time_sec", sa.Float(53), nullable=False),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("size_bytes", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("video_path", sa.Text(), nullable=True),
        sa.Column("subtitles_path", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("status IN ('queued', 'running', 'ready', 'failed')", name="ck_clip_exports_status"),
        sa.ForeignKeyConstraint(["clip_id"], ["clips.id"], name="fk_clip_exports_clip_id_clips"),
        sa.PrimaryKeyConstraint("id", name="pk_clip_exports"),
        sa.UniqueConstraint("clip_id", "version", name="uq_clip_exports_clip_id_version"),
    )
