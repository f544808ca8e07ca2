"""Whether the scores say anything about what really happened to the videos."""

from collections.abc import Iterator

import dagster as dg

from clipfarm_assets.clips.book import default_batch_id, list_clips
from clipfarm_assets.clips.calibration import (
    Calibration,
    Correlation,
    Outcome,
    VideoRow,
    calibrate,
    columns_of,
    realised_growth,
)
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.errors import ClipMissing, VideoError
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.clip_trend import views_of
from clipfarm_assets.graph.clips import SCORED_CLIPS, scored_clips
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.presentation import cell, markdown_table
from clipfarm_assets.graph.raw import RAW_TEXT, RAW_VIDEO
from clipfarm_assets.media.transcripts import parse_transcript


@dg.asset(
    group_name="clips", kinds={"report"}, owners=["team:data-platform"], code_version="1",
    deps=[dg.AssetDep(scored_clips, partition_mapping=dg.AllPartitionMapping()), "video_metadata"],
)  # fmt: skip
def score_calibration(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """How well the score of a video's best clip tells the video's growth, beside simple ways to guess it.

    Growth comes from `horizon_view_count` and the snapshots under `clipfarm/metadata/`. A score that is fed by a column
    which leaks it (views, likes, rates, …) is refused, by the column's name.
    """
    emit_own_events(context)
    workshop = platform.open()
    rows = list(_rows(workshop))
    report = calibrate(rows, SCORED_CLIPS.fields)
    ours = report.correlations["score"]
    return dg.MaterializeResult(
        metadata={
            "videos": len(rows),
            "found": ours.found,
            "spearman": dg.MetadataValue.null() if ours.rho is None else round(ours.rho, 3),
            "correlations": dg.MetadataValue.md(_correlations(report)),
            "reliability": dg.MetadataValue.md(_reliability(report)),
            "left_out": dg.MetadataValue.json(dict(report.left_out)),
        }
    )


def _rows(workshop: Workshop) -> Iterator[VideoRow]:
    """A row for every video whose default batch has clips."""
    tables = workshop.metadata()
    views = views_of(tables.snapshots)
    wanted = ["video_id", "horizon_days", "horizon_view_count", "removed"]
    for video_id, days, count, removed in zip(*(tables.videos[name].to_pylist() for name in wanted), strict=True):
        try:
            clips = [] if removed else list_clips(workshop.database, default_batch_id(video_id))
        except ClipMissing:
            clips = []
        if not clips:
            continue
        known = views.get(video_id)
        growth = realised_growth(known, days, count) if known else Outcome(None, "no known publication")
        timeline, duration_sec = _timeline(workshop, video_id)
        yield VideoRow(video_id, growth, columns_of(clips, duration_sec, timeline))


def _timeline(workshop: Workshop, video_id: str) -> tuple[Timeline, float]:
    identity = workshop.artifacts.identity(RAW_VIDEO.key(video_id))
    known = identity.details.get("duration_sec") if identity else None
    duration_sec = float(known) if isinstance(known, int | float) else 0.0
    content = workshop.store.get(RAW_TEXT.key(video_id))
    try:
        cues = parse_transcript(content, "raw_text.json").cues if content else ()
    except VideoError:
        cues = ()  # counts as a video without words here; `raw_text` says what is wrong with it
    return Timeline.of(cues, duration_sec), duration_sec


def _correlations(report: Calibration) -> str:
    head = ["column", "videos", "Spearman", "95 %", "p", "note"]
    return markdown_table(head, [[name, *_cells(each)] for name, each in sorted(report.correlations.items())])


def _cells(each: Correlation) -> list[str]:
    if each.rho is None or each.low is None or each.high is None or each.p_value is None:
        return [str(each.n), "", "", "", cell(each.reason or "")]
    return [str(each.n), f"{each.rho:.2f}", f"{each.low:.2f} … {each.high:.2f}", f"{each.p_value:.3f}", ""]


def _reliability(report: Calibration) -> str:
    rows = [
        [f"{each.least:.1f} … {each.most:.1f}", str(each.n), f"{each.mean_score:.2f}", f"{each.median_growth:,.1f}"]
        for each in report.reliability
    ]
    return markdown_table(["score", "videos", "mean score", "median views a day"], rows)
