"""An export: one clip as MP4 and SRT in the store.

In: a plan, and the item of its video. Out: ``ExportedFile``; how far it is stands in the job meanwhile. What can go
wrong: ``MissingRawObject``, ``UnsupportedMedia``, ``VideoError``; a crash of a decoder is that too, since the work is
done in a worker.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from clipfarm_assets.attempts import attempt, raw_file
from clipfarm_assets.clips.inputs import content_of, transcript_of
from clipfarm_assets.clips.jobs import follow_job
from clipfarm_assets.clips.work import ExportedFile, ExportPlan
from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.errors import VideoError
from clipfarm_assets.export.render import render
from clipfarm_assets.export.subtitles import clip_subtitles, to_srt
from clipfarm_assets.media.scenes import scene_spans
from clipfarm_assets.outcomes import Item
from clipfarm_assets.store.artifacts import content_sha256
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.workers.foreman import WorkerDied
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets.workers.pool import in_workers

_NOTED_EVERY_SEC = 1.0
_TRIES = 2  # a worker that was killed from outside says nothing about the clip


class Export(NamedTuple):
    """One export on its way to a worker."""

    plan: ExportPlan
    item: Item


def export_clip(export: Export, store: ObjectStore, database_url: str, limits: Limits) -> ExportedFile | VideoError:
    """Renders in a worker; a second time where the worker dies.

    Raises:
        StoreError, DatabaseError: the platform fails.
    """
    found: ExportedFile | VideoError = VideoError("There is no worker.")
    for _ in range(_TRIES):
        [(_, found, _)] = in_workers([export], partial(_exporting, store, database_url), limits)
        if not isinstance(found, WorkerDied):
            break
    return found


def _exporting(store: ObjectStore, database_url: str) -> Callable[[Export], ExportedFile | VideoError]:
    return lambda export: attempt(_export, export, store, database_url)


def _export(export: Export, store: ObjectStore, database_url: str) -> ExportedFile:
    plan, item = export
    transcript = transcript_of(item, store)
    subtitles = clip_subtitles(transcript.cues, plan.start_sec, plan.end_sec)
    cuts_sec = [start for start, _ in scene_spans(content_of(item, "scene_segments", store))]
    database = open_database(database_url)
    try:
        with raw_file(item, "raw_video", store) as video, tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "clip.mp4"
            made = render(
                video, plan.start_sec, plan.end_sec, plan.aspect_ratio.value, out, subtitles=subtitles,
                burn_in=plan.subtitles_burned and bool(subtitles), cuts_sec=cuts_sec,
                progress=_Noted(database, plan.job_id),
            )  # fmt: skip
            size, sha256 = out.stat().st_size, content_sha256(out)
            store.put(plan.key("mp4"), out)
            if subtitles:
                store.put(plan.key("srt"), to_srt(subtitles).encode())
    finally:
        database.close()
    srt = plan.key("srt") if subtitles else None
    return ExportedFile(plan.key("mp4"), srt, made.width, made.height, size, sha256)


class _Noted:
    """Progress in the job's row, once a second: it is also the sign that the worker lives."""

    def __init__(self, database: Database, job_id: str) -> None:
        self._database, self._job_id = database, job_id
        self._next = 0.0

    def __call__(self, share: float) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _NOTED_EVERY_SEC
            follow_job(self._database, self._job_id, datetime.now(UTC), progress=min(share, 0.99))
