"""Batches, thumbnails and exports that wait: what is due, and how it is made; for assets, sensor and command line."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from logging import Logger

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.attempts import attempt, made_of_each, raw_file
from clipfarm_assets.clips.book import default_batch_id, due_batches, fail_batch, give_back, list_clips, take_batch
from clipfarm_assets.clips.exporting import Export, export_clip
from clipfarm_assets.clips.inputs import video_inputs
from clipfarm_assets.clips.rejudging import batches_without_trend, note_rejudged, rejudge_batch
from clipfarm_assets.clips.scoring import BatchReport, score_batch
from clipfarm_assets.clips.thumbnails import make_thumbnails, without_thumbnail
from clipfarm_assets.clips.trend import NO_VECTOR_YET
from clipfarm_assets.clips.work import (
    ExportPlan,
    batch_ids,
    batch_prefix,
    fail_export,
    fail_waiting_export,
    finish_export,
    give_back_export,
    note_run,
    owners,
    release,
    say_why_it_waits,
    take_export,
    waiting_exports,
    waiting_thumbnails,
)
from clipfarm_assets.database.connect import open_database
from clipfarm_assets.errors import ClipfarmError, ClipMissing, DatabaseChanged, VideoError
from clipfarm_assets.graph.clip_trend import Trends, videos_with_vectors
from clipfarm_assets.graph.events import read_events
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.raw import RAW_AUDIO, RAW_TEXT, RAW_VIDEO
from clipfarm_assets.graph.segments import SCENE_SEGMENTS
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.store.artifacts import Identity, Json, Made
from clipfarm_assets.store.object_store import ObjectStore

UPSTREAM = (RAW_VIDEO, RAW_TEXT, RAW_AUDIO, SCENE_SEGMENTS)


@dataclass(frozen=True)
class Waits:
    """A video whose clips cannot be made now. ``for_ever``: until its row or file changes."""

    why: str
    for_ever: bool = False


@dataclass
class Done:
    """What one run has made."""

    made: dict[str, str] = field(default_factory=dict)  # id: how it ended
    waiting: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def encode(workshop: Workshop, texts: Sequence[str]) -> NDArray[np.float32]:
    """Sentences to vectors by the text model, which is loaded only where there are sentences."""
    return workshop.text_encoder.embed_sentences(texts)


def release_dead(instance: dg.DagsterInstance, workshop: Workshop) -> int:
    """Frees what runs had in hand that are over; a run that this instance does not know has its lease."""
    runs = {owner: instance.get_run_by_id(owner) for owner in owners(workshop.database)}
    dead = [owner for owner, run in runs.items() if run is not None and run.is_finished]
    with suppress(DatabaseChanged):  # somebody took it meanwhile
        return release(workshop.database, dead, now())
    return 0


def look(instance: dg.DagsterInstance, workshop: Workshop, video_id: str) -> Item | Waits:
    """The video with what clips are made of, or why it is not there."""
    video = workshop.videos([video_id]).get(video_id) if workshop.videos_etag() else None
    if video is None or video.removed:
        return Waits("The metadata does not have this video.", for_ever=True)
    inputs: dict[str, Identity] = {}
    for stage in UPSTREAM:
        identity = workshop.artifacts.present(stage.key(video_id))
        if identity is None:
            return _why(instance, stage.name, video)
        inputs[stage.name] = identity
    versions = {name: identity.data_version for name, identity in inputs.items()}
    return Item(video, inputs, "-".join(versions[stage.name][:16] for stage in UPSTREAM))


def _why(instance: dg.DagsterInstance, stage: str, video: Video) -> Waits:
    seen = read_events(instance, stage, [video.video_id]).get(video.video_id)
    outcome = seen.outcome if seen else None
    if outcome is not None and outcome.status.failed and outcome.status.meaning.terminal:
        return Waits(f"{stage} of this video has failed: {outcome.error or outcome.status.value}", for_ever=True)
    return Waits(f"Waits for {stage} of the video.")


def has_work(instance: dg.DagsterInstance, workshop: Workshop) -> bool:
    """Whether some batch can be made or ended now."""
    batches = due_batches(workshop.database, now())
    return any(
        isinstance(found := look(instance, workshop, batch.video_source_id), Item) or found.for_ever
        for batch in batches
    )


def make_batches(instance: dg.DagsterInstance, workshop: Workshop, owner: str, log: Logger) -> Done:
    """Makes every batch that can be made, also those that come meanwhile.

    Raises:
        ClipfarmError: the platform fails; the batch in hand waits again, and says why.
    """
    done, trends = Done(), Trends(workshop)
    while new := [b for b in due_batches(workshop.database, now()) if b.id not in done.made | done.waiting]:
        for batch in new:
            found = look(instance, workshop, batch.video_source_id)
            if isinstance(found, Item):
                report = _make_batch(workshop, batch.id, found, owner, trends)
                done.made[batch.id] = f"{report.status}, {report.clips} clips" if report else "taken by another"
                if report is not None and report.error_message:
                    log.warning(f"Batch {batch.id} of {batch.video_source_id}: {report.error_message}")
            elif found.for_ever:
                if take_batch(workshop.database, batch.id, owner, now()) is not None:
                    fail_batch(workshop.database, batch.id, owner, found.why, now())
                done.made[batch.id] = "failed"
            else:
                say_why_it_waits(workshop.database, batch.id, found.why, now())
                done.waiting[batch.id] = found.why
    return done


def _make_batch(workshop: Workshop, batch_id: str, item: Item, owner: str, trends: Trends) -> BatchReport | None:
    database = workshop.database
    try:
        note_run(database, batch_id, owner, now())
        inputs = attempt(
            video_inputs, item, workshop.store, partial(encode, workshop),
            trends.of(item.video), item.source_hash,
        )  # fmt: skip
        if isinstance(inputs, VideoError):
            if take_batch(database, batch_id, owner, now()) is None:
                return None
            fail_batch(database, batch_id, owner, str(inputs), now())
            return BatchReport("failed", error_message=str(inputs))
        return score_batch(database, batch_id, owner, inputs, workshop.llm, now)
    except DatabaseChanged:
        return None  # it took so long that another has it
    except ClipfarmError as error:
        with suppress(ClipfarmError):
            give_back(database, batch_id, owner, str(error), now())
        raise


# Trends


def due_trends(instance: dg.DagsterInstance, workshop: Workshop) -> tuple[list[str], list[str]]:
    """What was scored before its video had a fused vector and can have its trend now.

    Returns:
        The videos whose default batch that is, as far as ``scored_clips`` can run for them, and the other batches.
    """
    default, asked = _batches_with_vectors(workshop)
    videos = sorted(default.values()) if workshop.settings.default_clips else []
    for name in (*(stage.name for stage in UPSTREAM), "scored_clips") if videos else ():
        seen = read_events(instance, name, videos)
        videos = [v for v in videos if v in seen and (o := seen[v].outcome) is not None and o.status.materialized]
    return videos, list(asked)


def _batches_with_vectors(workshop: Workshop) -> tuple[dict[str, str], dict[str, str]]:
    """Those without a trend whose videos have a vector now, with these videos: default batches, and all others."""
    default: dict[str, str] = {}
    asked: dict[str, str] = {}
    if without := batches_without_trend(workshop.database):
        there = videos_with_vectors(workshop)
        for batch_id, video_id in without.items():
            if video_id in there:
                (default if batch_id == default_batch_id(video_id) else asked)[batch_id] = video_id
    return default, asked


def judge_trends(workshop: Workshop) -> set[str]:
    """Gives the clips of the batches that people asked for their trend, where it can be known now; the clips' ids.

    Raises:
        StoreError, DatabaseError: the platform fails.
    """
    trends, changed = Trends(workshop), set[str]()
    for batch_id, video_id in _batches_with_vectors(workshop)[1].items():
        video = workshop.videos([video_id]).get(video_id)
        if video is not None and (trend := trends.of(video)) != NO_VECTOR_YET:
            changed.update(rejudge_batch(workshop.database, batch_id, trend, now()))
            note_rejudged(workshop.database, batch_id)
    return changed


# Thumbnails


def make_waiting_thumbnails(instance: dg.DagsterInstance, workshop: Workshop) -> dict[str, str]:
    """Makes those that clips of ready batches lack; why some could not be made, by batch.

    Raises:
        StoreError, DatabaseError: the platform fails.
    """
    failed, items = {}, {}
    for batch_id, video_id in waiting_thumbnails(workshop.database):
        found = look(instance, workshop, video_id)
        if isinstance(found, Item):
            items[video_id] = found
        else:
            failed[batch_id] = found.why
    for item, made in thumbnails_of_videos(items.values(), workshop):
        if isinstance(made, VideoError):
            failed[item.video.video_id] = str(made)
    return failed


def thumbnails_of_videos(items: Iterable[Item], workshop: Workshop) -> Iterator[Result]:
    """The thumbnails of all clips of each item's video that lack one, made in the workers."""
    make = partial(_thumbnails_of_video, workshop.store, workshop.settings.db)
    return made_of_each(items, make, workshop.limits)


def _thumbnails_of_video(store: ObjectStore, database_url: str, item: Item) -> Made:
    """Made: by clip, where its thumbnail lies; of the batch that every video gets."""
    database, video_id, made = open_database(database_url), item.video.video_id, 0
    try:
        waiting = [each for each in batch_ids(database, video_id) if without_thumbnail(database, each)]
        if waiting:  # a score that changes alone does not fetch the video
            with raw_file(item, "raw_video", store) as video:
                made = sum(make_thumbnails(database, store, each, video) for each in waiting)
        try:
            clips = list_clips(database, default_batch_id(video_id))
        except ClipMissing:
            clips = []
        keys = {clip.id: clip.thumbnail_path for clip in clips if clip.thumbnail_path}
        best = next(iter(keys.values()), None)
        picture = store.get(best) if best else None
    finally:
        database.close()
    details: dict[str, Json] = {"thumbnails": len(keys), "made_now": made}
    return Made(json.dumps(keys, sort_keys=True, indent=1).encode(), details=details, picture=picture)


# Exports


def make_exports(instance: dg.DagsterInstance, workshop: Workshop, run_id: str, log: Logger) -> Done:
    """Renders every export that waits, also those that come meanwhile.

    Raises:
        ClipfarmError: the platform fails; the export in hand waits again, and says why.
    """
    done = Done()
    while new := [w for w in waiting_exports(workshop.database) if w.job_id not in done.made | done.waiting]:
        for waiting in new:
            found = look(instance, workshop, waiting.video_id)
            if isinstance(found, Waits):
                if found.for_ever:
                    fail_waiting_export(workshop.database, waiting.job_id, found.why, now())
                done.waiting[waiting.job_id] = found.why
                continue
            plan = take_export(workshop.database, waiting.job_id, run_id, found.source_hash, now())
            if plan is None:
                done.made[waiting.job_id] = "taken by another"
                continue
            why = _make_export(workshop, plan, found)
            done.made[waiting.job_id] = why or "ready"
            if why:
                log.warning(f"Export of clip {plan.clip_id}: {why}")
                done.failed[waiting.job_id] = why
    return done


def _make_export(workshop: Workshop, plan: ExportPlan, item: Item) -> str | None:
    """Why it could not be made."""
    try:
        if plan.is_made and workshop.store.head(plan.key("mp4")) is not None:
            finish_export(workshop.database, plan, None, now())
            return None
        made = export_clip(Export(plan, item), workshop.store, workshop.settings.db, workshop.limits)
    except ClipfarmError as error:
        with suppress(ClipfarmError):
            give_back_export(workshop.database, plan, str(error), now())
        raise
    if isinstance(made, VideoError):
        fail_export(workshop.database, plan, str(made), now())
        return str(made)
    finish_export(workshop.database, plan, made, now())
    return None


# Removal


def forget_files(workshop: Workshop, video_id: str) -> None:
    """Deletes the thumbnails and exports of a video's clips."""
    for batch_id in batch_ids(workshop.database, video_id):
        for info in workshop.store.list(batch_prefix(batch_id)):
            workshop.store.delete(info.key)
