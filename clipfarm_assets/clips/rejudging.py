"""The trend of clips that were scored before their video had a fused vector, judged when it has one.

Every default batch is such a one, since videos are scored before the vectors of all are fused. Nothing is cut, encoded
or asked again: the kept parts of each score are put together anew. One transaction a function.
"""

from datetime import datetime

from sqlalchemy import select

from clipfarm_assets.clips.blend import rejudged
from clipfarm_assets.clips.book import kept_clips
from clipfarm_assets.clips.local_score import Judged
from clipfarm_assets.clips.model import Part
from clipfarm_assets.database.clip_tables import Clip, ClipBatch
from clipfarm_assets.database.connect import Database


def batches_without_trend(database: Database) -> dict[str, str]:
    """Ready batches that await a fused vector, with their videos."""
    query = select(ClipBatch.id, ClipBatch.video_source_id).where(
        ClipBatch.awaits_vector, ClipBatch.status == "ready"
    )  # fmt: skip
    with database.read() as session:
        return {batch_id: video_id for batch_id, video_id in session.execute(query.order_by(ClipBatch.id))}


def rejudge_batch(database: Database, batch_id: str, trend: Judged, now: datetime) -> list[str]:
    """Gives the clips of a ready batch their trend; the ids of those that changed.

    Clips that a person edited, or that were exported or are in a job, stay as they are. The batch goes on awaiting
    until ``note_rejudged``, so that who keeps its clips elsewhere too can do that first.
    """
    with database.write() as session:
        batch = session.get(ClipBatch, batch_id, with_for_update=True)
        if batch is None or batch.status != "ready":
            return []
        clips = {clip.id: clip for clip in session.scalars(select(Clip).where(Clip.clip_batch_id == batch_id))}
        kept = kept_clips(session, clips)
        changed = [clip for clip_id, clip in clips.items() if clip_id not in kept]
        for clip in changed:
            score = rejudged(clip.score_parts, trend)
            clip.viral_score, clip.score_parts = score.viral_score, score.parts
            clip.grade_trend, clip.updated_at = score.grades[Part.TREND], now
        return [clip.id for clip in changed]


def note_rejudged(database: Database, batch_id: str) -> None:
    """The clips of a batch have been judged with a vector, and lie wherever they are kept."""
    with database.write() as session:
        batch = session.get(ClipBatch, batch_id, with_for_update=True)
        if batch is not None and batch.status == "ready":
            batch.awaits_vector = False
