"""Runs the flow over batches, keeping what the database would keep."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from clipfarm_assets.segments.model import Segment
from clipfarm_assets.tasks.model import Plan, SegmentBatch, TaskState, TaskStatus
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.plan import plan_run
from clipfarm_assets.tasks.vectors import Floats


class Memory:
    """Tasks, links and pool of one team, as plans have made them."""

    def __init__(self, parameters: ClusteringParameters | None = None) -> None:
        self.parameters = parameters or ClusteringParameters()
        self.tasks: dict[str, TaskState] = {}
        self.links: dict[str, str] = {}
        self.pool: tuple[str, ...] = ()
        self._known: dict[str, tuple[Segment, Floats]] = {}

    def run(self, segments: Sequence[Segment], vectors: Floats) -> Plan:
        pool = [self._known[segment_id] for segment_id in self.pool]
        pooled = SegmentBatch.of([s for s, _ in pool], np.array([v for _, v in pool]).reshape(-1, vectors.shape[1]))
        self._known |= {s.segment_id: (s, v) for s, v in zip(segments, vectors, strict=True)}
        plan = plan_run(SegmentBatch.of(segments, vectors), pooled, list(self.tasks.values()), self.parameters)
        self.apply(plan)
        return plan

    def apply(self, plan: Plan) -> None:
        assert not self.links.keys() & {link.segment_id for link in plan.links}, "a linked segment is linked again"
        for new in plan.new_tasks:
            assert new.task_id not in self.tasks
            self.tasks[new.task_id] = TaskState(
                new.task_id, TaskStatus.OPEN, new.centroid, new.segment_count, new.first_seen
            )
        for update in plan.updates:
            self.tasks[update.task_id] = replace(
                self.tasks[update.task_id],
                centroid=update.centroid,
                segment_count=update.segment_count,
                first_seen=update.first_seen,
            )
        self.links |= {link.segment_id: link.task_id for link in plan.links}
        for merge in plan.merges:
            self.tasks[merge.merged] = replace(
                self.tasks[merge.merged], status=TaskStatus.MERGED, merged_into=merge.survivor
            )
            moved = {segment_id: merge.survivor for segment_id, to in self.links.items() if to == merge.merged}
            self.links |= moved
        self.pool = plan.pool

    def labels(self, segments: Iterable[Segment]) -> list[str]:
        """The Task of each segment; ``""`` for those in the pool."""
        return [self.links.get(segment.segment_id, "") for segment in segments]
