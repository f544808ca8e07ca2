"""What a run of clustering reads and what it decides: plain values, for the caller to load and to write."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np

from clipfarm_assets.segments.model import Segment
from clipfarm_assets.tasks.vectors import Floats, Means, normalize


class TaskStatus(StrEnum):
    """Where a Task stands."""

    OPEN = "open"
    IN_PROGRESS = "in_progress"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    MERGED = "merged"


_ANY_TIME = datetime.min.replace(tzinfo=UTC)
ABSORBING = frozenset({TaskStatus.OPEN, TaskStatus.IN_PROGRESS, TaskStatus.IGNORED})


@dataclass(frozen=True, eq=False)
class TaskState:
    """What a run needs to know of a Task; all Tasks of the team are given, whatever their status.

    Attributes:
        centroid: mean of the members' unit vectors, (dim,), as the last plan gave it.
        segment_count: linked segments.
        merged_into: the Task that a merged one stands for.
    """

    task_id: str
    status: TaskStatus
    centroid: Means
    segment_count: int
    first_seen: datetime
    merged_into: str | None = None

    @property
    def age_order(self) -> tuple[datetime, str]:
        """Sorts older Tasks first, then lower ids."""
        return self.first_seen, self.task_id


@dataclass(frozen=True)
class SegmentBatch:
    """Segments with their vectors, in the order of their ids, each once, whatever order they came in.

    Attributes:
        unit: rows of length 1, float32, (n, dim).
    """

    segments: tuple[Segment, ...]
    unit: Floats

    @classmethod
    def of(cls, segments: Sequence[Segment], vectors: np.typing.NDArray[np.floating]) -> "SegmentBatch":
        """Of segments and their vectors (n, dim), row by row, any float type; ``vectors`` is copied.

        Raises:
            ValueError: lengths differ, a segment comes twice, or vectors hold NaN or infinity.
        """
        if len(segments) != len(vectors):
            raise ValueError(f"{len(segments)} segments have {len(vectors)} vectors.")
        order = sorted(range(len(segments)), key=lambda row: segments[row].segment_id)
        in_order = tuple(segments[row] for row in order)
        if len({segment.segment_id for segment in in_order}) < len(in_order):
            raise ValueError("A segment comes twice.")
        return cls(in_order, normalize(vectors, order))

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(segment.segment_id for segment in self.segments)

    def __len__(self) -> int:
        return len(self.segments)

    def take(self, rows: Sequence[int]) -> "SegmentBatch":
        """These rows, in this order."""
        return SegmentBatch(tuple(self.segments[row] for row in rows), self.unit[list(rows)])


class How(StrEnum):
    """Why a segment is linked to its Task."""

    ASSIGNED = "assigned"  # near an existing Task
    CLUSTERED = "clustered"  # with others that form a pattern
    HIGH_IMPACT = "high_impact"  # alone, but grave
    RECURRED = "recurred"  # near a resolved Task, in the new one that points to it


@dataclass(frozen=True)
class Link:
    """A segment's one Task. ``distance``: cosine distance to the centroid that the Task has after the run."""

    segment_id: str
    task_id: str
    distance: float
    how: How


@dataclass(frozen=True, eq=False)
class NewTask:
    """A Task to open. ``recurrence_of``: the resolved Task that has come back."""

    task_id: str
    centroid: Means
    segment_count: int
    first_seen: datetime
    last_seen: datetime
    recurrence_of: str | None = None


@dataclass(frozen=True, eq=False)
class TaskUpdate:
    """What becomes of an existing Task that took segments or other Tasks in; counts of users come from the links."""

    task_id: str
    centroid: Means
    segment_count: int
    first_seen: datetime


@dataclass(frozen=True)
class Merge:
    """A Task that is merged: its links move to the survivor, its status becomes ``merged``."""

    merged: str
    survivor: str


@dataclass(frozen=True)
class Plan:
    """What one run decides, to be written whole or not at all; every tuple in the order of its ids.

    Attributes:
        links: of segments that had none. Those of the same run's merged Tasks already name the survivor.
        merges: of Tasks that existed before the run.
        candidates: pairs of Tasks (older, younger) between which a segment lay undecided and which stayed two.
        pool: segments that wait for the next run.
    """

    links: tuple[Link, ...] = ()
    new_tasks: tuple[NewTask, ...] = ()
    updates: tuple[TaskUpdate, ...] = ()
    merges: tuple[Merge, ...] = ()
    candidates: tuple[tuple[str, str], ...] = ()
    pool: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether there is anything to write besides the pool."""
        return bool(self.links or self.new_tasks or self.updates or self.merges)


@dataclass
class Group:
    """A Task in the making while a run decides: what it is and what it has taken in.

    Attributes:
        status: of an existing Task; None for a new one.
        members: rows of the run's segments that it took in.
    """

    task_id: str
    status: TaskStatus | None
    mean: Means
    count: int
    first_seen: datetime
    members: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, task: TaskState) -> "Group":
        return cls(task.task_id, task.status, task.centroid, task.segment_count, task.first_seen)

    @property
    def age_order(self) -> tuple[bool, datetime, str]:
        """Existing Tasks before new ones, older before younger, lower ids first; new ones by their ids alone."""
        return self.status is None, self.first_seen if self.status else _ANY_TIME, self.task_id


def survivors(tasks: Iterable[TaskState]) -> Mapping[str, str]:
    """For each Task the one that it stands for: itself, or the end of its chain of merges.

    Raises:
        ValueError: merges go in a circle, or into a Task that is not there.
    """
    by_id = {task.task_id: task for task in tasks}
    found: dict[str, str] = {}
    for task_id in by_id:
        current, seen = task_id, {task_id}
        while by_id[current].status is TaskStatus.MERGED:
            following = by_id[current].merged_into
            if following is None or following not in by_id or following in seen:
                raise ValueError(
                    f"Task {task_id} is merged into {following!r}, which is no Task that can stand for it."
                )
            current = following
            seen.add(current)
        found[task_id] = current
    return found
