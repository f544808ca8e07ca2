"""The golden check: do models, libraries and hardware still give the recorded vectors?

A sample is embedded and compared, by cosine, with what ``golden.json`` records for the same model name, revision,
preprocess version and sample. The built-in sample is computed here, from integers, so that the check needs no media
file and no decoder; a media file can be checked as well, which then covers decoding too.

A combination without a record says so and is no failure: the vectors of real video and audio weights are recorded
where the weights can be had, with ``record_golden``.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.embeddings.audio import SAMPLE_RATE, Waveform, load_audio_encoder
from clipfarm_assets.embeddings.text import Texts, load_text_encoder
from clipfarm_assets.embeddings.vectors import Vector
from clipfarm_assets.embeddings.video import load_video_encoder
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.models.ref import Modality, ModelRef
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore

GOLDEN_FILE = Path(__file__).with_name("golden.json")
LEAST_COSINE = 0.9999
BUILT_IN = "built-in-v1"
_SAMPLE_TEXTS = Texts(
    metadata="How to bake bread [SEP] Flour, water, salt and time [SEP] baking",
    transcript="First we mix the flour with warm water. Then we wait for an hour, and fold the dough twice. " * 30,
)


@dataclass(frozen=True)
class GoldenRow:
    """One comparison; ``cosine`` is None where nothing is recorded."""

    modality: Modality
    model: str
    sample: str
    outcome: Literal["ok", "drift", "not recorded"]
    cosine: float | None = None


@dataclass(frozen=True)
class _Embedded:
    ref: ModelRef
    key: str
    sample: str
    vector: Vector


def check_golden(
    models: ModelSet,
    settings: Settings,
    store: ObjectStore | None,
    *,
    sample: Path | None = None,
    recorded: Path = GOLDEN_FILE,
) -> list[GoldenRow]:
    """Embeds the sample with each model and compares with the record.

    Args:
        sample: a media file with picture and sound; the built-in sample where None.
        recorded: the JSON of the recorded vectors.

    Raises:
        ModelError, UnsupportedMedia, NoAudioTrack: the models cannot be loaded, or the sample cannot be read.
    """
    records = _read(recorded)
    rows = []
    for each in _embed(models, settings, store, sample):
        if each.key not in records:
            rows.append(GoldenRow(each.ref.modality, each.ref.title, each.sample, "not recorded"))
            continue
        cosine = float(records[each.key] @ each.vector) if len(records[each.key]) == len(each.vector) else 0.0
        outcome: Literal["ok", "drift"] = "ok" if cosine >= LEAST_COSINE else "drift"
        rows.append(GoldenRow(each.ref.modality, each.ref.title, each.sample, outcome, cosine))
    return rows


def record_golden(
    models: ModelSet,
    settings: Settings,
    store: ObjectStore | None,
    *,
    sample: Path | None = None,
    to: Path = GOLDEN_FILE,
) -> list[str]:
    """Adds the sample's vectors to the record; returns their keys. Raises as ``check_golden`` does."""
    embedded = _embed(models, settings, store, sample)
    records = _read(to) | {each.key: each.vector for each in embedded}
    lines = {key: base64.b64encode(vector.astype("<f4").tobytes()).decode() for key, vector in sorted(records.items())}
    to.write_text(json.dumps(lines, indent=1) + "\n", "utf-8")
    return [each.key for each in embedded]


def built_in_frames(count: int) -> list[NDArray[np.uint8]]:
    """A plaid that moves: RGB uint8 (240, 320, 3) frames, the same everywhere."""
    rows, columns = np.mgrid[0:240, 0:320]
    frames = []
    for number in range(count):
        red, green, blue = (rows * 2 + number * 7) % 256, (columns + number * 11) % 256, ((rows * columns) // 97) % 256
        frames.append(np.stack([red, green, blue], axis=-1).astype(np.uint8))
    return frames


def built_in_sound() -> Waveform:
    """Three seconds of a saw tooth that climbs, float32 at 16 kHz, the same everywhere."""
    samples = np.arange(3 * SAMPLE_RATE, dtype=np.int64)
    return ((samples * (200 + samples // 400) % SAMPLE_RATE) / SAMPLE_RATE - 0.5).astype(np.float32)


def _embed(models: ModelSet, settings: Settings, store: ObjectStore | None, sample: Path | None) -> Sequence[_Embedded]:
    video = load_video_encoder(models.video, settings, store)
    audio = load_audio_encoder(models.audio, settings, store)
    text = load_text_encoder(models.text, settings, store)
    if sample is None:
        name, frames, sound = BUILT_IN, built_in_frames(video.num_frames), built_in_sound()
    else:
        name, frames, sound = _read_media(sample, video.num_frames, audio.max_audio_seconds)
    vectors = ((video, name, video.embed(frames)), (audio, name, audio.embed(sound)))
    said = text.embed(_SAMPLE_TEXTS)
    return [
        _Embedded(
            encoder.ref, f"{encoder.ref.title}@{encoder.ref.revision}|{encoder.preprocess_version}|{of}", of, vector
        )
        for encoder, of, vector in (*vectors, (text, BUILT_IN, said))
        if vector is not None
    ]


def _read_media(path: Path, count: int, seconds: float) -> tuple[str, list[NDArray[np.uint8]], Waveform]:
    from clipfarm_assets.media.audio import decode_audio
    from clipfarm_assets.media.frames import sample_frames

    name = f"{path.name}:{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    sound = decode_audio(path, SAMPLE_RATE)[: int(seconds * SAMPLE_RATE)]
    return name, list(sample_frames(path, count).images), sound


def _read(path: Path) -> dict[str, Vector]:
    if not path.is_file():
        return {}
    lines: dict[str, str] = json.loads(path.read_text("utf-8"))
    return {key: np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32) for key, text in lines.items()}
