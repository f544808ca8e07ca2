"""Asset checks: unpartitioned, since a partitioned check of a ranged run is stored without its partition."""

import dagster as dg
import pyarrow.compute as pc

from clipfarm_assets.embeddings.manifest import agrees, count_values, read_manifest
from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.fusion.dimensions import guarded_dims
from clipfarm_assets.fusion.strategies import strategy
from clipfarm_assets.fusion.verify import fused_problems
from clipfarm_assets.graph.fusion import MODALITIES, embedding_manifest, fused_manifest
from clipfarm_assets.graph.ledger import METADATA_STAGE, count_by_stage, ledger, ledger_table
from clipfarm_assets.graph.platform import Platform
from clipfarm_assets.graph.presentation import markdown_table
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.state import read_state
from clipfarm_assets.statuses import Status

_SAMPLE = 64


@dg.asset_check(asset=ledger, description="Every metadata row is in exactly one state per stage.")
def conservation(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    """Rows in = sum of the states, stage by stage."""
    state = read_state(context.instance, platform.open(), STAGES)
    table = ledger_table(state)
    counts = {stage: sum(of_stage.values()) for stage, of_stage in count_by_stage(table).items()}
    expected = {stage.name: len(state.videos) for stage in STAGES if state.videos}
    if state.metadata.quarantine.num_rows:
        expected[METADATA_STAGE] = state.metadata.quarantine.num_rows
    pairs = table.group_by(["video_id", "stage"]).aggregate([("status", "count")])
    twice = pairs.filter(pc.and_(pc.greater(pairs["status_count"], 1), pc.not_equal(pairs["stage"], METADATA_STAGE)))
    return dg.AssetCheckResult(
        passed=counts == expected and twice.num_rows == 0,
        metadata={"expected": expected, "found": counts, "in_two_states": twice.num_rows},
    )


@dg.asset_check(asset=embedding_manifest, description="Every video that is not removed has its vectors.")
def coverage(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    """The share of videos whose stage has said its last word; below 100 % is a warning, with what is missing."""
    workshop, rows, missing = platform.open(), [], 0
    for modality in MODALITIES:
        counts = count_values(read_manifest(workshop.store, modality)["status"])
        videos = sum(counts.values())
        done = sum(count for status, count in counts.items() if Status(status).materialized)
        missing += videos - done
        rows.append([modality, str(done), str(videos), f"{done / max(videos, 1):.1%}"])
    return dg.AssetCheckResult(
        passed=missing == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"coverage": dg.MetadataValue.md(markdown_table(["modality", "done", "videos", "share"], rows))},
    )


@dg.asset_check(asset=embedding_manifest, description="Pointers lead to the vectors that the manifest describes.")
def manifest_agrees_with_npy(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    """Samples pointers of every modality and compares existence, dimension, type, unit norm and SHA-256."""
    workshop, problems = platform.open(), []
    for modality in MODALITIES:
        table = read_manifest(workshop.store, modality)
        problems += agrees(workshop.store, table, _SAMPLE, seed=_seed(context.run.run_id))
    rows = [[problem.video_id, problem.key, problem.problem] for problem in problems]
    return dg.AssetCheckResult(
        passed=not problems,
        metadata={"problems": dg.MetadataValue.md(markdown_table(["video", "key", "problem"], rows))},
    )


@dg.asset_check(asset=fused_manifest, description="One length a strategy; parts of unit length; the text mask.")
def dimensions_and_unit_norm(context: dg.AssetCheckExecutionContext, platform: Platform) -> dg.AssetCheckResult:
    """Every fused vector has its strategy's length and its part is there; those of one part are looked at."""
    workshop, seed = platform.open(), _seed(context.run.run_id)
    names = workshop.settings.fusion_strategies
    manifests = {modality: read_manifest(workshop.store, modality) for modality in MODALITIES}
    try:
        strategies = [strategy(name) for name in names]
        dims = guarded_dims(workshop.store, strategies, manifests, accept_new_dimensions=False)
        problems = [problem for name in names for problem in fused_problems(workshop.store, name, dims, seed=seed)]
    except DimensionMismatch as error:
        dims, problems = {}, [str(error)]
    metadata = {
        "dimensions": dg.MetadataValue.json({str(m): dim for m, dim in dims.items()}),
        "problems": dg.MetadataValue.json(problems),
    }
    return dg.AssetCheckResult(passed=not problems, metadata=metadata)


def _seed(run_id: str) -> int:
    """Another sample every run, and the same one when a run is looked at again."""
    return int(run_id.replace("-", "")[:8], 16)


CHECKS = (conservation, coverage, manifest_agrees_with_npy, dimensions_and_unit_norm)
