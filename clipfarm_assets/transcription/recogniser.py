"""What a recogniser is, which one this deployment has, and why it has none.

``find_recogniser`` decides quickly, without torch: OpenAI's API where a model of it is named, else Whisper where its
weights can be had, else ``NoRecogniser``, which says why. There are no stand-in transcripts: without a recogniser a
video's transcript stays empty, and its ``identity`` (None) changes when one appears, so that such videos are due again.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.errors import ModelUnavailable
from clipfarm_assets.llm.client import Cause
from clipfarm_assets.models.catalog import locate, locked
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.transcription.chunks import HeardWord

if TYPE_CHECKING:
    from clipfarm_assets.models.ref import ModelRef

Samples = NDArray[np.float32]

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class TranscriptionSettings:
    """How speech is recognised.

    Attributes:
        model: a Whisper model of transformers, by its locked name or ``org/name@<commit SHA>``.
        api_model: a model of OpenAI's transcription API, such as ``whisper-1``; nothing is sent where it is None.
        language: what is spoken, such as ``en``; None: the recogniser says.
        overlap_sec: that two chunks share.
        no_speech_threshold, log_probability_threshold: a chunk holds no speech where the recogniser is surer than
            the first that there is none and, by the mean over its words, less sure of them than the second.
        api_chunk_sec: sound in one request; the API takes 25 MB.
    """

    model: str = "openai/whisper-small"
    api_model: str | None = None
    language: str | None = None
    overlap_sec: float = 5.0
    no_speech_threshold: float = 0.6
    log_probability_threshold: float = -1.0
    api_chunk_sec: float = 600.0


@dataclass(frozen=True)
class Heard:
    """What a recogniser heard in one chunk; times count from the chunk's start. No words: no speech."""

    words: tuple[HeardWord, ...]
    language: str | None = None


@dataclass(frozen=True)
class RecognitionFailure:
    """No transcript. ``what`` is one sentence without secrets; ``can_pass``: a later try may succeed."""

    cause: Cause
    what: str

    @property
    def can_pass(self) -> bool:
        return self.cause.can_pass

    def __str__(self) -> str:
        return f"{self.cause}: {self.what}"


class Recogniser(Protocol):
    """Listens to one chunk at a time.

    Attributes:
        identity: name and revision; what it changes with changes transcripts.
        chunk_sec, overlap_sec: how it wants long sound cut.
    """

    identity: str
    chunk_sec: float
    overlap_sec: float

    def hear(self, samples: Samples) -> Heard | RecognitionFailure:
        """Mono float32 samples at 16 kHz, at most ``chunk_sec`` of them."""


@dataclass(frozen=True)
class NoRecogniser:
    """Nothing here recognises speech. ``why`` is a sentence for people."""

    why: str
    identity: None = None


@dataclass(frozen=True)
class WhisperFound:
    """Whisper's weights can be had; ``open_recogniser`` loads them."""

    ref: "ModelRef"
    why: str

    @property
    def identity(self) -> str:
        return f"{self.ref.name}@{self.ref.revision[:12]}"


@dataclass(frozen=True)
class ApiFound:
    """OpenAI's API, or a compatible one, is configured."""

    model: str

    @property
    def identity(self) -> str:
        return self.model


Found = WhisperFound | ApiFound | NoRecogniser


def find_recogniser(options: TranscriptionSettings, settings: Settings, store: ObjectStore | None) -> Found:
    """Which recogniser there is; at most one silent wait for the model hub a process.

    Raises:
        StoreError: the store cannot be asked for the weights.
    """
    if options.api_model:
        if settings.openai_api_key is None and not settings.openai_base_url:
            return NoRecogniser("A model of the transcription API is named, and there is no OPENAI_API_KEY.")
        return ApiFound(options.api_model)
    try:
        ref, why = locate(locked(options.model, "speech", settings), settings, store)
    except ModelUnavailable as error:
        return NoRecogniser(error.what)
    return NoRecogniser(why) if ref is None else WhisperFound(ref, why)


def open_recogniser(
    found: WhisperFound | ApiFound, options: TranscriptionSettings, settings: Settings, store: ObjectStore | None
) -> Recogniser:
    """The recogniser itself, loaded once a process.

    Raises:
        ModelUnavailable, ModelMismatch, ConfigurationError, StoreError: as their names say.
    """
    from clipfarm_assets.transcription.api import ApiRecogniser
    from clipfarm_assets.transcription.whisper import WhisperRecogniser

    if isinstance(found, ApiFound):
        return ApiRecogniser(options, settings)
    return WhisperRecogniser(found.ref, found.identity, options, settings, store)
