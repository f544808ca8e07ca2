"""The flow: what becomes of new segments, whatever their order, their number, and what was there before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.segments.model import Failure, Segment
from clipfarm_assets.tasks.consolidate import near_duplicates
from clipfarm_assets.tasks.model import How, SegmentBatch, TaskState, TaskStatus
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.plan import plan_run
from clipfarm_assets.tasks.vectors import Floats, normalize
from clipfarm_assets_tests.tasks.choose import in_runs
from clipfarm_assets_tests.tasks.flow import Memory
from clipfarm_assets_tests.tasks.labelled_set import TEAM, labelled
from clipfarm_assets_tests.tasks.quality import quality
from clipfarm_assets_tests.tasks.test_clustering import around

MONDAY = datetime(2025, 3, 3, tzinfo=UTC)
PARAMETERS = ClusteringParameters()


def a_segment(number: int, failure: Failure = Failure.NONE, **fields: object) -> Segment:
    made = Segment(TEAM, f"v{number:03}", "u", 0, 30, MONDAY, f"Segment {number}.", failure)
    return replace(made, **fields)  # type: ignore[arg-type]


def at(distance: float, dim: int = 16, axis: int = 1) -> Floats:
    """A unit vector at this cosine distance from the first axis."""
    vector = np.zeros((1, dim), np.float32)
    vector[0, 0], vector[0, axis] = 1 - distance, np.sqrt(1 - (1 - distance) ** 2)
    return vector


def a_task(task_id: str, vector: Floats, count: int = 5, days: int = 0, **fields: object) -> TaskState:
    made = TaskState(task_id, TaskStatus.OPEN, vector[0].astype(float), count, MONDAY + timedelta(days=days))
    return replace(made, **fields)  # type: ignore[arg-type]


def run(segments: Sequence[Segment], vectors: Floats, tasks: Sequence[TaskState] = ()):  # type: ignore[no-untyped-def]
    batch = SegmentBatch.of(segments, vectors)
    return plan_run(batch, batch.take([]), tasks, PARAMETERS)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), cut=st.integers(1, 120))
def test_the_same_segments_in_any_order_give_the_same_tasks_and_ids(seed: int, cut: int) -> None:
    data, random = labelled().half("choose"), np.random.default_rng(seed)
    memories = []
    for _ in range(2):
        memory = Memory()
        for rows in (range(cut), range(cut, len(data.segments))):
            batch = data.take(random.permutation(list(rows)).tolist())
            memory.run(batch.segments, batch.vectors)
        memories.append(memory)
    first, second = memories
    assert first.links == second.links and first.pool == second.pool and set(first.tasks) == set(second.tasks)
    for task_id, task in first.tasks.items():
        assert task.centroid.tobytes() == second.tasks[task_id].centroid.tobytes()


@settings(max_examples=15, deadline=None)
@given(last=st.integers(0, 181), start=st.integers(0, 100))
def test_one_more_segment_moves_no_linked_one(last: int, start: int) -> None:
    data = labelled().half("choose")
    rows = [row for row in range(start, len(data.segments)) if row != last]
    memory = Memory()
    batch = data.take(rows)
    memory.run(batch.segments, batch.vectors)
    before = dict(memory.links)
    one = data.take([last])
    plan = memory.run(one.segments, one.vectors)
    survivor = {merge.merged: merge.survivor for merge in plan.merges}
    assert {s: memory.links[s] for s in before} == {s: survivor.get(task, task) for s, task in before.items()}
    assert {link.segment_id for link in plan.links}.isdisjoint(before)


def test_nothing_new_changes_nothing() -> None:
    data, memory = labelled().half("report"), Memory()
    memory.run(data.segments, data.vectors)
    assert memory.pool
    plan = memory.run([], data.vectors[:0])
    assert not plan.changes and not plan.candidates and plan.pool == memory.pool


def test_every_segment_is_linked_once_or_waits_in_the_pool() -> None:
    data, memory = labelled(), Memory()
    for rows in np.array_split(np.random.default_rng(3).permutation(len(data.segments)), 6):
        batch = data.take(rows.tolist())
        memory.run(batch.segments, batch.vectors)
    ids = {segment.segment_id for segment in data.segments}
    assert memory.links.keys() | set(memory.pool) == ids and not memory.links.keys() & set(memory.pool)
    counts = {task_id: 0 for task_id, task in memory.tasks.items() if task.status is not TaskStatus.MERGED}
    for task_id in memory.links.values():
        counts[task_id] += 1
    assert counts == {task_id: memory.tasks[task_id].segment_count for task_id in counts}
    for task_id in counts:
        members = [row for row, s in enumerate(data.segments) if memory.links.get(s.segment_id) == task_id]
        exact = normalize(data.vectors[members]).mean(axis=0, dtype=np.float64)
        assert memory.tasks[task_id].centroid == pytest.approx(exact, abs=1e-6)


def test_equal_and_unequal_timestamps_give_the_same_partition() -> None:
    data = labelled().half("choose")
    same = [replace(segment, recorded_at=MONDAY) for segment in data.segments]
    assert run(same, data.vectors).links == run(data.segments, data.vectors).links


@pytest.mark.parametrize("n", [2, 3, 5, 120])
def test_one_group_alone_is_one_task(n: int) -> None:
    plan = run([a_segment(number) for number in range(n)], around(1, n))
    assert [task.segment_count for task in plan.new_tasks] == [n] and plan.pool == ()
    assert {link.how for link in plan.links} == {How.CLUSTERED}


def test_noise_opens_a_task_only_where_its_impact_is_above_the_threshold() -> None:
    segments = [
        a_segment(0, Failure.NON_BLOCKING),
        a_segment(1, confusion=True),
        a_segment(2, abandonment=True, confusion=True),
        a_segment(3),
    ]
    plan = run(segments, np.eye(4, dtype=np.float32))
    assert {link.segment_id for link in plan.links} == {segments[0].segment_id, segments[2].segment_id}
    assert {link.how for link in plan.links} == {How.HIGH_IMPACT} and len(plan.new_tasks) == 2
    assert set(plan.pool) == {segments[1].segment_id, segments[3].segment_id}


@pytest.mark.parametrize("failure", [Failure.NONE, Failure.BLOCKING])
def test_a_single_segment_is_no_error(failure: Failure) -> None:
    plan = run([a_segment(0, failure)], at(0))
    assert (len(plan.links), len(plan.pool)) == ((0, 1) if failure is Failure.NONE else (1, 0))


@pytest.mark.parametrize(("distance", "joins"), [(0.29, True), (0.299, True), (0.3, False), (0.31, False)])
def test_a_segment_joins_a_task_strictly_within_the_threshold(distance: float, joins: bool) -> None:
    plan = run([a_segment(0)], at(distance), [a_task("a", at(0))])
    assert [link.task_id for link in plan.links] == (["a"] if joins else [])
    assert len(plan.pool) == (not joins)


def test_equal_distances_fall_to_the_older_task_then_to_the_lower_id_and_the_pair_is_noted() -> None:
    here, there = at(0.2), at(0.2) * [1, -1, *[1] * 14]
    older = [a_task("z", here, days=-1), a_task("a", there)]
    same_age = [a_task("b", there), a_task("c", here)]
    for tasks, expected, pair in ((older, "z", ("z", "a")), (same_age, "b", ("b", "c"))):
        plan = run([a_segment(0)], at(0), tasks)
        assert [link.task_id for link in plan.links] == [expected]
        assert plan.candidates == (pair,) and plan.merges == ()


def test_status_decides_who_takes_a_segment_in() -> None:
    near = at(0.01)
    for status, takes in [("open", True), ("in_progress", True), ("ignored", True), ("resolved", False)]:
        plan = run([a_segment(0)], near, [a_task("a", at(0), status=TaskStatus(status))])
        assert (plan.links[0].task_id == "a") is takes
        if not takes:
            assert [new.recurrence_of for new in plan.new_tasks] == ["a"] and plan.links[0].how is How.RECURRED
    merged = [a_task("a", at(0), status=TaskStatus.MERGED, merged_into="b"), a_task("b", at(0.5))]
    assert run([a_segment(0)], near, merged).links[0].task_id == "b"


def test_recurrences_of_one_resolved_task_open_one_task_even_as_a_cluster() -> None:
    resolved = a_task("r", around(1, 1), status=TaskStatus.RESOLVED)
    plan = run([a_segment(number) for number in range(6)], around(1, 6), [resolved])
    assert [(new.segment_count, new.recurrence_of) for new in plan.new_tasks] == [(6, "r")]


def test_a_chain_of_neighbours_does_not_become_one_task() -> None:
    angles = np.arange(0, np.pi, 0.2)
    chain = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    memory = Memory()
    for number, vector in enumerate(chain):
        memory.run([a_segment(number, Failure.BLOCKING)], vector[None])
    for task_id in set(memory.links.values()):
        members = [number for number in range(len(chain)) if memory.links[a_segment(number).segment_id] == task_id]
        spread = 1 - (chain[members] @ chain[members].T).mean()
        assert spread < PARAMETERS.max_task_spread
    assert len(set(memory.links.values())) > 1


@pytest.mark.parametrize(("distance", "joins"), [(0.1, True), (0.25, False)])
def test_a_task_that_has_grown_wide_takes_in_only_what_lies_in_its_middle(distance: float, joins: bool) -> None:
    wide = a_task("a", at(0) * 0.5, count=40)  # its members' average cosine to the centroid is 0.5
    assert bool(run([a_segment(0)], at(distance), [wide]).links) is joins


def test_a_grave_single_and_what_resembles_it_later_become_one_task() -> None:
    unit = around(1, 3, width=0.9)
    memory = Memory()
    memory.run([a_segment(0, Failure.BLOCKING)], unit[:1])
    memory.run([a_segment(1), a_segment(2)], unit[1:])
    assert len(set(memory.links.values())) == 1 and len(memory.links) == 3


def test_pooled_noise_is_taken_up_when_company_arrives() -> None:
    unit, memory = around(1, 2), Memory()
    memory.run([a_segment(0)], unit[:1])
    assert memory.links == {}
    memory.run([a_segment(1)], unit[1:])
    assert len(memory.links) == 2 and memory.pool == ()


def test_near_duplicate_tasks_merge_into_the_older_one_and_never_across_ignored() -> None:
    tasks = [a_task("a", at(0)), a_task("b", at(0.1), days=-2), a_task("c", at(0.9, axis=3))]
    assert [(merge.merged, merge.survivor) for merge in near_duplicates(tasks, PARAMETERS)] == [("a", "b")]
    assert near_duplicates([tasks[0], replace(tasks[1], status=TaskStatus.IGNORED)], PARAMETERS) == ()
    assert near_duplicates([tasks[0], a_task("d", at(0.4), days=-2)], PARAMETERS) == ()


def test_what_cannot_be_one_run_is_refused() -> None:
    with pytest.raises(DimensionMismatch, match="16, 17"):
        run([a_segment(0)], at(0), [a_task("a", at(0, dim=17))])
    with pytest.raises(ValueError, match="one team"):
        run([a_segment(0), a_segment(1, team="other")], around(1, 2))
    with pytest.raises(ValueError, match="twice"):
        run([a_segment(0), a_segment(0)], around(1, 2))
    with pytest.raises(ValueError, match="NaN"):
        run([a_segment(0)], at(0) * np.nan)
    with pytest.raises(ValueError, match="merged into"):
        run([a_segment(0)], at(0), [a_task("a", at(0), status=TaskStatus.MERGED, merged_into="a")])


def test_an_id_is_never_used_again() -> None:
    segment = a_segment(0, Failure.BLOCKING)
    first = run([segment], at(0)).new_tasks[0].task_id
    again = run([segment], at(0), [a_task(first, at(0.9, axis=2), status=TaskStatus.RESOLVED)]).new_tasks[0].task_id
    assert again != first


def test_on_groups_that_no_parameter_was_chosen_on_the_flow_beats_plain_clustering_and_increments_keep_up() -> None:
    from benchmarks.clusters import plain

    data = labelled().half("report")
    at_once = in_runs(data, PARAMETERS)
    increments = np.mean([in_runs(data, PARAMETERS, 10, seed).ari for seed in range(3)])
    assert at_once.ari >= 0.7
    assert at_once.ari > quality(data.groups, plain(data, "leaf")).ari
    assert increments >= 0.95 * at_once.ari
