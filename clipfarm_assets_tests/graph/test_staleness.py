"""What Dagster shows as stale must be what it would show of plain assets with the same versions.

A twin graph of plain assets, in an instance of its own, is materialised one partition at a time, with the data versions
that the real graph came to; after each act both are asked about every asset and video.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.assets.graph.base_asset_graph import BaseAssetGraph, BaseAssetNode
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.loader import LoadingContextForTest

from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets_tests.graph.deployment import ALL, Deployment

METADATA = "video_metadata"
NAMES = (METADATA, *(stage.name for stage in STAGES))
VIDEOS = ("a", "b")
Shown = dict[tuple[str, str | None], tuple[str, frozenset[tuple[str, str, str | None, str | None]]]]


class Twin:
    """The same keys, dependencies, code and data versions as the real graph, as plain assets."""

    def __init__(self, deployment: Deployment, instance: dg.DagsterInstance) -> None:
        self._deployment = deployment
        self.instance = instance
        self.instance.add_dynamic_partitions("videos", VIDEOS)

    @property
    def assets(self) -> list[dg.AssetsDefinition]:
        graph = self._deployment.definitions.resolve_asset_graph()
        return [self._plain(graph, name) for name in NAMES]

    def make(self, names: Sequence[str], video_ids: Sequence[str | None]) -> None:
        for partition in video_ids:
            done = dg.materialize(self.assets, selection=names, partition_key=partition, instance=self.instance)
            assert done.success

    def _plain(self, graph: BaseAssetGraph[BaseAssetNode], name: str) -> dg.AssetsDefinition:
        node = graph.get(dg.AssetKey(name))
        partitions = None if name == METADATA else dg.DynamicPartitionsDefinition(name="videos")

        @dg.asset(name=name, deps=sorted(node.parent_keys), code_version=node.code_version, partitions_def=partitions)
        def plain(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            partition = context.partition_key if context.has_partition_key else None
            return dg.MaterializeResult(data_version=dg.DataVersion(self._data_version(name, partition)))

        return plain

    def _data_version(self, name: str, partition: str | None) -> str:
        if partition is not None:
            outcome = self._deployment.outcome(partition, name)
            assert outcome is not None and outcome.data_version is not None
            return outcome.data_version
        event = self._deployment.instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event is not None and event.asset_materialization is not None and event.asset_materialization.tags
        return event.asset_materialization.tags["dagster/data_version"]


@dataclass
class Both:
    real: Deployment
    twin: Twin

    def metadata(self) -> None:
        self.real.read_metadata()
        self.twin.make([METADATA], [None])

    def stages(
        self, *names: str, video_ids: tuple[str, ...] = VIDEOS, force: bool = False, by_partitions: bool = False
    ) -> None:
        assert self.real.materialize(names, video_ids, force=force, by_partitions=by_partitions).success
        self.twin.make(names, video_ids)

    def same_answers(self) -> Shown:
        answer = shown(self.real.instance, self.real.definitions.resolve_asset_graph())
        assert answer == shown(self.twin.instance, dg.Definitions(self.twin.assets).resolve_asset_graph())
        return answer


def shown(instance: dg.DagsterInstance, graph: BaseAssetGraph[BaseAssetNode]) -> Shown:
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    answer: Shown = {}
    for name in NAMES:
        for video_id in (None,) if name == METADATA else VIDEOS:
            key = dg.AssetKey(name)
            causes = resolver.get_stale_causes(key, video_id)
            answer[name, video_id] = resolver.get_status(key, video_id).value, frozenset(
                (
                    cause.category.value, cause.reason,
                    cause.dependency_asset_key.to_user_string() if cause.dependency_asset_key else None,
                    cause.dependency_partition_key,
                )
                for cause in causes
            )  # fmt: skip
    return answer


def stale(answer: Shown) -> set[tuple[str, str | None]]:
    return {key for key, (status, _) in answer.items() if status == "STALE"}


@pytest.fixture
def both(deployment: Deployment, tmp_path: Path) -> Iterator[Both]:
    for video_id in VIDEOS:
        deployment.add(video_id)
    (tmp_path / "twin").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "twin")) as instance:
        yield Both(deployment, Twin(deployment, instance))


@pytest.mark.slow
def test_staleness_is_what_plain_assets_show_at_every_step(both: Both) -> None:
    both.metadata()
    assert {status for (name, _), (status, _) in both.same_answers().items() if name != METADATA} == {"MISSING"}

    both.stages(*NAMES[1:])
    assert stale(both.same_answers()) == set(), "after a first run"
    for name in NAMES[1:]:
        tags, plain = _tags(both.real.instance, name), _tags(both.twin.instance, name)
        assert _provenance(tags) == _provenance(plain), "the tags of a plain asset"
        for tag in ("dagster/code_version", "dagster/data_version", "dagster/data_version_is_user_provided"):
            assert tags[tag] == plain[tag]

    both.metadata()
    assert stale(both.same_answers()) == set(), "metadata re-materialised with the same data version"

    both.real.change("a", view_count="77")
    both.metadata()
    assert stale(both.same_answers()) == set(), "another field that shapes nothing"

    both.real.change("a", title="another title")
    both.metadata()
    readers = ("raw_video", "raw_text", "text_embedding", "segments", "scored_clips", "enriched_metadata")
    read_metadata = {(name, video_id) for name in readers for video_id in VIDEOS}
    assert stale(both.same_answers()) == read_metadata, "metadata with another data version"

    made = both.real.snapshot()
    both.stages(*readers, "discovery_embedding", by_partitions=True)
    assert stale(both.same_answers()) == set(), "materialised again by a person: booked anew"
    after = both.real.snapshot()
    remade = {key for key in made if made[key][0] != after[key][0]}
    assert remade == {("a", name) for name in (*readers[2:], "discovery_embedding")}, (
        "and only what the title shapes made anew"
    )

    both.stages("raw_video", force=True)
    assert stale(both.same_answers()) == set(), "an upstream made again with the same data version"

    (both.real.media / "a.mp4").write_bytes(both.real.tiny.make(1).read_bytes())
    both.metadata()
    both.stages("raw_video", video_ids=("a",))
    after_raw_video = {("raw_audio", "a"), ("raw_text", "a"), ("video_embedding", "a")}
    assert stale(both.same_answers()) >= after_raw_video, "an upstream of one video with another data version"

    both.stages(*NAMES[1:], by_partitions=True)
    assert stale(both.same_answers()) == set(), "everything made of what is there now"

    both.real.set("CLIPFARM_POOLING", "mean")
    answer = both.same_answers()
    assert stale(answer) == {("video_embedding", "a"), ("video_embedding", "b")}, "another code version"
    assert answer["video_embedding", "a"][1] == {("CODE", "has a new code version", None, None)}
    both.stages("video_embedding", video_ids=("a",))
    assert stale(both.same_answers()) == {("video_embedding", "b")}


def test_a_whole_chain_in_one_run_says_of_each_video_what_it_was_made_from(deployment: Deployment) -> None:
    for video_id in VIDEOS:
        deployment.add(video_id)
    deployment.run(fan_in=False)
    parents = {stage.name: [upstream.name for upstream in stage.upstream] for stage in STAGES}
    for video_id in VIDEOS:
        tags = {name: _tags(deployment.instance, name, video_id) for name in ALL}
        for name in ALL:
            identity = deployment.identity(video_id, name)
            assert identity is not None and tags[name]["dagster/data_version"] == identity.data_version
            for parent in parents[name]:
                version = tags[name][f"dagster/input_data_version/{parent}"]
                assert version == tags[parent]["dagster/data_version"]
                pointed_at = int(tags[name][f"dagster/input_event_pointer/{parent}"])
                assert _materialization(deployment.instance, parent, video_id).storage_id == pointed_at


def _materialization(instance: dg.DagsterInstance, name: str, video_id: str | None) -> dg.EventLogRecord:
    partitions = None if video_id is None else [video_id]
    found = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(name), asset_partitions=partitions), limit=1
    )
    return found.records[0]


def _provenance(tags: dict[str, str]) -> set[str]:
    return {name for name in tags if name.startswith("dagster/")}


def _tags(instance: dg.DagsterInstance, name: str, video_id: str = "a") -> dict[str, str]:
    record = _materialization(instance, name, None if name == METADATA else video_id)
    assert record.asset_materialization is not None
    return dict(record.asset_materialization.tags or {})
