"""Batches and clips as tables."""

import io
import json
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy import func, select

from clipfarm_assets.database.clip_tables import Clip, ClipBatch
from clipfarm_assets.database.connect import Database

_TEXT, _TIME = pa.string(), pa.timestamp("us", "UTC")
_GRADES = ("grade_hook", "grade_flow", "grade_value", "grade_trend")
_PLAIN = (
    *("start_time_sec", "end_time_sec", "duration_sec", "viral_score", *_GRADES),
    *("title", "description", "language", "status", "transcript_preview", "hashtags"),
)

CLIPS_SCHEMA = pa.schema(
    [
        *((name, _TEXT) for name in ("clip_id", "clip_batch_id", "video_id")),
        *((name, pa.float64()) for name in ("start_time_sec", "end_time_sec", "duration_sec", "viral_score")),
        *((name, _TEXT) for name in _GRADES),
        *((name, _TEXT) for name in ("title", "description", "language", "status", "transcript_preview")),
        ("hashtags", pa.list_(_TEXT)),
        ("score_parts", _TEXT),
    ]
)
BATCHES_SCHEMA = pa.schema(
    [
        *((name, _TEXT) for name in ("clip_batch_id", "video_id", "name", "config_json", "status", "error_message")),
        ("clips", pa.int64()),
        *((name, _TIME) for name in ("created_at", "updated_at")),
    ]
)


def clips_parquet(video_id: str, clips: Sequence[Clip]) -> bytes:
    """The clips of one batch in the order given, columns as ``CLIPS_SCHEMA``; the same clips give the same bytes."""
    rows = [
        {
            "clip_id": clip.id, "clip_batch_id": clip.clip_batch_id, "video_id": video_id,
            "score_parts": json.dumps(clip.score_parts, sort_keys=True, ensure_ascii=False),
            **{name: getattr(clip, name) for name in _PLAIN},
        }
        for clip in clips
    ]  # fmt: skip
    return _parquet(pa.Table.from_pylist(rows, CLIPS_SCHEMA))


def batches_table(database: Database) -> pa.Table:
    """Every batch with the number of its clips, the newest first; columns as ``BATCHES_SCHEMA``."""
    count = func.count(Clip.id)
    query = select(ClipBatch, count).outerjoin(Clip, Clip.clip_batch_id == ClipBatch.id).group_by(ClipBatch.id)
    with database.read() as session:
        found = list(session.execute(query.order_by(ClipBatch.created_at.desc(), ClipBatch.id)))
    rows = [
        {
            "clip_batch_id": batch.id, "video_id": batch.video_source_id, "name": batch.name,
            "config_json": json.dumps(batch.config_json, sort_keys=True), "status": batch.status,
            "error_message": batch.error_message, "clips": clips, "created_at": batch.created_at,
            "updated_at": batch.updated_at,
        }
        for batch, clips in found
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, BATCHES_SCHEMA)


def batches_parquet(table: pa.Table) -> bytes:
    """The table of all batches as a file."""
    return _parquet(table)


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
