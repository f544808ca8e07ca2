"""What clustering a team's segments costs: time and memory of the first run, and of a batch on top of it.

A first run over n segments of 3072 dimensions, then 1,000 more; each run is its own plan, with the Tasks and the pool
that the one before left. The segments are like a sentence model's: 100 directions of falling weight carry the meaning,
the rest is noise; patterns of 2 to some hundred segments, and a fifth that belong nowhere. Beside it the spanning tree
that clusters are read from, against the library's own searches on the same points (5,000 × 100).

``python -m benchmarks.cluster_scale 50000`` measures the full size, by default it is 10,000.
"""

import resource
import sys
import time
from datetime import UTC, datetime, timedelta

import numpy as np

from benchmarks.measure import Row, in_turn
from clipfarm_assets.segments.model import Failure, Segment
from clipfarm_assets.tasks.clustering import hierarchy_labels, spanning_tree
from clipfarm_assets.tasks.model import SegmentBatch, TaskState, TaskStatus
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.plan import plan_run
from clipfarm_assets.tasks.vectors import Floats

DIM, MEANING, BATCH = 3072, 100, 1_000
SEGMENTS_A_PATTERN, NOISE_SHARE = 25, 0.2
START = datetime(2025, 1, 1, tzinfo=UTC)


def vectors(n: int, seed: int = 0) -> Floats:
    """(n, 3072), float32: members of one pattern have an average cosine of about 0.6, of two about 0.1."""
    random = np.random.default_rng(seed)
    weights = np.linspace(1.5, 0.5, MEANING)
    n_patterns = max(1, n // SEGMENTS_A_PATTERN)
    centers = random.normal(size=(n_patterns, MEANING)) * weights
    sizes = 1 / np.arange(1, n_patterns + 1) ** 0.5
    pattern = random.choice(n_patterns, n, p=sizes / sizes.sum())
    alone = random.random(n) < NOISE_SHARE
    meaning = np.where(alone[:, None], random.normal(size=(n, MEANING)) * weights, centers[pattern])
    meaning = (meaning + 0.7 * random.normal(size=meaning.shape) * weights + 0.4 * weights).astype(np.float32)
    basis = np.linalg.qr(random.normal(size=(DIM, MEANING)))[0].T.astype(np.float32)
    made = meaning @ basis
    for start in range(0, n, 5_000):  # float64 noise of all would be twice the vectors
        made[start : start + 5_000] += random.normal(size=made[start : start + 5_000].shape).astype(np.float32) * 0.03
    return made


def segments(n: int) -> list[Segment]:
    random = np.random.default_rng(1)
    failures = random.choice(list(Failure), n, p=[0.8, 0.1, 0.1])
    return [
        Segment("scale", f"v{row}", f"u{row % 997}", 0, 30, START + timedelta(seconds=row), "", Failure(failures[row]))
        for row in range(n)
    ]


def _peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _timed(new: SegmentBatch, pool: SegmentBatch, tasks: list[TaskState]):  # type: ignore[no-untyped-def]
    wall, cpu = time.monotonic(), time.process_time()
    plan = plan_run(new, pool, tasks, ClusteringParameters())
    return plan, time.monotonic() - wall, time.process_time() - cpu


def scale(n: int) -> list[Row]:
    made, described = vectors(n + BATCH), segments(n + BATCH)
    before = _peak_gib()
    first = SegmentBatch.of(described[:n], made[:n])
    plan, wall, cpu = _timed(first, first.take([]), [])
    peak = _peak_gib()
    waiting = set(plan.pool)
    pool = first.take([row for row, segment_id in enumerate(first.ids) if segment_id in waiting])
    tasks = [
        TaskState(task.task_id, TaskStatus.OPEN, task.centroid, task.segment_count, task.first_seen)
        for task in plan.new_tasks
    ]
    del first
    more, more_wall, more_cpu = _timed(SegmentBatch.of(described[n:], made[n:]), pool, tasks)
    found = f"{len(tasks):,} Tasks, {len(pool):,} in the pool; then {len(more.links):,} of {BATCH:,} linked"
    return [
        Row(f"first run of {n:,} × {DIM}: wall seconds", wall, note=f"{found}; CPU {cpu:.0f} s"),
        Row("first run: peak memory in GiB", peak, 6, note=f"whole process; {before:.1f} with the vectors alone"),
        Row(
            f"{BATCH:,} more ÷ first run, CPU",
            more_cpu / cpu,
            0.1,
            note=f"{more_cpu:.1f} s CPU, {more_wall:.1f} s wall",
        ),
    ]


def trees(n: int = 5_000) -> list[Row]:
    from hdbscan import HDBSCAN

    points = np.ascontiguousarray(vectors(n)[:, :MEANING])

    def library() -> None:
        HDBSCAN(min_cluster_size=2, min_samples=1, approx_min_span_tree=False, core_dist_n_jobs=1).fit(points)

    def ours() -> None:
        ends, lengths = spanning_tree(points, 1)
        hierarchy_labels(ends, lengths, 2)

    timing = in_turn({"ours": ours, "library": library}, rounds=3)
    ratio = timing["ours"].cpu_sec / timing["library"].cpu_sec
    return [Row(f"clusters of {n:,} × {MEANING}: ours ÷ hdbscan, CPU", ratio, 1, note="same clusters, see the tests")]


def run(n: int = 10_000) -> list[Row]:
    return [*scale(n), *trees()]


if __name__ == "__main__":
    from benchmarks.__main__ import show

    show("cluster_scale", run(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
