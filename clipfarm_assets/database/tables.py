"""Every table of the database. A change here needs a migration beside it; a test compares the two."""

from datetime import datetime
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import JSON, CheckConstraint, Float, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from clipfarm_assets.database.columns import UtcDateTime, Vector

TASK_STATUSES = ("open", "in_progress", "resolved", "ignored", "merged")
FAILURES = ("none", "non_blocking", "blocking")


class Base(DeclarativeBase):
    """What Alembic compares the migrations with. Constraints have names, so that a migration can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UtcDateTime,
        NDArray[np.float32]: Vector,
        dict[str, Any]: JSON,
        list[str]: JSON,
        float: Float(53),
    }


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """The column holds one of these values."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})", name=column)


class Task(Base):
    """A recurring pattern: the issue to look into.

    Counts, average impact and the two ``seen`` times are derived from the links in the transaction that changes them.
    The priority is computed when it is read.

    Attributes:
        centroid: the mean of its segments' unit vectors; its direction is what distances are measured to.
        merged_into: where its segments went; set exactly where the status is ``merged``.
        recurrence_of: the resolved Task that has come back as this one.
        labelled_by: ``llm:<model>`` or ``local``.
        labelled_count: how many segments it had when it was labelled; it is labelled again at twice that.
        label_error: why the LLM's label is not there, where one was asked for.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        one_of("status", TASK_STATUSES),
        CheckConstraint("(status = 'merged') = (merged_into IS NOT NULL)", name="merged_into"),
        Index(None, "team", "status"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    team: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(String(16), default="open")
    merged_into: Mapped[str | None] = mapped_column(ForeignKey("tasks.id"))
    recurrence_of: Mapped[str | None] = mapped_column(ForeignKey("tasks.id"))
    centroid: Mapped[NDArray[np.float64]] = mapped_column(Vector(double=True))
    segment_count: Mapped[int]
    distinct_user_count: Mapped[int]
    avg_impact: Mapped[float]
    first_seen: Mapped[datetime | None]
    last_seen: Mapped[datetime | None]
    labelled_by: Mapped[str] = mapped_column(Text)
    labelled_count: Mapped[int]
    label_error: Mapped[str | None] = mapped_column(Text)
    actionable: Mapped[bool | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class SegmentFacts:
    """What a Task's counts are derived from and a person looks at, kept beside each segment's place.

    Attributes:
        source: what brought the segment in: the video it was made of, or the import.
        version: hash of all that describes the segment; another one is judged again.
    """

    team: Mapped[str] = mapped_column(Text, primary_key=True)
    segment_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    source: Mapped[str] = mapped_column(Text)
    version: Mapped[str] = mapped_column(String(64))
    video_id: Mapped[str] = mapped_column(Text)
    user_id: Mapped[str] = mapped_column(Text)
    start_sec: Mapped[float]
    end_sec: Mapped[float]
    recorded_at: Mapped[datetime]
    description: Mapped[str] = mapped_column(Text)
    failure: Mapped[str] = mapped_column(String(16))
    confusion: Mapped[bool]
    abandonment: Mapped[bool]
    impact: Mapped[float]


class TaskSegmentLink(SegmentFacts, Base):
    """A segment belongs to a Task; a segment has one Task at a time. ``how``: see ``tasks.model.How``."""

    __tablename__ = "task_segment_links"
    __table_args__ = (
        UniqueConstraint("task_id", "segment_id"),
        one_of("failure", FAILURES),
        Index(None, "team", "source"),
    )

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"))
    distance_to_centroid: Mapped[float]
    how: Mapped[str] = mapped_column(String(16))
    linked_at: Mapped[datetime]


class PooledSegment(SegmentFacts, Base):
    """A segment that belongs to no Task yet; it takes part in the team's next run."""

    __tablename__ = "pooled_segments"
    __table_args__ = (one_of("failure", FAILURES), Index(None, "team", "source"))

    vector: Mapped[NDArray[np.float32]] = mapped_column(Vector)
    pooled_at: Mapped[datetime]


class VideoSegmentClusteringState(Base):
    """How far a team's clustering has come.

    Attributes:
        revision: raised by every change to the team's Tasks and links. A run compares and sets it, so that of two at
            once, or of a run and a person, the later one gives way.
        last_processed_at: the greatest ``recorded_at`` that was ever taken in; shown, it decides nothing.
        last_segment_id: of that segment.
        model: what made the team's vectors; vectors of another are not compared with them.
        counts: of the last run: segments taken in, assigned, clustered, pooled, Tasks made, labelled, …
    """

    __tablename__ = "video_segment_clustering_state"

    team: Mapped[str] = mapped_column(Text, primary_key=True)
    revision: Mapped[int]
    last_processed_at: Mapped[datetime | None]
    last_segment_id: Mapped[str | None] = mapped_column(String(36))
    last_run_at: Mapped[datetime | None]
    model: Mapped[str | None] = mapped_column(Text)
    counts: Mapped[dict[str, Any]]


class SegmentSource(Base):
    """Which version of a video's (or an import's) segments the team's clustering has taken in."""

    __tablename__ = "segment_sources"

    team: Mapped[str] = mapped_column(Text, primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    data_version: Mapped[str] = mapped_column(Text)
    taken_at: Mapped[datetime]


class TaskPair(Base):
    """Two Tasks that a segment could hardly tell apart; the consolidation looks at them."""

    __tablename__ = "task_pairs"
    __table_args__ = (CheckConstraint("first_id < second_id", name="order"),)

    first_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    second_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    team: Mapped[str] = mapped_column(Text)
    noted_at: Mapped[datetime]
