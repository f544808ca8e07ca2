"""The contract of the one module that writes to Dagster's storage past its public calls.

The same events, written once by ``EventGroup`` and once by ``context.log_event``, must be the same to whoever asks
Dagster by its public calls; and ``read_events`` must say the same by SQL and by those calls.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from clipfarm_assets.graph import events
from clipfarm_assets.graph.events import EventGroup, RunEnded, newest_outcome_id, read_events
from clipfarm_assets.graph.in_flight import DEFER_EVENTS, own_tags
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Versions

pytestmark = pytest.mark.filterwarnings("ignore:Use fetch_:UserWarning")  # the public calls that the fall-back uses

KEY = dg.AssetKey("raw_video")
VIDEOS = dg.DynamicPartitionsDefinition(name="videos")
Act = Callable[[dg.AssetExecutionContext], None]


def outcome(video_id: str, status: Status = Status.SUCCESS, text: str = "") -> Outcome:
    made = status.materialized
    return Outcome(
        status, f"hash of {video_id}", Versions("1"), "2026-01-01T00:00:00+00:00", "run",
        data_version=f"dv of {video_id}{text}" if made else None, error=None if made else f"Ünusable: {text}|'\"",
        retry_count=0 if made else 1,
    )  # fmt: skip


def materialization(video_id: str, text: str = "") -> dg.AssetMaterialization:
    fields = outcome(video_id, text=text).to_fields()
    tags = {
        "dagster/code_version": "1",
        "dagster/data_version": f"dv of {video_id}{text}",
        "dagster/data_version_is_user_provided": "true",
        "dagster/input_data_version/video_metadata": "m1",
        "dagster/input_event_pointer/video_metadata": "7",
    }
    return dg.AssetMaterialization(
        KEY, partition=video_id, metadata={events.OUTCOME: dg.MetadataValue.json(fields)}, tags=tags
    )


def observation(video_id: str, status: Status = Status.FAIL) -> dg.AssetObservation:
    fields = outcome(video_id, status).to_fields()
    return dg.AssetObservation(KEY, partition=video_id, metadata={events.OUTCOME: dg.MetadataValue.json(fields)})


def run_step(instance: dg.DagsterInstance, act: Act) -> None:
    """A run in which the asset's step does ``act`` and then fails, as after a video that failed."""

    @dg.asset(key=KEY, partitions_def=VIDEOS, backfill_policy=dg.BackfillPolicy.single_run())
    def raw_video(context: dg.AssetExecutionContext) -> None:
        own_tags(context)[DEFER_EVENTS] = "true"
        act(context)
        raise dg.Failure("Some failed.", allow_retries=False)

    instance.add_dynamic_partitions("videos", ["a", "b", "c", "d"])
    job = dg.Definitions([raw_video], jobs=[dg.define_asset_job("make", [raw_video])]).resolve_job_def("make")
    span = {"dagster/asset_partition_range_start": "a", "dagster/asset_partition_range_end": "d"}
    result = job.execute_in_process(instance=instance, raise_on_error=False, tags={DEFER_EVENTS: "true", **span})
    causes = [event.step_failure_data.error for event in result.get_step_failure_events()]
    assert [(error.cause or error).cls_name for error in causes if error] == ["Failure"], causes


def by_group(context: dg.AssetExecutionContext) -> None:
    """c fails and then succeeds, b succeeds and then fails, d was begun and no more."""
    group = EventGroup(context, "raw_video")
    group.started(["b", "d"])
    group.materialized(materialization("a"), outcome("a"))
    group.materialized(materialization("b"), outcome("b"))
    group.observed(observation("c"), outcome("c", Status.FAIL))
    group.flush()
    group.observed(observation("b"), outcome("b", Status.FAIL))
    group.materialized(materialization("c", " again"), outcome("c", text=" again"))
    group.flush()


def by_log_event(context: dg.AssetExecutionContext) -> None:
    EventGroup(context, "raw_video").started(["b", "d"])  # no public call says this
    context.log_event(materialization("a"))
    context.log_event(materialization("b"))
    context.log_event(observation("c"))
    context.log_event(observation("b"))
    context.log_event(materialization("c", " again"))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An empty instance."""
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dg.DagsterInstance, dg.DagsterInstance]]:
    """An instance whose events ``EventGroup`` wrote, and one whose events Dagster wrote; to be read only."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("group"))) as group:
        with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("plain"))) as plain:
            run_step(group, by_group)
            run_step(plain, by_log_event)
            yield group, plain


def facts(entry: dg.EventLogEntry) -> tuple[object, ...]:
    event = entry.get_dagster_event()
    data = entry.asset_materialization or entry.asset_observation
    metadata = {name: value.value for name, value in (data.metadata if data else {}).items()}
    tags = dict(data.tags or {}) if data else {}
    return event.event_type_value, event.step_key, event.job_name, event.partition, str(metadata), sorted(tags.items())


def test_materializations_fetched_are_those_of_log_event(two: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    found = []
    for instance in two:
        records = instance.fetch_materializations(KEY, limit=10).records
        found.append([facts(record.event_log_entry) for record in records])
        only_c = dg.AssetRecordsFilter(KEY, asset_partitions=["c"])
        found[-1] += [facts(r.event_log_entry) for r in instance.fetch_materializations(only_c, limit=10).records]
    assert found[0] == found[1]
    assert len(found[0]) == 4


def test_observations_fetched_are_those_of_log_event(two: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    found = [[facts(r.event_log_entry) for r in i.fetch_observations(KEY, limit=10).records] for i in two]
    assert found[0] == found[1]
    assert [fact[3] for fact in found[0]] == ["b", "c"]


def test_data_versions_are_those_of_log_event(two: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    for instance in two:
        records = {v: instance.get_latest_data_version_record(KEY, partition_key=v) for v in "abcd"}
        versions = {v: facts(record.event_log_entry)[5] for v, record in records.items() if record}  # type: ignore[attr-defined]
        assert {v: dict(tags)["dagster/data_version"] for v, tags in versions.items()} == {  # type: ignore[call-overload]
            "a": "dv of a", "b": "dv of b", "c": "dv of c again",
        }  # fmt: skip
        in_bulk = instance.event_log_storage.get_latest_tags_by_partition(
            KEY, DagsterEventType.ASSET_MATERIALIZATION, ["dagster/data_version"]
        )
        assert {v: tags["dagster/data_version"] for v, tags in in_bulk.items()} == {
            "a": "dv of a", "b": "dv of b", "c": "dv of c again",
        }  # fmt: skip


def test_partition_statuses_are_those_of_log_event(two: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    for instance in two:
        value = get_and_update_asset_status_cache_value(instance, KEY, VIDEOS)
        assert value is not None
        materialized = value.deserialize_materialized_partition_subsets(VIDEOS).get_partition_keys()
        failed = value.deserialize_failed_partition_subsets(VIDEOS).get_partition_keys()
        assert (sorted(materialized), sorted(failed)) == (["a", "b", "c"], ["d"])
        assert instance.get_materialized_partitions(KEY) == {"a", "b", "c"}


def test_event_records_are_those_of_log_event(two: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    for kind in (
        DagsterEventType.ASSET_MATERIALIZATION,
        DagsterEventType.ASSET_OBSERVATION,
        DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    ):
        records = [i.get_event_records(dg.EventRecordsFilter(kind, KEY), limit=10) for i in two]
        assert [facts(r.event_log_entry) for r in records[0]] == [facts(r.event_log_entry) for r in records[1]]
        assert records[0]


def test_the_runs_own_log_has_the_events_of_log_event(two: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    kinds = {DagsterEventType.ASSET_MATERIALIZATION, DagsterEventType.ASSET_OBSERVATION}
    logs = [[facts(e) for e in i.all_logs(i.get_runs()[0].run_id, of_type=kinds)] for i in two]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 5
    for instance in two:
        connection = instance.get_records_for_run(instance.get_runs()[0].run_id, of_type=kinds)
        assert len(connection.records) == 5


def test_the_asset_record_knows_its_newest_materialization(two: tuple[dg.DagsterInstance, dg.DagsterInstance]) -> None:
    entries = []
    for instance in two:
        entry = instance.get_asset_records([KEY])[0].asset_entry
        newest = instance.fetch_materializations(KEY, limit=1).records[0]
        assert entry.last_materialization_record is not None
        assert entry.last_materialization_record.storage_id == newest.storage_id
        assert entry.last_run_id == instance.get_runs()[0].run_id
        entries.append(facts(entry.last_materialization_record.event_log_entry))
    assert entries[0] == entries[1]


class NoSqlStorage:
    """What no storage is an instance of."""


def publicly(monkeypatch: pytest.MonkeyPatch, read: Callable[[], object]) -> object:
    with monkeypatch.context() as patch:
        patch.setattr(events, "SqlEventLogStorage", NoSqlStorage)
        return read()


@pytest.mark.parametrize("video_ids", [None, ["b", "c", "d", "nobody"], []], ids=["all", "some", "none"])
def test_reading_by_sql_says_what_the_public_calls_say(
    two: tuple[dg.DagsterInstance, dg.DagsterInstance],
    monkeypatch: pytest.MonkeyPatch,
    video_ids: Sequence[str] | None,
) -> None:
    found = read_events(two[0], "raw_video", video_ids)
    assert found == publicly(monkeypatch, lambda: read_events(two[0], "raw_video", video_ids))
    assert set(found) == (set("abcd") if video_ids is None else set(video_ids) - {"nobody"})
    newest = newest_outcome_id(two[0], ["raw_video"])
    assert newest == publicly(monkeypatch, lambda: newest_outcome_id(two[0], ["raw_video"]))


def test_the_fall_back_writes_what_it_and_dagster_read(
    two: tuple[dg.DagsterInstance, dg.DagsterInstance], instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    publicly(monkeypatch, lambda: run_step(instance, by_group))
    found, expected = (
        publicly(monkeypatch, lambda: read_events(instance, "raw_video")),
        read_events(two[0], "raw_video"),
    )
    assert isinstance(found, dict)
    assert {v: (seen.outcome, seen.died) for v, seen in found.items()} == {
        v: (seen.outcome, seen.died) for v, seen in expected.items()
    }
    assert [facts(r.event_log_entry) for r in instance.fetch_materializations(KEY, limit=9).records] == [
        facts(r.event_log_entry) for r in two[0].fetch_materializations(KEY, limit=9).records
    ]


def test_the_newest_by_storage_id_is_the_outcome_be_it_failure_or_materialization(
    two: tuple[dg.DagsterInstance, dg.DagsterInstance],
) -> None:
    seen = read_events(two[0], "raw_video")
    statuses = {v: each.outcome.status.value if each.outcome else None for v, each in seen.items()}
    assert statuses == {"a": "success", "b": "fail", "c": "success", "d": None}
    assert seen["b"].outcome_id > seen["b"].materialization_id > seen["b"].planned_id > 0
    assert seen["c"].outcome_id == seen["c"].materialization_id
    assert seen["b"].outcome == outcome("b", Status.FAIL)
    assert {v for v, each in seen.items() if each.died} == {"d"}


def test_a_wiped_asset_has_nothing_to_say_until_it_is_made_again(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_step(instance, by_group)
    instance.wipe_assets([KEY])
    assert read_events(instance, "raw_video") == {}
    assert publicly(monkeypatch, lambda: read_events(instance, "raw_video")) == {}
    assert newest_outcome_id(instance, ["raw_video"]) == 0
    run_step(instance, by_group)
    assert set(read_events(instance, "raw_video")) == set("abcd")
    assert len(instance.fetch_materializations(KEY, limit=10).records) == 3


def test_what_was_noted_of_deleted_events_says_nothing_of_those_that_get_their_ids(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def others(context: dg.AssetExecutionContext) -> None:
        group = EventGroup(context, "raw_video")
        group.observed(observation("d"), outcome("d", Status.FAIL))
        group.materialized(materialization("c", " anew"), outcome("c", text=" anew"))
        group.started(["a"])
        group.materialized(materialization("b", " anew"), outcome("b", text=" anew"))
        group.flush()

    run_step(instance, by_group)
    last = max(seen.outcome_id for seen in read_events(instance, "raw_video").values())
    instance.wipe_assets([KEY])
    instance.delete_run(instance.get_runs()[0].run_id)
    run_step(instance, others)
    found = read_events(instance, "raw_video")
    assert max(seen.outcome_id for seen in found.values()) < last
    assert found == publicly(monkeypatch, lambda: read_events(instance, "raw_video"))
    assert {v: each.outcome for v, each in found.items()} == {
        "a": None, "b": outcome("b", text=" anew"), "c": outcome("c", text=" anew"), "d": outcome("d", Status.FAIL),
    }  # fmt: skip


def test_more_names_than_a_database_takes_in_one_query_are_all_read(
    two: tuple[dg.DagsterInstance, dg.DagsterInstance], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_KEYS_PER_QUERY", 2)
    assert set(read_events(two[0], "raw_video", ["a", "b", "c", "d", "nobody"])) == set("abcd")


def test_many_events_are_written_before_the_step_ends(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_FLUSH_COUNT", 2)
    seen_meanwhile: list[int] = []

    def three(context: dg.AssetExecutionContext) -> None:
        group = EventGroup(context, "raw_video")
        for video_id in "abc":
            group.materialized(materialization(video_id), outcome(video_id))
            seen_meanwhile.append(len(read_events(context.instance, "raw_video")))
        group.flush()

    run_step(instance, three)
    assert seen_meanwhile == [0, 2, 2]
    assert len(read_events(instance, "raw_video")) == 3


def test_a_process_that_wakes_up_after_its_run_was_ended_writes_nothing(instance: dg.DagsterInstance) -> None:
    def hung(context: dg.AssetExecutionContext) -> None:
        group = EventGroup(context, "raw_video")
        group.materialized(materialization("a"), outcome("a"))
        group.flush()
        context.instance.report_run_failed(context.run, "It took too long.")
        with pytest.raises(RunEnded, match="ended from outside"):
            group.started(["b"])
        group.observed(dg.AssetObservation("raw_video", partition="a"), outcome("a"))
        with pytest.raises(RunEnded):
            group.flush()

    run_step(instance, hung)
    found = read_events(instance, "raw_video")
    assert set(found) == {"a"}
    assert found["a"].outcome_id == found["a"].materialization_id
