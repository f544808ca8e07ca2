"""Clips: a batch for every video, their thumbnails, the batches that people ask for, and exports."""

from collections.abc import Iterable, Iterator
from functools import partial

import dagster as dg

from clipfarm_assets.attempts import attempt
from clipfarm_assets.clips.book import create_batch, default_batch_id, get_batch, list_clips, reopen_batch
from clipfarm_assets.clips.inputs import default_config, video_inputs
from clipfarm_assets.clips.llm_score import PROMPT
from clipfarm_assets.clips.rejudging import note_rejudged, rejudge_batch
from clipfarm_assets.clips.scoring import score_batch
from clipfarm_assets.clips.trend import NO_VECTOR_YET
from clipfarm_assets.clips.views import BATCHES_SCHEMA, CLIPS_SCHEMA, batches_parquet, batches_table, clips_parquet
from clipfarm_assets.clips.work import note_run
from clipfarm_assets.database.clip_tables import ClipBatch
from clipfarm_assets.discovery.whole import sync_clips
from clipfarm_assets.errors import ClipError, ClipfarmError, ClipMissing, DatabaseChanged, VideoError
from clipfarm_assets.graph.chunk import emit_own_events, run_chunk
from clipfarm_assets.graph.clip_trend import Trends
from clipfarm_assets.graph.clip_work import (
    Done,
    encode,
    judge_trends,
    make_batches,
    make_exports,
    make_waiting_thumbnails,
    now,
    release_dead,
    thumbnails_of_videos,
)
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.in_flight import mark_stalled
from clipfarm_assets.graph.platform import Chunk, Platform, Workshop
from clipfarm_assets.graph.presentation import cell, markdown_table
from clipfarm_assets.graph.raw import RAW_AUDIO, RAW_TEXT, RAW_VIDEO, raw_audio, raw_text, raw_video
from clipfarm_assets.graph.segments import SCENE_SEGMENTS, scene_segments
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.videos import VIDEO_ASSET
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Json, Made, Versions

BATCHES_KEY = "clipfarm/clips/clip_batches.parquet"
_LOCAL = "local"
_POOL = "clip_writer"  # runs of people's batches and exports queue here, one at a time
_SHOWN = 30


def scored_by(settings: Settings) -> str:
    """What the scores of this deployment's default batches are signed with."""
    if not settings.default_clips:
        return Status.TURNED_OFF.value
    return f"{settings.llm_model} {PROMPT.version}" if settings.llm_model else _LOCAL


def _score_versions(settings: Settings, models: ModelSet) -> Versions:
    return Versions("1", scored_by(settings), models.text.revision)


SCORED_CLIPS = Stage(
    name="scored_clips", artifact="clipfarm/clips/{video_id}.parquet",
    fields=("title", "description", "language", "published_at", "video_type"),
    upstream=(RAW_VIDEO, RAW_TEXT, RAW_AUDIO, SCENE_SEGMENTS), code_version="1", model=_score_versions,
)  # fmt: skip
CLIP_THUMBNAILS = Stage(
    name="clip_thumbnails", artifact="clipfarm/clips/{video_id}.thumbnails.json", fields=(),
    upstream=(RAW_VIDEO, SCORED_CLIPS), code_version="1",
)  # fmt: skip


@dg.asset(
    **VIDEO_ASSET, group_name="clips", kinds={"parquet", "sqlalchemy"}, code_version=SCORED_CLIPS.code_version,
    deps=["video_metadata", raw_video, raw_text, raw_audio, scene_segments], metadata=column_schema(CLIPS_SCHEMA),
)  # fmt: skip
def scored_clips(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """The clips of the batch that every video gets, ranked: in the database, and `clipfarm/clips/<video_id>.parquet`.

    Windows of scenes and sentences, scored from the transcript, the sound and the views of similar videos, and by the
    language model where `CLIPFARM_LLM_MODEL` names one. Nothing is embedded again. `turned_off` where
    `CLIPFARM_DEFAULT_CLIPS` is false.
    """
    shop = platform.open()
    release_dead(context.instance, shop)
    run_chunk(context, SCORED_CLIPS, shop, chunk, lambda items: score_videos(items, shop, context.run.run_id))


@dg.asset(
    **VIDEO_ASSET, group_name="clips", kinds={"jpeg"}, code_version=CLIP_THUMBNAILS.code_version,
    deps=[raw_video, scored_clips],
)  # fmt: skip
def clip_thumbnails(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """The middle frame of each clip, upright, as JPEG: `clipfarm/clips/<batch>/<clip>/<span>.jpg`."""
    shop = platform.open()
    run_chunk(context, CLIP_THUMBNAILS, shop, chunk, lambda items: _thumbnails(items, shop))


@dg.asset(
    group_name="clips", kinds={"parquet", "sqlalchemy"}, owners=["team:data-platform"], code_version="1", pool=_POOL,
    deps=["video_metadata"], metadata=column_schema(BATCHES_SCHEMA),
)  # fmt: skip
def clip_batches(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Makes the clips of every batch that waits; all batches as `clipfarm/clips/clip_batches.parquet`.

    Batches come from `clipfarm clips new` and the HTTP API. One whose worker died is made again, three times at most.
    """
    emit_own_events(context)
    workshop = platform.open()
    release_dead(context.instance, workshop)
    try:
        done = make_batches(context.instance, workshop, context.run.run_id, context.log)
        rejudged = judge_trends(workshop)
        lost = make_waiting_thumbnails(context.instance, workshop)
    except ClipfarmError as error:
        mark_stalled(context, error)
        raise
    found = {clip.id for batch_id in done.made for clip in list_clips(workshop.database, batch_id)}
    indexed = sync_clips(workshop.discovery, found | rejudged)
    table = batches_table(workshop.database)
    workshop.store.put(BATCHES_KEY, batches_parquet(table))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": table.num_rows,
            "batches": dg.MetadataValue.md(_done_table("batch", done)),
            "without_thumbnails": dg.MetadataValue.json(lost),
            "indexed": indexed.indexed,
            "parquet": dg.MetadataValue.path(workshop.store.location(BATCHES_KEY)),
        }
    )


@dg.asset(
    group_name="clips", kinds={"mp4", "sqlalchemy"}, owners=["team:data-platform"], code_version="1", pool=_POOL,
    deps=[raw_video, raw_text, scene_segments, clip_batches],
)  # fmt: skip
def clip_exports(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Renders every clip whose export somebody has asked for: `clipfarm/clips/<batch>/<clip>/<version>.mp4` and `.srt`.

    How far each is stands in its job. The same export is made once.
    """
    emit_own_events(context)
    workshop = platform.open()
    release_dead(context.instance, workshop)
    try:
        done = make_exports(context.instance, workshop, context.run.run_id, context.log)
    except ClipfarmError as error:
        mark_stalled(context, error)
        raise
    return dg.MaterializeResult(
        metadata={"failed": len(done.failed), "exports": dg.MetadataValue.md(_done_table("job", done))}
    )


def score_videos(items: Iterable[Item], workshop: Workshop, owner: str) -> Iterator[Result]:
    """The default batch of each item, scored; ``owner`` is the run.

    Raises:
        StoreError, DatabaseError, ModelError: the platform fails; what is wrong with one video is its ``VideoError``.
    """
    trends = Trends(workshop)
    for item in items:
        if not workshop.settings.default_clips:
            yield item, Made(None, Status.TURNED_OFF)
            continue
        judged: list[str] = []
        yield item, attempt(_scored, item, workshop, owner, trends, judged)
        for batch_id in judged:  # only now: a run that dies before the artifact is stored leaves it to the next
            note_rejudged(workshop.database, batch_id)


def _scored(item: Item, workshop: Workshop, owner: str, trends: Trends, judged: list[str]) -> Made:
    """``judged`` takes up the batch whose clips have got their trend now."""
    database, video_id = workshop.database, item.video.video_id
    version = f"{item.source_hash} {SCORED_CLIPS.versions(workshop.settings, lambda: workshop.models)}"
    try:
        batch = _opened(item, workshop, version)
        if batch.status == "draft":
            note_run(database, batch.id, owner, now())
            inputs = video_inputs(
                item, workshop.store, partial(encode, workshop),
                trends.of(item.video), version,
            )  # fmt: skip
            if score_batch(database, batch.id, owner, inputs, workshop.llm, now) is None:
                raise VideoError("Another run makes the clips of this video just now.")
        elif batch.awaits_vector and (trend := trends.of(item.video)) != NO_VECTOR_YET:
            rejudge_batch(database, batch.id, trend, now())
            judged.append(batch.id)
        batch, clips = get_batch(database, batch.id), list_clips(database, batch.id)
    except (ClipError, DatabaseChanged) as error:
        raise VideoError(str(error)) from error
    if batch.status == "failed":
        raise VideoError(batch.error_message or "The batch has failed.")
    details: dict[str, Json] = {
        "clips": len(clips), "best_score": clips[0].viral_score if clips else None, "batch": batch.id,
        "batch_status": batch.status, "without": batch.error_message,
    }  # fmt: skip
    return Made(clips_parquet(video_id, clips), details=details)


def _opened(item: Item, workshop: Workshop, version: str) -> ClipBatch:
    """The default batch of the item's video: a draft, unless it is final, or has just these inputs."""
    batch_id = default_batch_id(item.video.video_id)
    try:
        batch = get_batch(workshop.database, batch_id)
    except ClipMissing:
        config = default_config(item.video)
        return create_batch(workshop.database, item.video.video_id, config, now(), batch_id=batch_id)[0]
    if batch.status == "final" or (batch.status == "ready" and batch.input_version == version):
        return batch
    if batch.status == "processing":
        raise VideoError("Another run makes the clips of this video just now.")
    return reopen_batch(workshop.database, batch_id, now())[0]


def _thumbnails(items: Iterable[Item], workshop: Workshop) -> Iterator[Result]:
    wanted = []
    for item in items:
        if item.inputs[SCORED_CLIPS.name].key is None:
            yield item, Made(None, Status.TURNED_OFF)
        else:
            wanted.append(item)
    yield from thumbnails_of_videos(wanted, workshop)


def _done_table(what: str, done: Done) -> str:
    rows = [[each, cell(how)] for each, how in (*done.made.items(), *done.waiting.items())]
    return markdown_table([what, "what became of it"], rows[:_SHOWN])
