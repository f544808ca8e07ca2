"""The storage that `dagster.yaml` names leaves what Dagster's own leaves, where a run is made over many partitions."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import DagsterEventType
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from clipfarm_assets.graph.storage import BatchedSqliteEventLogStorage
from clipfarm_assets_tests.graph.conftest import NewDeployment

VIDEOS = dg.DynamicPartitionsDefinition(name="videos")
KEYS = [f"v{number}" for number in range(7)]
ONE, TWO = dg.AssetKey("one"), dg.AssetKey("two")

pytestmark = pytest.mark.filterwarnings("ignore:Use fetch_:UserWarning")


@dg.asset(partitions_def=VIDEOS, backfill_policy=dg.BackfillPolicy.single_run())
def one() -> None:
    """Is made."""


@dg.asset(partitions_def=VIDEOS, backfill_policy=dg.BackfillPolicy.single_run(), deps=[one])
def two() -> None:
    """Fails."""
    raise dg.Failure("It always does.", allow_retries=False)


def run_over(instance: dg.DagsterInstance) -> None:
    instance.add_dynamic_partitions("videos", KEYS)
    job = dg.Definitions([one, two], jobs=[dg.define_asset_job("make", [one, two])]).resolve_job_def("make")
    span = {"dagster/asset_partition_range_start": KEYS[1], "dagster/asset_partition_range_end": KEYS[5]}
    assert not job.execute_in_process(instance=instance, raise_on_error=False, tags=span).success


@pytest.fixture
def both(new_deployment: NewDeployment, tmp_path: Path) -> Iterator[Sequence[dg.DagsterInstance]]:
    """A deployment's own instance, and one with Dagster's storage, after the same run."""
    own = new_deployment().instance
    assert isinstance(own.event_log_storage, BatchedSqliteEventLogStorage)
    (tmp_path / "plain").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "plain")) as plain:
        for instance in (own, plain):
            run_over(instance)
        yield own, plain


def plans(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[tuple[object, ...]]:
    kind = DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    records = instance.get_event_records(dg.EventRecordsFilter(kind, key))
    events = [record.event_log_entry.get_dagster_event() for record in records]
    return sorted((event.partition, event.step_key, event.job_name) for event in events)


def test_plans_statuses_and_the_runs_log_are_those_of_dagsters_own_storage(both: Sequence[dg.DagsterInstance]) -> None:
    own, plain = both
    for key in (ONE, TWO):
        assert plans(own, key) == plans(plain, key)
        assert [plan[0] for plan in plans(own, key)] == KEYS[1:6]
    for instance in both:
        made, failed = (get_and_update_asset_status_cache_value(instance, key, VIDEOS) for key in (ONE, TWO))
        assert made is not None and failed is not None
        assert set(made.deserialize_materialized_partition_subsets(VIDEOS).get_partition_keys()) == set(KEYS[1:6])
        assert set(failed.deserialize_failed_partition_subsets(VIDEOS).get_partition_keys()) == set(KEYS[1:6])
    kinds = [[e.dagster_event_type for e in i.all_logs(i.get_runs()[0].run_id) if e.dagster_event] for i in both]
    assert kinds[0] == kinds[1]
    assert [i.get_asset_records([TWO])[0].asset_entry.last_run_id == i.get_runs()[0].run_id for i in both] == [True] * 2


def test_plans_are_written_together(new_deployment: NewDeployment, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment, alone = new_deployment(), []
    one_by_one = type(deployment.instance.event_log_storage).store_event

    def count(self: BatchedSqliteEventLogStorage, event: dg.EventLogEntry) -> None:
        alone.append(event.dagster_event_type)
        one_by_one(self, event)

    monkeypatch.setattr(BatchedSqliteEventLogStorage, "store_event", count)
    run_over(deployment.instance)
    assert alone
    assert DagsterEventType.ASSET_MATERIALIZATION_PLANNED not in alone
