"""The stages that make segments and their vectors of one video each.

In: ``raw_video``, ``raw_text``, ``scene_segments``. Out: ``clipfarm/segments/<video_id>.parquet`` and ``….npy``. What
can go wrong: ``missing_raw_object``, ``fail`` (what lies there cannot be read). A language model that fails is no
failure of the video: its spans are described by their transcript and say so.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from PIL import Image

from clipfarm_assets.attempts import attempt, raw_file, raw_key
from clipfarm_assets.embeddings.text import TextEncoder
from clipfarm_assets.embeddings.vectors import rows_to_npy
from clipfarm_assets.errors import MissingRawObject, VideoError
from clipfarm_assets.llm.client import Llm
from clipfarm_assets.media.frames import frames_at
from clipfarm_assets.media.scenes import scene_spans
from clipfarm_assets.media.transcripts import Transcript, parse_transcript
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.segments.describe import PROMPT, TRANSCRIPT, Asking, LocalFlags, describe_video
from clipfarm_assets.segments.spans import Span, spans
from clipfarm_assets.segments.table import read_segments, to_parquet
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Json, Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.threads import side_by_side

_VIDEOS_AT_ONCE = 8  # whose questions wait for the language model side by side
_PICTURE_SIDE = 512


@dataclass(frozen=True)
class Describing:
    """What describes segments: the store they come from, the local reader of flags, and a model where there is one."""

    store: ObjectStore
    local: LocalFlags
    llm: Llm | None


def described_by(settings: Settings) -> str:
    """What descriptions of this deployment are signed with."""
    return f"{settings.llm_model} {PROMPT.version}" if settings.llm_model else TRANSCRIPT


def flagged_by(text_model: ModelRef) -> str:
    """What flags that no language model gave are signed with."""
    return f"prototypes by {text_model.name}@{text_model.revision}"


def describe_videos(items: Iterable[Item], describing: Describing) -> Iterator[Result]:
    """The segments of each item, in the order in which they are done.

    Raises:
        StoreError, ModelError: the platform fails; what is wrong with one video is yielded as its ``VideoError``.
    """
    if describing.llm is None:
        for item in items:
            yield item, attempt(_described, item, describing, None)
        return
    asking = Asking(describing.llm)

    def described(item: Item) -> Made | VideoError:
        return attempt(_described, item, describing, asking)

    with closing(side_by_side(described, items, _VIDEOS_AT_ONCE)) as made:
        yield from made


def embed_segments(items: Iterable[Item], store: ObjectStore, encoder: TextEncoder) -> Iterator[Result]:
    """The vectors of each item's segments, float32 (n, dim), zeros for a segment of which nothing is said.

    Raises:
        StoreError, ModelError: as ``describe_videos``.
    """
    for item in items:
        yield item, attempt(_embedded, item, store, encoder)


def _described(item: Item, describing: Describing, asking: Asking | None) -> Made:
    store = describing.store
    scenes = [Span(*bounds) for bounds in scene_spans(_content(item, "scene_segments", store))]
    transcript = _transcript(item, store)
    parts = spans(scenes, [edge for cue in transcript.cues for edge in (cue.start, cue.end)])

    def pictures(times_sec: Sequence[float]) -> list[bytes]:
        with raw_file(item, "raw_video", store) as path:
            return [_jpeg(image) for image in frames_at(path, times_sec).images]

    found = describe_video(item.video, parts, transcript, pictures, describing.local, asking)
    harmed = sum(bool(row.segment.impact) for row in found.rows)
    details: dict[str, Json] = {"segments": len(found.rows), "with_impact": harmed}
    if asking is not None:
        usage = found.usage
        details |= {
            "model_failures": [str(failure) for failure in found.failures], "calls": usage.calls,
            "input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens, "cost_usd": usage.cost_usd,
        }  # fmt: skip
    return Made(to_parquet(found.rows), Status.NOT_DESCRIBED if found.waits else Status.SUCCESS, details)


def _transcript(item: Item, store: ObjectStore) -> Transcript:
    return parse_transcript(_content(item, "raw_text", store), "raw_text.json")


def _embedded(item: Item, store: ObjectStore, encoder: TextEncoder) -> Made:
    rows = read_segments(_content(item, "segments", store))
    vectors = encoder.embed_sentences([row.description for row in rows])
    said = int(np.count_nonzero(vectors.any(axis=1)))
    details: dict[str, Json] = {"segments": len(rows), "said": said, "embedding_dim": vectors.shape[1]}
    return Made(rows_to_npy(vectors), details=details)


def _content(item: Item, stage: str, store: ObjectStore) -> bytes:
    key = raw_key(item, stage)
    content = store.get(key)
    if content is None:
        raise MissingRawObject(f"{key} is not in the store.")
    return content


def _jpeg(image: np.ndarray) -> bytes:  # type: ignore[type-arg]
    picture = Image.fromarray(image)
    picture.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=80)
    return out.getvalue()
