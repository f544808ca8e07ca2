"""What a log may do between two looks, one by one: grow, lose events, give ids again, commit late."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest
from sqlalchemy import text

from clipfarm_assets.graph import log_watch
from clipfarm_assets.graph.events import EventGroup
from clipfarm_assets.graph.log_watch import LogWatch

STAGES = ("raw_video", "raw_audio")


class Log:
    """An instance whose log is watched; every look compares the four newest events one by one."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.watch = LogWatch(STAGES)

    def begin(self, *videos: str, stage: str = "raw_video") -> str:
        """A run that says that it begins with the videos; its id."""
        run = self.instance.add_run(dg.DagsterRun("process_videos"))
        context = SimpleNamespace(instance=self.instance, run=run, op_handle=stage)
        EventGroup(context, stage).started(videos)  # type: ignore[arg-type]
        return run.run_id

    def look(self) -> set[str] | None:
        return self.watch.look(self.instance)

    def sql(self, statement: str) -> Sequence[object]:
        with self.instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            result = connection.execute(text(statement))
            return list(result.all()) if result.returns_rows else []

    @property
    def pulse(self) -> object:
        return self.watch.pulse(self.instance)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """Six videos in work, looked at until all is quiet: two events are counted, four are compared."""
    monkeypatch.setattr(log_watch, "_NEWEST", 4)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        made = Log(instance)
        made.first = made.begin("a")  # type: ignore[attr-defined]
        made.begin("b", "c", "d", "e")
        made.last = made.begin("f")  # type: ignore[attr-defined]
        assert made.look() is None
        assert made.look() == set()
        assert made.watch._counted.count == 2
        yield made


def test_new_events_name_their_videos_and_the_next_look_finds_nothing(log: Log) -> None:
    pulse = log.pulse
    log.begin("b", "new", stage="raw_audio")
    assert log.pulse != pulse
    assert log.look() == {"b", "new"}
    assert log.look() == set()


def test_many_new_events_are_counted_in(log: Log) -> None:
    many = {f"m{number}" for number in range(50)}
    log.begin(*many)
    assert log.look() == many
    assert log.watch._counted.count == 52
    assert len(log.watch._recent) == 4
    assert log.look() == set()


def test_events_of_other_assets_change_nothing(log: Log) -> None:
    log.begin("a", stage="another")
    assert log.look() == set()


@pytest.mark.parametrize("which", ["first", "last"])
def test_a_deleted_run_takes_everything_into_doubt(log: Log, which: str) -> None:
    pulse = log.pulse
    log.instance.delete_run(getattr(log, which))
    assert log.pulse != pulse
    assert log.look() is None
    assert log.look() == set()


def test_a_deleted_run_whose_ids_are_given_again_is_no_less_noticed(log: Log) -> None:
    pulse = log.pulse
    log.instance.delete_run(log.last)  # type: ignore[attr-defined]
    log.begin("other")
    assert log.sql("SELECT max(id), count(*) FROM event_logs") == [(6, 6)]
    assert log.pulse != pulse
    assert log.look() is None


def test_ids_given_again_below_what_is_compared_are_noticed_too(log: Log) -> None:
    log.begin(*"ghijkl")
    log.look()
    ids = log.sql("SELECT id, run_id, asset_key FROM event_logs")
    log.sql("DELETE FROM event_logs WHERE id > 1")
    log.begin(*(f"x{number}" for number in range(len(ids) - 1)))
    assert log.sql("SELECT max(id), count(*) FROM event_logs") == [(len(ids), len(ids))]
    assert log.look() is None


def test_a_wiped_asset_takes_everything_into_doubt(log: Log) -> None:
    pulse = log.pulse
    log.instance.wipe_assets([dg.AssetKey("raw_video")])
    assert log.pulse != pulse
    assert log.look() is None


@pytest.mark.parametrize(("id_", "changed"), [(5, {"e"}), (1, None)], ids=["near the end", "far below"])
def test_an_event_that_is_committed_after_a_later_one_is_noticed(log: Log, id_: int, changed: set[str] | None) -> None:
    log.sql(f"CREATE TABLE held AS SELECT * FROM event_logs WHERE id = {id_}")
    log.sql(f"DELETE FROM event_logs WHERE id = {id_}")
    assert log.look() is None
    pulse = log.pulse
    log.sql("INSERT INTO event_logs SELECT * FROM held")
    assert (log.pulse != pulse) == (changed is not None)
    assert log.look() == changed


def test_partitions_and_runs_show_in_the_pulse(log: Log) -> None:
    pulse = log.pulse
    log.instance.add_dynamic_partitions("videos", ["a"])
    assert log.pulse != pulse
    pulse = log.pulse
    log.instance.add_run(dg.DagsterRun("process_videos"))
    assert log.pulse != pulse
    assert log.pulse == log.pulse
