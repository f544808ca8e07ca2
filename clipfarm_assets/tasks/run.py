"""One run of a team's clustering: what is new is read, decided on, and written in one transaction.

A source is a video's segments or an import, with a data version. The run reads the sources whose version it has not
taken in yet, and of these the segments that have no place or another description than the one that was judged. Nothing
is decided by time, so late and equal timestamps cannot be lost; the watermark is kept for people to look at.

A crash leaves the database as it was. The same sources again change nothing.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.tables import PooledSegment, SegmentSource, Task, TaskPair
from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.segments.model import Segment
from clipfarm_assets.tasks.book import (
    Book,
    Known,
    add_links,
    count_again,
    drop_segments,
    facts_of,
    held_elsewhere,
    known_segments,
    merge_tasks,
    read_book,
    take_turn,
)
from clipfarm_assets.tasks.labelling import LOCAL, label_locally
from clipfarm_assets.tasks.model import Plan, SegmentBatch, TaskState, TaskStatus
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.plan import plan_run
from clipfarm_assets.tasks.vectors import Floats, Means, mean


@dataclass(frozen=True)
class Source:
    """A video's segments, or an import. ``data_version`` changes with the segments or their vectors."""

    name: str
    data_version: str


@dataclass(frozen=True, eq=False)
class Described:
    """The segments of a source with their vectors, float (n, dim), row by row, and the model that made these."""

    segments: Sequence[Segment]
    vectors: Floats
    model: str


@dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes:
        sources: that were taken in; none where nothing had changed.
        new: segments that had no place, or were described anew.
        elsewhere: segments that another source had brought in already: the same span of the same video stays with it.
        by_how: links by why they are there.
    """

    team: str
    sources: int = 0
    new: int = 0
    elsewhere: int = 0
    dropped: int = 0
    tasks_opened: int = 0
    tasks_recurred: int = 0
    tasks_merged: int = 0
    pooled: int = 0
    by_how: Mapping[str, int] = field(default_factory=dict)


def cluster_team(
    database: Database,
    team: str,
    sources: Iterable[Source],
    read: Callable[[Source], Described],
    parameters: ClusteringParameters,
    now: datetime,
) -> RunReport:
    """Takes in what the sources have that the team's Tasks have not seen.

    Args:
        sources: all there are; those already taken in cost nothing. One that is no longer there is left alone:
            ``forget_source`` takes it out.
        read: gives the segments of a source; called for changed ones only.

    Raises:
        DimensionMismatch: vectors of several models, or a new source with another model than the team's.
        DatabaseChanged: the team's Tasks changed meanwhile; nothing was written.
        DatabaseUnavailable: nothing was written.
    """
    with database.read() as session:
        book = read_book(session, team)
        changed = [source for source in sources if book.sources.get(source.name) != source.data_version]
        if not changed:
            return RunReport(team, pooled=len(book.pool))
        news = _news(session, book, changed, read)
    plan = plan_run(news.new, news.pool, news.tasks, parameters)
    with database.write() as session:
        return _write(session, book, changed, news, plan, now)


def segment_version(segment: Segment, model: str) -> str:
    """SHA-256 over all of the segment that its place is judged by."""
    said = (segment.description, segment.failure.value, segment.confusion, segment.abandonment, segment.user_id)
    return hashlib.sha256(repr((*said, segment.recorded_at.isoformat(), model)).encode()).hexdigest()


@dataclass(frozen=True, eq=False)
class _News:
    """What the changed sources bring.

    Attributes:
        dropped: segments that are gone, or described anew and judged again.
        facts: the database's columns of every segment that may be linked or pooled, by its id.
        recentred: the centroids of all Tasks among the vectors of another model; None where the model is the same.
    """

    new: SegmentBatch
    pool: SegmentBatch
    tasks: tuple[TaskState, ...]
    dropped: frozenset[str]
    facts: Mapping[str, dict[str, Any]]
    model: str | None
    elsewhere: int
    recentred: Mapping[str, Means] | None


def _news(session: Session, book: Book, changed: Sequence[Source], read: Callable[[Source], Described]) -> _News:
    brought = {source.name: read(source) for source in changed}
    model = _one_model(book, brought)
    known = {name: {each.segment_id: each for each in known_segments(session, book.team, name)} for name in brought}
    new: list[Segment] = []
    vectors: list[Floats] = []
    facts: dict[str, dict[str, Any]] = {}
    dropped = _leaving(brought, known)
    elsewhere = 0
    for name, described in brought.items():
        strangers = [each.segment_id for each in described.segments if each.segment_id not in known[name]]
        held = (held_elsewhere(session, book.team, name, strangers) - dropped) | (facts.keys() & set(strangers))
        elsewhere += len(held)
        for segment, its_vector in zip(described.segments, described.vectors, strict=True):
            version, before = segment_version(segment, described.model), known[name].get(segment.segment_id)
            if segment.segment_id in held or (before is not None and before.version == version):
                continue
            if before is not None:
                dropped.add(segment.segment_id)  # judged again
            new.append(segment)
            vectors.append(its_vector)
            facts[segment.segment_id] = facts_of(segment, name, version)
    task_of = {each.segment_id: each.task_id for theirs in known.values() for each in theirs.values() if each.task_id}
    batch, tasks, pool = SegmentBatch.of(new, _stacked(vectors)), book.tasks, _pool_left(book, dropped)
    recentred = None
    if book.model not in (None, model):
        recentred = _recentred(batch, tasks, task_of)
        tasks = tuple(replace(task, centroid=recentred[task.task_id]) for task in tasks)
        dropped |= set(pool.ids)  # of sources that nobody has embedded anew
        pool = pool.take([])
    lost = Counter(task_of[segment_id] for segment_id in dropped & task_of.keys())
    tasks = tuple(replace(task, segment_count=task.segment_count - lost[task.task_id]) for task in tasks)
    return _News(batch, pool, tasks, frozenset(dropped), facts, model, elsewhere, recentred)


def _leaving(brought: Mapping[str, Described], known: Mapping[str, Mapping[str, Known]]) -> set[str]:
    """The segments that their source does not have any more; another source may bring them in the same run."""
    return {
        segment_id
        for name, described in brought.items()
        for segment_id in known[name].keys() - {segment.segment_id for segment in described.segments}
    }


def _pool_left(book: Book, dropped: Collection[str]) -> SegmentBatch:
    kept = [row for row, segment in enumerate(book.pool) if segment.segment_id not in dropped]
    return SegmentBatch.of([book.pool[row] for row in kept], book.pool_vectors[kept])


def _one_model(book: Book, brought: Mapping[str, Described]) -> str | None:
    """The model of the team's vectors from now on.

    Where sources that were taken in come back with vectors of another model, the team has changed its model. A source
    that is new to the team changes nothing for the others: with another model it is refused.
    """
    models = {described.model for described in brought.values() if len(described.segments)}
    if not models or models == {book.model} or (book.model is None and len(models) == 1):
        return min(models, default=book.model)
    embedded_anew = any(name in book.sources and len(each.segments) for name, each in brought.items())
    if len(models) == 1 and embedded_anew:
        return models.pop()
    if book.model is not None:
        models.add(book.model)
    raise DimensionMismatch(
        f"The segments of team {book.team} were embedded by several models: {', '.join(sorted(models))}.",
        hint="Embed all of a team's segments with one model, or bring the others in under another team.",
    )


def _recentred(batch: SegmentBatch, tasks: Iterable[TaskState], task_of: Mapping[str, str]) -> dict[str, Means]:
    """Each Task's centroid among the new vectors of its segments; zeros, near to nothing, where none has one."""
    rows: dict[str, list[int]] = {}
    for row, segment_id in enumerate(batch.ids):
        if segment_id in task_of:
            rows.setdefault(task_of[segment_id], []).append(row)
    nowhere = np.zeros(batch.unit.shape[1])
    return {t.task_id: mean(batch.unit, rows[t.task_id]) if t.task_id in rows else nowhere for t in tasks}


def _write(
    session: Session, book: Book, changed: Sequence[Source], news: _News, plan: Plan, now: datetime
) -> RunReport:
    state = take_turn(session, book.team, book.revision)
    touched = drop_segments(session, book.team, news.dropped)
    for task_id, centroid in (news.recentred or {}).items():
        session.get_one(Task, task_id).centroid = centroid
    _open_tasks(session, book.team, news, plan, now)
    for merge in plan.merges:
        merge_tasks(session, merge, now)
        touched |= {merge.merged, merge.survivor}
    for changed_task in plan.updates:
        session.get_one(Task, changed_task.task_id).centroid = changed_task.centroid
    add_links(session, plan.links, {**book.pool_facts, **news.facts}, now)
    _fill_pool(session, plan, news, now)
    touched |= {link.task_id for link in plan.links}
    count_again(session, touched, now)
    label_locally(session, book.team, touched)
    _note_pairs(session, book.team, plan, now)
    for source in changed:
        session.merge(SegmentSource(team=book.team, source=source.name, data_version=source.data_version, taken_at=now))
    report = _report(book.team, changed, news, plan)
    state.model, state.last_run_at, state.counts = news.model, now, asdict(report)
    latest = max(news.new.segments, key=lambda segment: (segment.recorded_at, segment.segment_id), default=None)
    if latest is not None and (state.last_processed_at is None or latest.recorded_at >= state.last_processed_at):
        state.last_processed_at, state.last_segment_id = latest.recorded_at, latest.segment_id
    return report


def _open_tasks(session: Session, team: str, news: _News, plan: Plan, now: datetime) -> None:
    """New Tasks; counts and label come from the links."""
    for task in plan.new_tasks:
        session.add(
            Task(
                id=task.task_id, team=team, title="", description="", status=TaskStatus.OPEN.value,
                recurrence_of=task.recurrence_of, centroid=task.centroid, segment_count=0, distinct_user_count=0,
                avg_impact=0.0, labelled_by=LOCAL, labelled_count=0, created_at=now, updated_at=now,
            )
        )  # fmt: skip
    session.flush()


def _fill_pool(session: Session, plan: Plan, news: _News, now: datetime) -> None:
    """The new segments that stay without a Task; those of before are there already."""
    waiting = set(plan.pool)
    rows = [
        {**news.facts[segment_id], "vector": vector, "pooled_at": now}
        for segment_id, vector in zip(news.new.ids, news.new.unit, strict=True)
        if segment_id in waiting
    ]
    if rows:
        session.execute(insert(PooledSegment), rows)


def _note_pairs(session: Session, team: str, plan: Plan, now: datetime) -> None:
    for pair in plan.candidates:
        first, second = sorted(pair)
        session.merge(TaskPair(first_id=first, second_id=second, team=team, noted_at=now))


def _report(team: str, changed: Sequence[Source], news: _News, plan: Plan) -> RunReport:
    return RunReport(
        team=team,
        sources=len(changed),
        new=len(news.new),
        elsewhere=news.elsewhere,
        dropped=len(news.dropped),
        tasks_opened=len(plan.new_tasks),
        tasks_recurred=sum(task.recurrence_of is not None for task in plan.new_tasks),
        tasks_merged=len(plan.merges),
        pooled=len(plan.pool),
        by_how=dict(Counter(link.how.value for link in plan.links)),
    )


def _stacked(vectors: Sequence[Floats]) -> Floats:
    return np.stack(vectors) if vectors else np.zeros((0, 0), np.float32)
