"""Votes, comments, favourites and their counts, corrections, deletions."""

import sqlalchemy as sa
from alembic import op

from clipfarm_assets.database.columns import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "votes",
        *_item(),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("value", sa.Integer(), nullable=False),
        sa.Column("voted_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("value IN (-1, 1)", name="ck_votes_value"),
        sa.PrimaryKeyConstraint("kind", "item_id", "user_id", name="pk_votes"),
    )
    op.create_table(
        "favourites",
        *_item(),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("kept_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "item_id", "user_id", name="pk_favourites"),
    )
    op.create_table(
        "comments",
        sa.Column("id", sa.String(length=36), nullable=False),
        *_item(),
        sa.Column("user_id", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("said_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_comments"),
    )
    op.create_index("ix_comments_kind_item_id", "comments", ["kind", "item_id"])
    op.create_table(
        "item_counts",
        *_item(),
        sa.Column("votes", sa.Integer(), nullable=False),
        sa.Column("comments", sa.Integer(), nullable=False),
        sa.Column("favourites", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "item_id", name="pk_item_counts"),
    )
    op.create_index("ix_item_counts_votes", "item_counts", ["votes"])
    op.create_table(
        "overrides",
        *_item(),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("tags", sa.Text(), nullable=True),
        sa.Column("edited_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "item_id", name="pk_overrides"),
    )
    op.create_table(
        "tombstones",
        *_item(),
        sa.Column("deleted_at", UtcDateTime(), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("kind", "item_id", name="pk_tombstones"),
    )


def _item() -> list[sa.Column[str]]:
    return [
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("item_id", sa.String(length=200), nullable=False),
    ]
