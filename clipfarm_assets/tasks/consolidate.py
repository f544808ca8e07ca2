"""Near-duplicates become one, nearest pair first.

Two groups are near-duplicates when their centroids are nearer than ``task_match_threshold`` and the average distance
between the members of one and the other stays below ``max_task_spread``. Centroids of few members lie apart for no
other reason than that they are few: between two pairs out of one pattern 0.4 is usual, between two dozens 0.1. So the
distance is that between the centroids of all that the groups are samples of: the members' average similarity across,
over the geometric mean of the average similarities of different members within. For tight or large groups, and for
single segments, that is the plain distance.

Existing Tasks merge only with Tasks of their
own kind: an ignored one never swallows an open one that a person may be at work on, nor comes back to life. The older
one survives, then the one with the lower id; a Task that exists survives a new one.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from clipfarm_assets.tasks.model import ABSORBING, Group, Merge, TaskState, TaskStatus
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.vectors import blocks, join_means

_LEAST_SIMILARITY = 1e-6  # groups without any inner likeness have no direction: their distance is then beyond 1


def near_duplicates(tasks: Sequence[TaskState], parameters: ClusteringParameters) -> tuple[Merge, ...]:
    """The merges that leave no near-duplicates among these Tasks; merged and resolved ones are left alone."""
    groups = [Group.of(task) for task in tasks if task.status in ABSORBING]
    return tuple(Merge(gone.task_id, kept.task_id) for kept, gone in merge_groups(groups, parameters))


def merge_groups(
    groups: list[Group],
    parameters: ClusteringParameters,
    moved: Callable[[Group], bool] = lambda group: True,
) -> list[tuple[Group, Group]]:
    """Merges near-duplicates in ``groups``, which loses those that are gone: pairs of (kept, gone), in order.

    Only pairs are looked at of which one has ``moved``: two groups that stayed as they were stay two.
    """
    if len(groups) < 2:
        return []
    groups.sort(key=lambda group: group.age_order)
    field = _Field(groups, parameters)
    done = []
    waiting = list(field.close_pairs([row for row, group in enumerate(groups) if moved(group)]))
    heapq.heapify(waiting)
    while waiting:
        pair = heapq.heappop(waiting)
        if not field.holds(pair):
            continue
        absorb(groups[pair.older], groups[pair.younger])
        done.append((groups[pair.older], groups[pair.younger]))
        field.merged(pair)
        for another in field.close_pairs([pair.older]):
            heapq.heappush(waiting, another)
    groups[:] = [group for row, group in enumerate(groups) if field.alive[row]]
    return done


def absorb(kept: Group, gone: Group) -> None:
    """``kept`` takes in what ``gone`` had."""
    kept.mean = join_means(kept.mean, kept.count, gone.mean, gone.count)
    kept.count += gone.count
    kept.members += gone.members
    kept.first_seen = min(kept.first_seen, gone.first_seen)


def may_join(first: Group, second: Group) -> bool:
    """Whether a person's word on one holds for the other: at least one is new, or both are ignored, or neither."""
    if first.status is None or second.status is None:
        return True
    return (first.status is TaskStatus.IGNORED) == (second.status is TaskStatus.IGNORED)


class _Pair(NamedTuple):
    """Two near-duplicates, as they were after so many changes of each."""

    distance: float
    older: int
    younger: int
    changes: tuple[int, int]


class _Field:
    """The groups' means as arrays, kept up to date while groups merge."""

    def __init__(self, groups: Sequence[Group], parameters: ClusteringParameters) -> None:
        self._groups, self._parameters = groups, parameters
        self._means = np.array([group.mean for group in groups], np.float32)
        self._within = np.array([_similarity_within(group) for group in groups], np.float32)
        self._changes = [0] * len(groups)
        self.alive = np.ones(len(groups), np.bool_)

    def close_pairs(self, rows: Sequence[int]) -> Iterator[_Pair]:
        """Near-duplicates of which one is in ``rows``."""
        chosen = np.array(rows, np.intp)
        for block in blocks(len(chosen), 2 * len(self._groups)):
            across = self._means[chosen[block]] @ self._means.T
            within = np.sqrt(np.outer(self._within[chosen[block]], self._within))
            # Rounded, so that equal vectors are equally far whatever the order of a product's sums.
            distances = np.round(1 - across / within, 6)
            near = (distances < self._parameters.task_match_threshold) & self.alive
            near &= 1 - across < self._parameters.max_task_spread
            for row, other in zip(*near.nonzero(), strict=True):
                older, younger = sorted((int(chosen[block][row]), int(other)))
                if older != younger and may_join(self._groups[older], self._groups[younger]):
                    changes = (self._changes[older], self._changes[younger])
                    yield _Pair(float(distances[row, other]), older, younger, changes)

    def holds(self, pair: _Pair) -> bool:
        """Whether both are still there and as they were."""
        both = self.alive[pair.older] and self.alive[pair.younger]
        return bool(both) and pair.changes == (self._changes[pair.older], self._changes[pair.younger])

    def merged(self, pair: _Pair) -> None:
        self.alive[pair.younger] = False
        self._changes[pair.older] += 1
        self._means[pair.older] = self._groups[pair.older].mean
        self._within[pair.older] = _similarity_within(self._groups[pair.older])


def _similarity_within(group: Group) -> float:
    """Average cosine similarity of two different members; of a single one, with itself."""
    squared = float(group.mean @ group.mean)
    pairs = (group.count * squared - 1) / (group.count - 1) if group.count > 1 else squared
    return max(pairs, _LEAST_SIMILARITY)
