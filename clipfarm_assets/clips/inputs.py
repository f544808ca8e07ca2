"""What a video's clips are made of, read from what the stages before have left in the store.

In: an item with ``raw_video``, ``raw_text``, ``raw_audio`` and ``scene_segments``. Out: ``VideoInputs``. What can go
wrong: ``MissingRawObject``, ``VideoError`` (the transcript cannot be read), ``ValueError`` (the scenes cannot).
"""

from clipfarm_assets.attempts import raw_file, raw_identity, raw_key
from clipfarm_assets.clips.local_score import Judged
from clipfarm_assets.clips.loudness import Loudness, read_loudness
from clipfarm_assets.clips.model import BatchConfig, VideoType
from clipfarm_assets.clips.scoring import NO_TREND, VideoInputs
from clipfarm_assets.errors import MissingRawObject
from clipfarm_assets.media.scenes import scene_spans
from clipfarm_assets.media.transcripts import Transcript, parse_transcript
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.outcomes import Item
from clipfarm_assets.segments.flags import Encode
from clipfarm_assets.store.object_store import ObjectStore


def video_inputs(
    item: Item, store: ObjectStore, encode: Encode | None, trend: Judged = NO_TREND, version: str | None = None
) -> VideoInputs:
    """The inputs of a video; nothing of it is decoded or embedded again."""
    scenes = scene_spans(content_of(item, "scene_segments", store))
    transcript = transcript_of(item, store)
    known = raw_identity(item, "raw_video").details.get("duration_sec")
    duration_sec = float(known) if isinstance(known, int | float) and known > 0 else scenes[-1][1]
    return VideoInputs(
        video_id=item.video.video_id,
        duration_sec=duration_sec,
        title=item.video.title,
        description=item.video.description,
        language=transcript.language or item.video.language or None,
        cues=transcript.cues,
        cuts_sec=tuple(start for start, _ in scenes),
        loudness=_loudness(item, store),
        encode=encode,
        trend=trend,
        version=version,
    )


def transcript_of(item: Item, store: ObjectStore) -> Transcript:
    """What is said in the item's video."""
    return parse_transcript(content_of(item, "raw_text", store), "raw_text.json")


def content_of(item: Item, stage: str, store: ObjectStore) -> bytes:
    """What the stage before has made. Raises MissingRawObject where the store lost it."""
    key = raw_key(item, stage)
    content = store.get(key)
    if content is None:
        raise MissingRawObject(f"{key} is not in the store.")
    return content


def default_config(video: Video) -> BatchConfig:
    """What the batch that every video gets asks for: the defaults, and the row's own type of video."""
    if video.video_type in set(VideoType):
        return BatchConfig(video_type=VideoType(video.video_type))
    return BatchConfig()


def _loudness(item: Item, store: ObjectStore) -> Loudness | None:
    if raw_identity(item, "raw_audio").key is None:
        return None
    with raw_file(item, "raw_audio", store) as wav:
        return read_loudness(wav)
