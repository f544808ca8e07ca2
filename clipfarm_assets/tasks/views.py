"""Tasks as people and tables show them: by priority at a moment, with the parts of the score and the segments."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from clipfarm_assets.database.tables import PooledSegment, Task, TaskPair, TaskSegmentLink
from clipfarm_assets.tasks.model import TaskStatus
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.priority import Priority, priority

LIVE = (TaskStatus.OPEN, TaskStatus.IN_PROGRESS)

_TEXT, _TIME = pa.string(), pa.timestamp("us", "UTC")
TASKS_SCHEMA = pa.schema(
    [
        *((name, _TEXT) for name in ("task_id", "team", "title", "description", "status")),
        *((name, _TEXT) for name in ("merged_into", "recurrence_of")),
        *((name, pa.int64()) for name in ("segment_count", "distinct_user_count")),
        ("avg_impact", pa.float64()),
        *((name, _TIME) for name in ("first_seen", "last_seen")),
        *((name, pa.float64()) for name in ("priority", "users_part", "impact_part", "recency_part")),
        ("priority_formula", _TEXT),
        ("priority_at", _TIME),
        ("labelled_by", _TEXT),
        ("label_error", _TEXT),
        ("actionable", pa.bool_()),
        *((name, _TIME) for name in ("created_at", "updated_at")),
        ("centroid", pa.list_(pa.float32())),
    ]
)
CLUSTERS_SCHEMA = pa.schema(
    [
        *((name, _TEXT) for name in ("team", "segment_id", "task_id", "source", "video_id", "user_id")),
        *((name, pa.float64()) for name in ("start_sec", "end_sec")),
        ("recorded_at", _TIME),
        ("description", _TEXT),
        ("failure", _TEXT),
        *((name, pa.bool_()) for name in ("confusion", "abandonment")),
        *((name, pa.float64()) for name in ("impact", "distance_to_centroid")),
        ("how", _TEXT),
        ("linked_at", _TIME),
    ]
)


@dataclass(frozen=True)
class Ranked:
    """A Task with its priority; None for one without segments."""

    task: Task
    priority: Priority | None

    @property
    def order(self) -> tuple[float, str]:
        return (-self.priority.score if self.priority else 1.0), self.task.id


def ranked(
    session: Session,
    now: datetime,
    parameters: ClusteringParameters,
    *,
    team: str | None = None,
    statuses: Collection[TaskStatus] = LIVE,
) -> list[Ranked]:
    """The Tasks of a team, or of all, with these statuses: most urgent first."""
    query = select(Task).where(Task.status.in_([status.value for status in statuses]))
    if team is not None:
        query = query.where(Task.team == team)
    return sorted((rank(task, now, parameters) for task in session.scalars(query)), key=lambda found: found.order)


def rank(task: Task, now: datetime, parameters: ClusteringParameters) -> Ranked:
    """A Task with its priority at a moment."""
    if task.last_seen is None:
        return Ranked(task, None)
    score = priority(
        task.distinct_user_count, task.avg_impact, task.last_seen, now,
        half_life_days=parameters.recency_half_life_days, formula=parameters.priority_formula,
    )  # fmt: skip
    return Ranked(task, score)


def links_of(session: Session, task_id: str, limit: int | None = None) -> list[TaskSegmentLink]:
    """The segments of a Task, nearest to its centroid first."""
    query = (
        select(TaskSegmentLink)
        .where(TaskSegmentLink.task_id == task_id)
        .order_by(TaskSegmentLink.distance_to_centroid, TaskSegmentLink.segment_id)
        .limit(limit)
    )
    return list(session.scalars(query))


def waiting_segments(session: Session) -> int:
    """How many segments of all teams belong to no Task yet."""
    return session.scalar(select(func.count()).select_from(PooledSegment)) or 0


def neighbours_of(session: Session, task_id: str) -> list[Task]:
    """Tasks that a segment could hardly tell from this one: candidates for a merge by hand."""
    pairs = session.scalars(select(TaskPair).where((TaskPair.first_id == task_id) | (TaskPair.second_id == task_id)))
    others = [pair.second_id if pair.first_id == task_id else pair.first_id for pair in pairs]
    return list(session.scalars(select(Task).where(Task.id.in_(others)).order_by(Task.id)))


def tasks_table(session: Session, team: str, now: datetime, parameters: ClusteringParameters) -> pa.Table:
    """Every Task of a team, whatever its status, with its priority at ``now``; columns are ``TASKS_SCHEMA``."""
    rows = []
    for found in ranked(session, now, parameters, team=team, statuses=tuple(TaskStatus)):
        task, score = found.task, found.priority
        row = {name: getattr(task, name, None) for name in TASKS_SCHEMA.names}
        parts = {"users_part": score.users, "impact_part": score.impact, "recency_part": score.recency} if score else {}
        own = {"task_id": task.id, "priority": score.score if score else None, "priority_at": now}
        formula = {"priority_formula": parameters.priority_formula}
        rows.append({**row, **parts, **own, **formula, "centroid": task.centroid.tolist()})
    return pa.Table.from_pylist(rows, schema=TASKS_SCHEMA)


def clusters_table(session: Session, team: str) -> pa.Table:
    """Every linked segment of a team and its Task; columns are ``CLUSTERS_SCHEMA``."""
    links = session.scalars(
        select(TaskSegmentLink)
        .where(TaskSegmentLink.team == team)
        .order_by(TaskSegmentLink.task_id, TaskSegmentLink.segment_id)
    )
    rows = [{name: getattr(link, name) for name in CLUSTERS_SCHEMA.names} for link in links]
    return pa.Table.from_pylist(rows, schema=CLUSTERS_SCHEMA)
