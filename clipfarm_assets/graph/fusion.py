"""The fan-in: one manifest a modality, and the fused vectors of all three."""

import io
from collections.abc import Iterator
from datetime import datetime

import dagster as dg

from clipfarm_assets.embeddings.manifest import MANIFEST_SCHEMA, ManifestRow, Modality, read_manifest, write_manifest
from clipfarm_assets.fusion.build import FusionReport, build_fused
from clipfarm_assets.fusion.fused_manifest import FUSED_SCHEMA
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.delta import NO_EVENTS
from clipfarm_assets.graph.embeddings import AUDIO_EMBEDDING, TEXT_EMBEDDING, VIDEO_EMBEDDING
from clipfarm_assets.graph.fan_in import SEEN, newest_input
from clipfarm_assets.graph.platform import Platform
from clipfarm_assets.graph.presentation import markdown_table, picture_markdown
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.state import State, read_state
from clipfarm_assets.statuses import Status

MODALITIES: dict[Modality, Stage] = {"video": VIDEO_EMBEDDING, "audio": AUDIO_EMBEDDING, "text": TEXT_EMBEDDING}
WRITER_POOL = "manifest_writer"  # one at a time


class FusionConfig(dg.Config):
    """Choices of one run."""

    accept_new_dimensions: bool = False


@dg.asset(
    group_name="fusion", kinds={"parquet"}, owners=["team:data-platform"], code_version="1", pool=WRITER_POOL,
    deps=["video_metadata", *(stage.name for stage in MODALITIES.values())],
    metadata=column_schema(MANIFEST_SCHEMA),
)  # fmt: skip
def embedding_manifest(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Every video in every modality, with where its vector lies and what made it.

    One Parquet file a modality: `clipfarm/embeddings/{video,audio,text}_manifest.parquet`, sorted by `video_id`.
    """
    emit_own_events(context)
    workshop, seen = platform.open(), newest_input(context.instance)
    state = read_state(context.instance, workshop, STAGES)
    infos = {modality: write_manifest(workshop.store, modality, _rows(state, modality)) for modality in MODALITIES}
    statuses = sorted({status for info in infos.values() for status in info.by_status})
    rows = [[name, str(i.dim), *(str(i.by_status.get(s, 0)) for s in statuses)] for name, i in infos.items()]
    return dg.MaterializeResult(
        data_version=dg.DataVersion("-".join(info.sha256[:16] for info in infos.values())),
        metadata={
            "dagster/row_count": sum(info.rows for info in infos.values()),
            SEEN: seen,
            "by_modality": dg.MetadataValue.md(markdown_table(["modality", "dim", *statuses], rows)),
            **{name: dg.MetadataValue.path(workshop.store.location(info.key)) for name, info in infos.items()},
        },
    )


def _rows(state: State, modality: Modality) -> Iterator[ManifestRow]:
    stage = MODALITIES[modality]
    for video in state.videos:
        if video.removed:
            continue
        seen = state.events[stage.name].get(video.video_id, NO_EVENTS)
        outcome = seen.outcome
        verdict = state.verdicts.get(video.video_id, {}).get(stage.name)
        status = verdict.status if verdict else outcome.status if outcome else None
        if status is None:
            continue  # a vanished row of which nothing was ever made
        made = outcome if outcome is not None and outcome.status is status else None
        upstream = _blocker(state, video.video_id, stage)
        yield ManifestRow(
            video_id=video.video_id, source_hash=made.source_hash if made else None, captured_at=video.captured_at,
            modality=modality, embedding_key=made.artifact_key if made else None,
            embedding_dim=made.embedding_dim if made else None,
            model_name=made.versions.model_name if made else None,
            model_version=made.versions.model_version if made else None,
            preprocess_version=made.versions.preprocess_version if made else None,
            status=status, processed_at=datetime.fromisoformat(made.processed_at) if made else None,
            etag=made.etag if made else None, sha256=made.data_version if made and made.artifact_key else None,
            upstream_status=upstream, reason=made.error if made else None,
        )  # fmt: skip


def _blocker(state: State, video_id: str, stage: Stage) -> Status | None:
    """The status of the first stage before that holds this one up."""
    verdicts = state.verdicts.get(video_id, {})
    for upstream in stage.upstream:
        verdict = verdicts.get(upstream.name)
        if verdict is not None and not verdict.finished:
            return _blocker(state, video_id, upstream) if verdict.status is Status.UPSTREAM_FAILED else verdict.status
    return None


@dg.asset(
    group_name="fusion", kinds={"parquet", "numpy"}, owners=["team:data-platform"], code_version="1", pool=WRITER_POOL,
    deps=[embedding_manifest, *(stage.name for stage in MODALITIES.values())],
    metadata=column_schema(FUSED_SCHEMA),
)  # fmt: skip
def fused_manifest(
    context: dg.AssetExecutionContext, config: FusionConfig, platform: Platform
) -> dg.MaterializeResult[None]:
    """One vector a video out of picture, sound and text: `clipfarm/fused/<strategy>/fused_manifest.parquet`.

    One manifest a strategy (`concat`, `sum_pool`, `max_pool`); the text mask is the last component. The vectors lie in
    Parquet files under `parts/` beside it: the two join by `video_id` and `fused_part`. Only new and changed vectors
    are read and written, so that a few new videos cost a few. A change of dimensions stops the whole run before
    anything is written, unless the run says `accept_new_dimensions`.
    """
    emit_own_events(context)
    workshop, seen = platform.open(), newest_input(context.instance)
    manifests = {modality: read_manifest(workshop.store, modality) for modality in MODALITIES}
    reports = build_fused(
        workshop.store, workshop.settings.fusion_strategies, manifests,
        accept_new_dimensions=config.accept_new_dimensions,
    )  # fmt: skip
    for report in reports:
        said = f"{report.made} made, {report.reused} reused, {report.moved} vectors moved, {report.parts} parts"
        context.log.info(f"{report.strategy}: {said}, {report.seconds:.1f} s")
    return dg.MaterializeResult(
        data_version=dg.DataVersion("-".join(report.data_version[:16] for report in reports)),
        metadata={
            "dagster/row_count": reports[0].rows,
            SEEN: seen,
            "by_strategy": dg.MetadataValue.md(_reports_table(reports)),
            "picture": dg.MetadataValue.md(picture_markdown(_bars(reports[0].by_status))),
            **{r.strategy: dg.MetadataValue.path(workshop.store.location(r.key)) for r in reports},
        },
    )


def _reports_table(reports: tuple[FusionReport, ...]) -> str:
    head = ["strategy", "dim", "rows", "made", "reused", "removed", "status"]
    rows = [
        [r.strategy, str(r.dim), str(r.rows), str(r.made), str(r.reused), str(r.removed), str(r.by_status)]
        for r in reports
    ]
    return markdown_table(head, rows)


def _bars(counts: dict[str, int]) -> bytes:
    """The number of videos in each status, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 0.6 + 0.4 * len(counts)), layout="constrained")
    axes = figure.subplots()
    bars = axes.barh(list(counts), list(counts.values()), color="#4f43dd")
    axes.bar_label(bars, padding=3)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=80)
    return sink.getvalue()
