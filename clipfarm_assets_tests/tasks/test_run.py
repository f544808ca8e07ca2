"""Runs of a team's clustering on a real database: each segment once, whole or not at all."""

import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import event, select

from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.database.migrate import migrate
from clipfarm_assets.database.tables import PooledSegment, Task, TaskSegmentLink, VideoSegmentClusteringState
from clipfarm_assets.errors import DatabaseChanged, DimensionMismatch, TaskError
from clipfarm_assets.segments.model import Failure
from clipfarm_assets.tasks.actions import act, merge
from clipfarm_assets.tasks.book import forget_source
from clipfarm_assets.tasks.run import Described, Source, cluster_team
from clipfarm_assets.tasks.upkeep import consolidate_team
from clipfarm_assets_tests.tasks.team import NOW, PARAMETERS, Team, described_anew, everything, segment, vector


class PowerCut(Exception):
    """What no code expects."""


@pytest.fixture
def team(database: Database) -> Team:
    return Team(database)


def groups(*numbers: int, start: int = 0, count: int = 4) -> list[Any]:
    return [segment(group, number) for group in numbers for number in range(start, start + count)]


def test_groups_become_tasks_and_noise_waits(team: Team) -> None:
    team.bring([*groups(0, 1), segment(5, 0)])
    report = team.run()
    assert (report.new, report.tasks_opened, report.pooled) == (9, 2, 1)
    places = team.places()
    assert len({places[f"v0-{n}"] for n in range(4)}) == 1
    assert len({*places.values()}) == 2 and "v5-0" not in places
    assert team.task_of("v0-0").segment_count == 4


def test_the_same_sources_again_change_nothing_and_are_not_read(team: Team) -> None:
    team.bring([*groups(0, 1), segment(5, 0)])
    team.run()
    before = everything(team.database)
    team.read.clear()
    report = team.run(NOW + timedelta(hours=1))
    assert report.sources == report.new == 0
    assert team.read == [] and everything(team.database) == before


def test_equal_and_late_timestamps_are_taken_exactly_once(team: Team) -> None:
    """The watermark stands at NOW; what comes later lies before it, at it, and all at one moment."""
    team.bring(groups(0))
    team.run()
    late = [segment(0, n, recorded_at=NOW - timedelta(days=400)) for n in (4, 5)]
    same = [segment(0, n, recorded_at=NOW) for n in (6, 7)]
    team.bring([*late, *same])
    assert team.run().new == 4
    assert team.task_of("v0-0").segment_count == 8
    assert team.run().new == 0
    with team.database.read() as session:
        state = session.scalars(select(VideoSegmentClusteringState)).one()
    assert state.last_processed_at == NOW


def test_noise_finds_its_group_when_others_come(team: Team) -> None:
    team.bring([segment(0, 0)])
    assert team.run().pooled == 1
    team.bring([segment(0, 1)])
    assert team.run().pooled == 0
    assert team.task_of("v0-0").segment_count == 2
    with team.database.read() as session:
        assert session.scalars(select(PooledSegment)).all() == []


def test_users_count_once_however_they_are_spread_over_runs(team: Team) -> None:
    for number in range(6):
        team.bring([segment(0, number, user="ann" if number % 2 else "bob")])
        team.run()
    task = team.task_of("v0-0")
    assert (task.segment_count, task.distinct_user_count) == (6, 2)


def test_a_grave_segment_alone_becomes_a_task_and_a_confused_one_does_not(team: Team) -> None:
    team.bring([segment(0, 0, failure=Failure.BLOCKING), segment(1, 0, confusion=True)])
    team.run()
    assert team.task_of("v0-0").avg_impact == pytest.approx(0.4)
    assert "v1-0" not in team.places()


def test_a_resolved_tasks_recurrence_opens_a_new_one_that_points_to_it(team: Team) -> None:
    team.bring(groups(0))
    team.run()
    old = team.task_of("v0-0").id
    act(team.database, old, "resolve", NOW)
    team.bring(groups(0, start=4))
    team.run()
    again = team.task_of("v0-4")
    assert again.id != old and again.recurrence_of == old and again.status == "open"
    assert team.task_of("v0-0").segment_count == 4


def test_an_ignored_task_swallows(team: Team) -> None:
    team.bring(groups(0))
    team.run()
    old = team.task_of("v0-0").id
    act(team.database, old, "ignore", NOW)
    team.bring(groups(0, start=4))
    team.run()
    task = team.task_of("v0-4")
    assert (task.id, task.status, task.segment_count) == (old, "ignored", 8)


def test_a_merged_task_redirects_and_its_id_stays(team: Team) -> None:
    team.bring(groups(0, 1))
    team.run()
    first, second = team.task_of("v0-0").id, team.task_of("v1-0").id
    assert merge(team.database, second, first, NOW).task_id == first
    team.bring(groups(1, start=4))
    team.run()
    assert team.task_of("v1-4").id == first
    assert team.task_of("v0-0").segment_count == 12
    assert act(team.database, second, "resolve", NOW).task_id == first
    with team.database.read() as session:
        assert session.get_one(Task, second).merged_into == first
    with pytest.raises(TaskError, match="one Task already"):
        merge(team.database, first, second, NOW)


def test_a_segment_described_anew_is_judged_again(team: Team) -> None:
    team.bring(groups(0, 1))
    team.run()
    moved = described_anew(segment(0, 0), "quite another thing")
    team.bring([moved], [vector(1, 9)])
    report = team.run()
    assert (report.new, report.dropped) == (1, 1)
    assert team.places()["v0-0"] == team.places()["v1-0"]
    assert [team.task_of(f"v{group}-1").segment_count for group in (0, 1)] == [3, 5]


def test_segments_that_a_video_no_longer_has_leave_their_tasks(team: Team) -> None:
    team.bring([segment(0, n) for n in range(3)])
    team.bring([segment(0, 3), segment(0, 3, start_sec=30.0, end_sec=50.0)])
    team.run()
    assert team.task_of("v0-0").segment_count == 5
    team.bring([segment(0, 3)])
    assert team.run().dropped == 1
    assert team.task_of("v0-0").segment_count == 4


def test_a_forgotten_video_leaves_its_task_and_the_pool(team: Team) -> None:
    team.bring([*groups(0), segment(5, 0)])
    team.run()
    task_id = team.task_of("v0-0").id
    with team.database.write() as session:
        assert forget_source(session, "default", "v0-0", NOW) == 1
        assert forget_source(session, "default", "v5-0", NOW) == 1
        assert forget_source(session, "default", "v5-0", NOW) == 0
    with team.database.read() as session:
        assert session.get_one(Task, task_id).segment_count == 3
        assert session.scalars(select(PooledSegment)).all() == []
    team.sources = {name: source for name, source in team.sources.items() if name not in ("v0-0", "v5-0")}
    assert team.run().sources == 0


def test_of_two_runs_at_once_one_gives_way_and_finds_nothing_left_to_do(team: Team) -> None:
    team.bring(groups(0, 1))
    team.run()
    team.bring(groups(0, 1, start=4))
    begun, errors = threading.Barrier(2, timeout=30), []

    def run() -> None:
        def read(source: Source) -> Described:
            if source.name == "v0-4":
                begun.wait()
            _, segments, vectors = team.sources[source.name]
            return Described(segments, np.array(vectors), "model-1")

        try:
            cluster_team(
                team.database, "default", [source for source, _, _ in team.sources.values()], read, PARAMETERS, NOW
            )
        except DatabaseChanged as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 1
    assert team.run().new == 0
    assert team.task_of("v0-0").segment_count == 8


def test_a_persons_decision_during_a_run_is_not_overrun(team: Team) -> None:
    team.bring(groups(0))
    team.run()
    old = team.task_of("v0-0").id
    team.bring([segment(0, 4)])

    def read(source: Source) -> Described:
        act(team.database, old, "resolve", NOW)
        _, segments, vectors = team.sources[source.name]
        return Described(segments, np.array(vectors), "model-1")

    with pytest.raises(DatabaseChanged):
        cluster_team(team.database, "default", [team.sources["v0-4"][0]], read, PARAMETERS, NOW)
    team.run()
    assert team.task_of("v0-4").recurrence_of == old


def test_vectors_of_another_model_are_refused_before_anything_is_written(team: Team) -> None:
    team.bring(groups(0))
    team.run()
    before = everything(team.database)
    other = Described([segment(0, 9)], np.ones((1, 24), np.float32), "model-2")
    with pytest.raises(DimensionMismatch, match="model-2"):
        cluster_team(team.database, "default", [Source("x", "1")], lambda source: other, PARAMETERS, NOW)
    assert everything(team.database) == before


def test_a_crash_at_any_statement_then_another_run_gives_the_undisturbed_state(tmp_path: Path) -> None:
    """A run that links, opens, pools, drops and judges again fails before and after each of its statements in turn."""
    first = Team(open_database(f"sqlite:///{tmp_path}/first.db"))
    migrate(first.database)
    first.bring([*groups(0, 1), segment(5, 0), segment(6, 0), segment(7, 0)])
    first.run()
    merge(first.database, first.task_of("v1-0").id, first.task_of("v0-0").id, NOW)
    first.bring([*groups(0, 2, start=4), segment(5, 1), segment(8, 0)])
    first.bring([described_anew(segment(0, 1), "another thing")], [vector(2, 9)])
    first.bring([segment(6, 0, start_sec=60.0, end_sec=70.0)])
    before = everything(first.database)
    first.database.close()

    def copied(name: str) -> Team:
        shutil.copy(tmp_path / "first.db", tmp_path / f"{name}.db")
        return Team(open_database(f"sqlite:///{tmp_path}/{name}.db"), sources=first.sources)

    def run(team: Team, crash_at: int | None = None) -> int:
        seen = []

        def count(*args: Any) -> None:
            if not args[2].startswith("BEGIN"):
                seen.append(args[2])
            if len(seen) == crash_at:
                raise PowerCut

        moments = ("before_cursor_execute", "after_cursor_execute")
        for moment in moments:
            event.listen(team.database.engine, moment, count)
        try:
            team.run()
        finally:
            for moment in moments:
                event.remove(team.database.engine, moment, count)
        return len(seen)

    whole = copied("whole")
    statements = run(whole)
    undisturbed = everything(whole.database)
    assert statements > 40 and undisturbed != before
    for number in range(1, statements + 1):
        team = copied("crashed")
        with pytest.raises(PowerCut):
            run(team, number)
        assert everything(team.database) == before
        team.run()
        assert everything(team.database) == undisturbed
        team.database.close()


def test_another_model_for_all_keeps_the_tasks_and_what_people_decided(team: Team) -> None:
    team.bring([*groups(0, 1), segment(5, 0)])
    team.run()
    ignored = team.task_of("v1-0").id
    act(team.database, ignored, "ignore", NOW)
    before = team.places()
    with pytest.raises(DimensionMismatch):
        run_by("model-2", team, {"x": [segment(0, 9)]})
    run_by("model-2", team, {name: segments for name, (_, segments, _) in team.sources.items()})
    assert team.places() == before
    assert team.task_of("v1-0").status == "ignored"
    with team.database.read() as session:
        assert {len(task.centroid) for task in session.scalars(select(Task))} == {40}
    run_by("model-2", team, {"new": [segment(1, 9)]})
    assert team.places()["v1-9"] == ignored


def run_by(model: str, team: Team, sources: dict[str, list[Any]]) -> None:
    """Sources whose vectors are of another model, in more dimensions and turned."""
    turn = np.linalg.qr(np.random.default_rng(7).normal(size=(40, 24)))[0].T
    place = {
        each.segment_id: [int(part) for part in each.video_id[1:].split("-")] for s in sources.values() for each in s
    }

    def read(source: Source) -> Described:
        segments = sources[source.name]
        return Described(segments, np.array([vector(*place[each.segment_id]) @ turn for each in segments]), model)

    cluster_team(team.database, "default", [Source(name, model) for name in sources], read, PARAMETERS, NOW)


def test_a_segment_that_moves_from_one_source_to_another_in_one_run_is_not_lost(team: Team) -> None:
    segments = groups(0)

    def run(**sources: list[Any]) -> None:
        def read(source: Source) -> Described:
            theirs = sources[source.name]
            vectors = [vector(0, int(each.video_id[-1])) for each in theirs]
            return Described(theirs, np.array(vectors).reshape(len(theirs), 24), "model-1")

        given = [Source(name, repr(theirs)) for name, theirs in sources.items()]
        cluster_team(team.database, "default", given, read, PARAMETERS, NOW)

    run(a=segments)
    before = team.places()
    run(a=segments[:2], b=segments[1:])
    assert team.places() == before
    run(a=[], b=segments)
    assert team.places() == before


def test_consolidation_merges_near_duplicates_into_the_older_one_and_then_finds_nothing(team: Team) -> None:
    """Two Tasks that a person kept apart by resolving one, until it was opened again."""
    team.bring(groups(0))
    team.run()
    older = team.task_of("v0-0").id
    act(team.database, older, "resolve", NOW)
    team.bring(groups(0, start=4))
    team.run()
    younger = team.task_of("v0-4").id
    assert younger != older
    assert consolidate_team(team.database, "default", PARAMETERS, NOW) == ()
    act(team.database, older, "reopen", NOW)
    first, second = sorted((older, younger), key=lambda task_id: team_first_seen(team, task_id))
    (merged,) = consolidate_team(team.database, "default", PARAMETERS, NOW)
    assert (merged.merged, merged.survivor) == (second, first)
    assert set(team.places().values()) == {first}
    with team.database.read() as session:
        kept, gone = session.get_one(Task, first), session.get_one(Task, second)
        assert (kept.segment_count, gone.status, gone.merged_into) == (8, "merged", first)
    before = everything(team.database)
    assert consolidate_team(team.database, "default", PARAMETERS, NOW) == ()
    assert everything(team.database) == before


def team_first_seen(team: Team, task_id: str) -> tuple[Any, str]:
    """What decides who is older, as the links have it."""
    with team.database.read() as session:
        links = session.scalars(select(TaskSegmentLink)).all()
    times = [link.recorded_at for link in links if link.task_id == task_id]
    return min(times, default=NOW), task_id
