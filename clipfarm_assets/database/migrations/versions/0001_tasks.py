"""Tasks, their segments, and how far the clustering of each team has come."""

import sqlalchemy as sa
from alembic import op

from clipfarm_assets.database.columns import UtcDateTime, Vector

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "pooled_segments",
        sa.Column("vector", Vector(), nullable=False),
        sa.Column("pooled_at", UtcDateTime(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("segment_id", sa.String(length=36), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("video_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("start_sec", sa.Float(53), nullable=False),
        sa.Column("end_sec", sa.Float(53), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("failure", sa.String(length=16), nullable=False),
        sa.Column("confusion", sa.Boolean(), nullable=False),
        sa.Column("abandonment", sa.Boolean(), nullable=False),
        sa.Column("impact", sa.Float(53), nullable=False),
        sa.CheckConstraint("failure IN ('none', 'non_blocking', 'blocking')", name="ck_pooled_segments_failure"),
        sa.PrimaryKeyConstraint("team", "segment_id", name="pk_pooled_segments"),
    )
    op.create_index("ix_pooled_segments_team_source", "pooled_segments", ["team", "source"])

    op.create_table(
        "segment_sources",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("data_version", sa.Text(), nullable=False),
        sa.Column("taken_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("team", "source", name="pk_segment_sources"),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("merged_into", sa.String(length=36), nullable=True),
        sa.Column("recurrence_of", sa.String(length=36), nullable=True),
        sa.Column("centroid", Vector(double=True), nullable=False),
        sa.Column("segment_count", sa.Integer(), nullable=False),
        sa.Column("distinct_user_count", sa.Integer(), nullable=False),
        sa.Column("avg_impact", sa.Float(53), nullable=False),
        sa.Column("first_seen", UtcDateTime(), nullable=True),
        sa.Column("last_seen", UtcDateTime(), nullable=True),
        sa.Column("labelled_by", sa.Text(), nullable=False),
        sa.Column("labelled_count", sa.Integer(), nullable=False),
        sa.Column("label_error", sa.Text(), nullable=True),
        sa.Column("actionable", sa.Boolean(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("(status = 'merged') = (merged_into IS NOT NULL)", name="ck_tasks_merged_into"),
        sa.CheckConstraint(
            "status IN ('open', 'in_progress', 'resolved', 'ignored', 'merged')", name="ck_tasks_status"
        ),
        sa.ForeignKeyConstraint(["merged_into"], ["tasks.id"], name="fk_tasks_merged_into_tasks"),
        sa.ForeignKeyConstraint(["recurrence_of"], ["tasks.id"], name="fk_tasks_recurrence_of_tasks"),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
    )
    op.create_index("ix_tasks_team_status", "tasks", ["team", "status"])

    op.create_table(
        "video_segment_clustering_state",
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("last_processed_at", UtcDateTime(), nullable=True),
        sa.Column("last_segment_id", sa.String(length=36), nullable=True),
        sa.Column("last_run_at", UtcDateTime(), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("team", name="pk_video_segment_clustering_state"),
    )
    op.create_table(
        "task_pairs",
        sa.Column("first_id", sa.String(length=36), nullable=False),
        sa.Column("second_id", sa.String(length=36), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("noted_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("first_id < second_id", name="ck_task_pairs_order"),
        sa.ForeignKeyConstraint(["first_id"], ["tasks.id"], name="fk_task_pairs_first_id_tasks"),
        sa.ForeignKeyConstraint(["second_id"], ["tasks.id"], name="fk_task_pairs_second_id_tasks"),
        sa.PrimaryKeyConstraint("first_id", "second_id", name="pk_task_pairs"),
    )
    op.create_table(
        "task_segment_links",
        sa.Column("task_id", sa.String(length=36), nullable=False),
        sa.Column("distance_to_centroid", sa.Float(53), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("linked_at", UtcDateTime(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("segment_id", sa.String(length=36), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("video_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("start_sec", sa.Float(53), nullable=False),
        sa.Column("end_sec", sa.Float(53), nullable=False),
        sa.Column("recorded_at", UtcDateTime(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("failure", sa.String(length=16), nullable=False),
        sa.Column("confusion", sa.Boolean(), nullable=False),
        sa.Column("abandonment", sa.Boolean(), nullable=False),
        sa.Column("impact", sa.Float(53), nullable=False),
        sa.CheckConstraint("failure IN ('none', 'non_blocking', 'blocking')", name="ck_task_segment_links_failure"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks.id"], name="fk_task_segment_links_task_id_tasks"),
        sa.PrimaryKeyConstraint("team", "segment_id", name="pk_task_segment_links"),
        sa.UniqueConstraint("task_id", "segment_id", name="uq_task_segment_links_task_id_segment_id"),
    )
    op.create_index("ix_task_segment_links_team_source", "task_segment_links", ["team", "source"])
