"""One run of a team's clustering, as a plan: steps 2 to 5 of the flow, and the merging of near-duplicates.

1. Each new segment goes to the nearest Task (``matching``). Where only a resolved Task is near, a new one opens and
   points to it.
2. The rest is clustered together with the pool and with the Tasks of one segment, which were noise when they opened and
   may turn out to be the first sign of a pattern.
3. A cluster joins the Task whose single segment is in it, else the nearest Task; else it opens one.
4. Groups that the run has changed are compared with all others; near-duplicates become one. Then noise, the pool's
   included, is held against the groups as they are now.
5. What is still noise opens a Task where its impact is high, and waits in the pool where not.

Everything is decided in the order of ids, so the order of the input decides nothing. A segment that is linked stays
where it is; only its whole Task can be merged into another.
"""

from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from uuid import UUID, uuid5

import numpy as np

from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.tasks.clustering import NOISE, cluster
from clipfarm_assets.tasks.consolidate import absorb, may_join, merge_groups
from clipfarm_assets.tasks.matching import NOWHERE, Matches, match
from clipfarm_assets.tasks.model import (
    ABSORBING,
    Group,
    How,
    Link,
    Merge,
    NewTask,
    Plan,
    SegmentBatch,
    TaskState,
    TaskStatus,
    TaskUpdate,
    survivors,
)
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.vectors import Floats, Indices, among_nearest, cosine_distance, directions, join_means, mean

_NAMESPACE = UUID("0c7d5f52-19d5-5b8e-8b43-50b0a4a5d0f3")  # of Task ids


def plan_run(
    new: SegmentBatch, pool: SegmentBatch, tasks: Sequence[TaskState], parameters: ClusteringParameters
) -> Plan:
    """Decides what becomes of the new segments and of the pool.

    Args:
        new: segments without a link and without a place in the pool.
        pool: what earlier plans left in the pool.
        tasks: all Tasks of the team, resolved and merged ones too.

    Returns:
        The plan. Nothing new gives a plan that changes nothing.

    Raises:
        DimensionMismatch: vectors and centroids differ in length.
        ValueError: a segment is both new and in the pool, segments belong to several teams, or merges of Tasks go in
            a circle.
    """
    if not len(new):
        return Plan(pool=pool.ids)
    _check(new, pool, tasks)
    run = _Run(new, pool, tasks, parameters)
    run.assign()
    run.cluster_the_rest()
    run.consolidate()
    run.assign_noise()
    run.open_for_high_impact()
    return run.plan()


def new_task_id(team: str, segment_ids: Iterable[str], taken: Container[str] = ()) -> str:
    """uuid5 of the team and the first members, so that the same run gives the same id; another where it is taken."""
    members = "".join(sorted(segment_ids))
    generation = 0
    while (found := str(uuid5(_NAMESPACE, f"{len(team)}:{team}{members}:{generation}"))) in taken:
        generation += 1
    return found


class _Run:
    """The state of a run while it decides. Rows are those of new segments, then those of the pool, each by id."""

    def __init__(
        self, new: SegmentBatch, pool: SegmentBatch, tasks: Sequence[TaskState], parameters: ClusteringParameters
    ) -> None:
        self._parameters, self._n_new, self._team = parameters, len(new), new.segments[0].team
        self._segments = [*new.segments, *pool.segments]
        self._unit = np.concatenate([new.unit, pool.unit]) if len(pool) else new.unit
        self._tasks = sorted(tasks, key=lambda task: task.age_order)
        self._by_id = {task.task_id: task for task in self._tasks}
        self._stands_for = survivors(self._tasks)
        self._existing = {task.task_id: Group.of(task) for task in self._tasks if task.status in ABSORBING}
        self._opened: dict[str, Group] = {}
        self._how: dict[int, How] = {}  # of the rows that have found a place
        self._merged_into: dict[str, Group] = {}
        self._candidates: set[tuple[str, str]] = set()

    def assign(self) -> None:
        """New segments to existing Tasks, judged as these stood before the run; recurrences to new ones."""
        rows = np.arange(self._n_new)
        found, tasks = self._match_tasks(rows, ABSORBING)
        for first, second in sorted(set(zip(found.nearest.tolist(), found.runner_up.tolist(), strict=True))):
            if second != NOWHERE:
                pair = {self._stands_for[tasks[place].task_id] for place in (first, second)}
                self._candidates.add(tuple(sorted(pair, key=lambda task_id: self._by_id[task_id].age_order)))  # type: ignore[arg-type]
        for place in _places(found.nearest):
            group = self._existing[tasks[place].task_id]
            self._take(group, rows[found.nearest == place], How.ASSIGNED)
        rest = self._undecided()[: self._n_new - len(self._how)]
        found, tasks = self._match_tasks(rest, {TaskStatus.RESOLVED})
        for place in _places(found.nearest):
            self._open(rest[found.nearest == place], How.RECURRED)

    def cluster_the_rest(self) -> None:
        """Clusters of what is left, the pool, and Tasks of a single segment; each joins or opens a Task.

        Of the pool and of those Tasks only the new segments' nearest take part: the rest was judged before, and a
        batch is to cost what it brings.
        """
        rest = self._undecided()
        new, pooled = rest[rest < self._n_new], rest[rest >= self._n_new]
        lone = [group for group in self._existing.values() if group.count == 1]
        centroids = directions(np.array([group.mean for group in lone]).reshape(len(lone), self._unit.shape[1]))
        horizon, k = self._parameters.max_linkage_distance, self._parameters.pool_neighbours
        pooled = pooled[among_nearest(self._unit[pooled], self._unit[new], horizon, k)]
        close = among_nearest(centroids, self._unit[new], horizon, k)
        lone = [group for group, takes_part in zip(lone, close, strict=True) if takes_part]
        rest = np.concatenate([new, pooled])
        unit = self._unit[rest]
        if lone:
            unit = np.concatenate([unit, centroids[close]])
        labels = cluster(unit, self._parameters)
        for number in range(labels.max(initial=NOISE) + 1):
            rows = rest[labels[: len(rest)] == number]
            within = [lone[place] for place in np.flatnonzero(labels[len(rest) :] == number)]
            if not within:
                self._open(rows, How.CLUSTERED)
            elif len(rows):  # Tasks alone among themselves were left alone before
                self._take(within[0], rows, How.CLUSTERED)
                for another in within[1:]:
                    if may_join(within[0], another):
                        absorb(within[0], another)
                        self._forget(another, within[0])

    def consolidate(self) -> None:
        """Groups that the run has changed, and those that a segment lay between, against all others."""
        doubtful = {task_id for pair in self._candidates for task_id in pair}
        groups = [*self._existing.values(), *self._opened.values()]
        for kept, gone in merge_groups(groups, self._parameters, lambda g: bool(g.members) or g.task_id in doubtful):
            self._forget(gone, kept)

    def assign_noise(self) -> None:
        """What is still noise, the pool's included, to the groups as they are now."""
        rest = self._undecided()
        groups = sorted(
            (group for group in (*self._existing.values(), *self._opened.values()) if group.members),
            key=lambda g: g.age_order,
        )
        if groups:
            means = np.array([group.mean for group in groups])
            nearest = match(self._unit[rest], means, np.arange(len(groups)), self._parameters).nearest
            for place in _places(nearest):
                self._take(groups[place], rest[nearest == place], How.CLUSTERED)

    def open_for_high_impact(self) -> None:
        """What is grave gets a Task though it is alone."""
        for row in self._undecided():
            if self._segments[row].impact > self._parameters.high_impact_noise_threshold:
                self._open(np.array([row]), How.HIGH_IMPACT)

    def plan(self) -> Plan:
        """What was decided, everything in the order of ids."""
        groups = [*self._existing.values(), *self._opened.values()]
        links = [
            Link(
                self._segments[row].segment_id,
                group.task_id,
                cosine_distance(self._unit[row], group.mean),
                self._how[row],
            )
            for group in groups
            for row in group.members
        ]
        merges = [Merge(task_id, self._end(task_id).task_id) for task_id in self._merged_into if task_id in self._by_id]
        changed = {merge.survivor for merge in merges} | {group.task_id for group in groups if group.members}
        updates = [
            TaskUpdate(group.task_id, group.mean, group.count, group.first_seen)
            for group in self._existing.values()
            if group.task_id in changed
        ]
        return Plan(
            links=tuple(sorted(links, key=lambda link: link.segment_id)),
            new_tasks=tuple(sorted(self._new_tasks(), key=lambda task: task.task_id)),
            updates=tuple(sorted(updates, key=lambda update: update.task_id)),
            merges=tuple(sorted(merges, key=lambda merge: merge.merged)),
            candidates=tuple(sorted(pair for pair in self._candidates if not self._merged_into.keys() & set(pair))),
            pool=tuple(sorted(self._segments[row].segment_id for row in self._undecided())),
        )

    def _new_tasks(self) -> Iterator[NewTask]:
        means = np.array([group.mean for group in self._opened.values()]).reshape(
            len(self._opened), self._unit.shape[1]
        )
        resolved = self._standing({TaskStatus.RESOLVED})
        found = self._match(directions(means), resolved)
        for group, place in zip(self._opened.values(), found.nearest, strict=True):
            seen = [self._segments[row].recorded_at for row in group.members]
            came_back = None if place == NOWHERE else resolved[place].task_id
            yield NewTask(group.task_id, group.mean, group.count, min(seen), max(seen), came_back)

    def _match_tasks(self, rows: Indices, statuses: Collection[TaskStatus]) -> tuple[Matches, list[TaskState]]:
        tasks = self._standing(statuses)
        return self._match(self._unit[rows], tasks), tasks

    def _match(self, unit: Floats, tasks: list[TaskState]) -> Matches:
        """Among Tasks; near a Task that is merged counts as near the one that it stands for."""
        places = {task.task_id: place for place, task in enumerate(tasks)}
        merged = [
            task
            for task in self._tasks
            if task.status is TaskStatus.MERGED and self._stands_for[task.task_id] in places
        ]
        owners = [*range(len(tasks)), *(places[self._stands_for[task.task_id]] for task in merged)]
        means = np.array([task.centroid for task in (*tasks, *merged)])
        return match(unit, means, np.array(owners, np.intp), self._parameters)

    def _standing(self, statuses: Collection[TaskStatus]) -> list[TaskState]:
        return [task for task in self._tasks if task.status in statuses]

    def _undecided(self) -> Indices:
        return np.array([row for row in range(len(self._segments)) if row not in self._how], np.intp)

    def _take(self, group: Group, rows: Indices, how: How) -> None:
        group.mean = join_means(group.mean, group.count, mean(self._unit, rows), len(rows))
        group.count += len(rows)
        group.first_seen = min(group.first_seen, *(self._segments[row].recorded_at for row in rows))
        group.members += rows.tolist()
        self._how |= dict.fromkeys(rows.tolist(), how)

    def _open(self, rows: Indices, how: How) -> None:
        members = [self._segments[row] for row in rows]
        task_id = new_task_id(self._team, (member.segment_id for member in members), self._by_id)
        first_seen = min(member.recorded_at for member in members)
        group = Group(task_id, None, mean(self._unit, rows), len(rows), first_seen, rows.tolist())
        self._opened[task_id] = group
        self._how |= dict.fromkeys(rows.tolist(), how)

    def _forget(self, gone: Group, kept: Group) -> None:
        self._merged_into[gone.task_id] = kept
        self._existing.pop(gone.task_id, None)
        self._opened.pop(gone.task_id, None)

    def _end(self, task_id: str) -> Group:
        kept = self._merged_into[task_id]
        return self._end(kept.task_id) if kept.task_id in self._merged_into else kept


def _places(found: Indices) -> list[int]:
    return sorted(set(found.tolist()) - {NOWHERE})


def _check(new: SegmentBatch, pool: SegmentBatch, tasks: Sequence[TaskState]) -> None:
    if twice := set(new.ids) & set(pool.ids):
        raise ValueError(f"Segment {min(twice)} is new and in the pool.")
    if len(teams := {segment.team for segment in (*new.segments, *pool.segments)}) > 1:
        raise ValueError(f"A run is of one team, not of {', '.join(sorted(teams))}.")
    dims = {new.unit.shape[1]} | ({pool.unit.shape[1]} if len(pool) else set()) | {len(task.centroid) for task in tasks}
    if len(dims) > 1:
        raise DimensionMismatch(
            f"Vectors and centroids of {new.segments[0].team} have {', '.join(map(str, sorted(dims)))} dimensions.",
            hint="Embed all segments of a team with one model; after a change of model, cluster them anew.",
        )
