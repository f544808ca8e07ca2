"""How often an export was begun, and which batches were scored before their video had a fused vector."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("clip_batches", sa.Column("awaits_vector", sa.Boolean(), nullable=False, server_default=sa.false()))
    # why a trend is missing stands in JSON; those that miss it for another reason are looked at once in vain
    op.execute(
        "UPDATE clip_batches SET awaits_vector = true WHERE status = 'ready' AND EXISTS ("
        "SELECT 1 FROM clips WHERE clips.clip_batch_id = clip_batches.id AND clips.grade_trend IS NULL)"
    )
