"""A team's Tasks, links and pool in the database: read as the values that a run works on, written as it decided.

Every function works in the transaction that it is given. A change of Tasks or links takes the team's revision first
(``take_turn``), so of two changes at once the later one fails whole instead of mixing with the other.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.tables import (
    PooledSegment,
    SegmentFacts,
    SegmentSource,
    Task,
    TaskPair,
    TaskSegmentLink,
    VideoSegmentClusteringState,
)
from clipfarm_assets.errors import DatabaseChanged
from clipfarm_assets.segments.model import Failure, Segment
from clipfarm_assets.tasks.model import Link, Merge, TaskState, TaskStatus
from clipfarm_assets.tasks.vectors import Floats, join_means

FACTS = tuple(SegmentFacts.__annotations__)
_IDS_PER_STATEMENT = 500


@dataclass(frozen=True)
class Known:
    """A segment that has a place: in a Task, or in the pool where ``task_id`` is None."""

    segment_id: str
    version: str
    task_id: str | None


@dataclass(frozen=True)
class Book:
    """What a team's run starts from.

    Attributes:
        revision: as it was read; 0 before the first run.
        model: of the team's vectors; None before the first run.
        sources: the data version of every source that was taken in.
        pool: segments without a Task, with their vectors, (n, dim), and their facts as the database has them.
    """

    team: str
    revision: int
    model: str | None
    tasks: tuple[TaskState, ...]
    sources: Mapping[str, str]
    pool: tuple[Segment, ...]
    pool_vectors: Floats
    pool_facts: Mapping[str, dict[str, Any]]


def read_book(session: Session, team: str) -> Book:
    """The team's Tasks of every status, its sources and its pool."""
    state = session.get(VideoSegmentClusteringState, team)
    tasks = session.scalars(select(Task).where(Task.team == team).order_by(Task.id))
    sources = session.scalars(select(SegmentSource).where(SegmentSource.team == team))
    pooled = session.scalars(
        select(PooledSegment).where(PooledSegment.team == team).order_by(PooledSegment.segment_id)
    ).all()
    vectors = np.stack([row.vector for row in pooled]) if pooled else np.zeros((0, 0), np.float32)
    return Book(
        team=team,
        revision=state.revision if state else 0,
        model=state.model if state else None,
        tasks=tuple(task_state(task) for task in tasks),
        sources={source.source: source.data_version for source in sources},
        pool=tuple(segment_of(row) for row in pooled),
        pool_vectors=vectors,
        pool_facts={row.segment_id: {name: getattr(row, name) for name in FACTS} for row in pooled},
    )


def task_state(task: Task) -> TaskState:
    """What a run needs to know of a Task; one whose segments are all gone counts as just created."""
    return TaskState(
        task.id, TaskStatus(task.status), task.centroid, task.segment_count, task.first_seen or task.created_at,
        task.merged_into,
    )  # fmt: skip


def facts_of(segment: Segment, source: str, version: str) -> dict[str, Any]:
    """The columns that a link or a place in the pool keeps of its segment."""
    return {
        "team": segment.team, "segment_id": segment.segment_id, "source": source, "version": version,
        "video_id": segment.video_id, "user_id": segment.user_id, "start_sec": segment.start_sec,
        "end_sec": segment.end_sec, "recorded_at": segment.recorded_at, "description": segment.description,
        "failure": segment.failure.value, "confusion": segment.confusion, "abandonment": segment.abandonment,
        "impact": segment.impact,
    }  # fmt: skip


def segment_of(row: SegmentFacts) -> Segment:
    """The segment that a link or a place in the pool speaks of; who described it stands in the store alone."""
    return Segment(
        team=row.team, video_id=row.video_id, user_id=row.user_id, start_sec=row.start_sec, end_sec=row.end_sec,
        recorded_at=row.recorded_at, description=row.description, failure=Failure(row.failure),
        confusion=row.confusion, abandonment=row.abandonment,
    )  # fmt: skip


def known_segments(session: Session, team: str, source: str) -> Iterator[Known]:
    """The segments of a source that have a place."""
    for row in session.scalars(
        select(TaskSegmentLink).where(TaskSegmentLink.team == team, TaskSegmentLink.source == source)
    ):
        yield Known(row.segment_id, row.version, row.task_id)
    for pooled in session.execute(
        select(PooledSegment.segment_id, PooledSegment.version).where(
            PooledSegment.team == team, PooledSegment.source == source
        )
    ):
        yield Known(pooled.segment_id, pooled.version, None)


def take_turn(session: Session, team: str, revision: int | None = None) -> VideoSegmentClusteringState:
    """Raises the team's revision; first of every transaction that changes Tasks or links, since it takes the lock.

    Raises:
        DatabaseChanged: the revision is not the one that was read (where one is given).
    """
    state = session.get(VideoSegmentClusteringState, team, with_for_update=True)
    if state is None:
        state = VideoSegmentClusteringState(team=team, revision=0, counts={})
        session.add(state)
    if revision is not None and state.revision != revision:
        raise DatabaseChanged(f"The Tasks of team {team} have changed since they were read.")
    state.revision += 1
    try:
        session.flush()
    except IntegrityError as error:
        raise DatabaseChanged(f"Another run has just begun the Tasks of team {team}.") from error
    return state


def drop_segments(session: Session, team: str, segment_ids: Collection[str]) -> set[str]:
    """Takes segments out of their Tasks and out of the pool; returns the Tasks that lost some."""
    touched: set[str] = set()
    for ids in _groups(sorted(segment_ids)):
        theirs = (TaskSegmentLink.team == team, TaskSegmentLink.segment_id.in_(ids))
        touched.update(session.scalars(select(TaskSegmentLink.task_id).where(*theirs).distinct()))
        session.execute(delete(TaskSegmentLink).where(*theirs))
        session.execute(delete(PooledSegment).where(PooledSegment.team == team, PooledSegment.segment_id.in_(ids)))
    return touched


def add_links(session: Session, links: Iterable[Link], facts: Mapping[str, dict[str, Any]], now: datetime) -> None:
    """Files segments under their Tasks; those of the pool leave it."""
    rows = [
        {
            **facts[link.segment_id], "task_id": link.task_id, "distance_to_centroid": link.distance,
            "how": link.how.value, "linked_at": now,
        }
        for link in links
    ]  # fmt: skip
    if rows:
        leave_pool(session, rows[0]["team"], [row["segment_id"] for row in rows])
        session.execute(insert(TaskSegmentLink), rows)


def leave_pool(session: Session, team: str, segment_ids: Sequence[str]) -> None:
    """Takes segments out of the pool."""
    for ids in _groups(segment_ids):
        session.execute(delete(PooledSegment).where(PooledSegment.team == team, PooledSegment.segment_id.in_(ids)))


def merge_tasks(session: Session, merge: Merge, now: datetime) -> None:
    """Moves the links and redirects the Task; the survivor's centroid and counts are the caller's."""
    session.execute(
        update(TaskSegmentLink).where(TaskSegmentLink.task_id == merge.merged).values(task_id=merge.survivor)
    )
    session.execute(
        update(Task)
        .where(Task.id == merge.merged)
        .values(status=TaskStatus.MERGED.value, merged_into=merge.survivor, updated_at=now)
    )
    pairs = (TaskPair.first_id == merge.merged) | (TaskPair.second_id == merge.merged)
    session.execute(delete(TaskPair).where(pairs))


def join_tasks(session: Session, kept: Task, gone: Task, now: datetime) -> None:
    """Merges a Task into another: links and centroid go to ``kept``, the id of ``gone`` stands for it from then on."""
    if gone.segment_count + kept.segment_count:
        kept.centroid = join_means(kept.centroid, kept.segment_count, gone.centroid, gone.segment_count)
    session.flush()
    merge_tasks(session, Merge(gone.id, kept.id), now)
    session.expire(gone)
    count_again(session, {gone.id, kept.id}, now)


def taken_in(session: Session) -> dict[str, dict[str, str]]:
    """The data version of every source that was taken in, by team and source."""
    found: dict[str, dict[str, str]] = {}
    for team, source, version in session.execute(
        select(SegmentSource.team, SegmentSource.source, SegmentSource.data_version)
    ):
        found.setdefault(team, {})[source] = version
    return found


def revisions(session: Session) -> dict[str, int]:
    """The revision of every team that has been clustered."""
    state = VideoSegmentClusteringState
    return {team: revision for team, revision in session.execute(select(state.team, state.revision))}


def held_elsewhere(session: Session, team: str, source: str, segment_ids: Sequence[str]) -> set[str]:
    """Those of the segments that another source of the team has brought in."""
    held: set[str] = set()
    for ids in _groups(segment_ids):
        for table in (TaskSegmentLink, PooledSegment):
            theirs = (table.team == team, table.source != source, table.segment_id.in_(ids))
            held.update(session.scalars(select(table.segment_id).where(*theirs)))
    return held


def count_again(session: Session, task_ids: Collection[str], now: datetime) -> None:
    """Derives counts, impact and times of these Tasks from their links: a user counts once however many segments."""
    links = TaskSegmentLink
    for ids in _groups(sorted(task_ids)):
        found = session.execute(
            select(
                links.task_id,
                func.count().label("segment_count"),
                func.count(links.user_id.distinct()).label("distinct_user_count"),
                func.avg(links.impact).label("avg_impact"),
                func.min(links.recorded_at, type_=links.recorded_at.type).label("first_seen"),
                func.max(links.recorded_at, type_=links.recorded_at.type).label("last_seen"),
            )
            .where(links.task_id.in_(ids))
            .group_by(links.task_id)
        )
        derived = {row.task_id: row._asdict() for row in found}
        for task in session.scalars(select(Task).where(Task.id.in_(ids))):
            row = derived.get(task.id, {})
            task.segment_count = row.get("segment_count", 0)
            task.distinct_user_count = row.get("distinct_user_count", 0)
            task.avg_impact = float(row.get("avg_impact", 0.0))
            task.first_seen, task.last_seen = row.get("first_seen"), row.get("last_seen")
            task.updated_at = now
    session.flush()


def forget_source(session: Session, team: str, source: str, now: datetime) -> int:
    """Takes out all that a video or an import has brought in; returns how many segments. Its Tasks stay."""
    segment_ids = [known.segment_id for known in known_segments(session, team, source)]
    taken = session.get(SegmentSource, (team, source))
    if not segment_ids and taken is None:
        return 0
    take_turn(session, team)
    count_again(session, drop_segments(session, team, segment_ids), now)
    if taken is not None:
        session.delete(taken)
    return len(segment_ids)


def forget_video(database: Database, video_id: str, now: datetime) -> int:
    """Takes a video out of the Tasks and pools of every team, one transaction each; returns how many segments."""
    with database.read() as session:
        teams = session.scalars(select(SegmentSource.team).where(SegmentSource.source == video_id)).all()
    dropped = 0
    for team in teams:
        with database.write() as session:
            dropped += forget_source(session, team, video_id, now)
    return dropped


def _groups(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Databases limit the number of values in one statement."""
    return (values[start : start + _IDS_PER_STATEMENT] for start in range(0, len(values), _IDS_PER_STATEMENT))
