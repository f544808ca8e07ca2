"""What a recogniser is, and which one this deployment has.

``find_recogniser`` decides quickly, without torch: OpenAI's API where it is asked for, else Whisper where this
deployment has it, else None. There are no stand-in transcripts: without a recogniser a video that brings no transcript
has an empty one, and is due again when a recogniser appears.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.llm.client import Cause
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.transcription.chunks import HeardWord

Samples = NDArray[np.float32]

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class TranscriptionSettings:
    """How speech is recognised.

    Attributes:
        language: what is spoken, such as ``en``; None: the recogniser says.
        overlap_sec: that two chunks share.
        no_speech_threshold, log_probability_threshold: a chunk holds no speech where the recogniser is surer than
            the first that there is none and, by the mean over its words, less sure of them than the second.
        api_chunk_sec: sound in one request; the API takes 25 MB.
        api_timeout_sec: how long one answer of the API is waited for.
    """

    language: str | None = None
    overlap_sec: float = 5.0
    no_speech_threshold: float = 0.6
    log_probability_threshold: float = -1.0
    api_chunk_sec: float = 600.0
    api_timeout_sec: float = 300.0

    @property
    def version(self) -> str:
        """What shapes a transcript besides the model."""
        return f"speech-v1;language={self.language or 'heard'};overlap={self.overlap_sec:g}"


def transcription_settings(settings: Settings) -> TranscriptionSettings:
    """As the deployment has them."""
    return TranscriptionSettings(
        language=settings.speech_language or None,
        overlap_sec=settings.speech_overlap_sec,
        api_timeout_sec=settings.speech_timeout_sec,
    )


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
        patience_sec: how long it may be waited for, for one chunk, beyond what the work on any video may take.
    """

    identity: str
    chunk_sec: float
    overlap_sec: float
    patience_sec: float

    def hear(self, samples: Samples) -> Heard | RecognitionFailure:
        """Mono float32 samples at 16 kHz, at most ``chunk_sec`` of them."""


@dataclass(frozen=True)
class WhisperFound:
    """Whisper's weights can be had; ``open_recogniser`` loads them."""

    ref: ModelRef

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def revision(self) -> str:
        return self.ref.revision

    @property
    def identity(self) -> str:
        """What transcripts are signed with."""
        return f"{self.ref.name}@{self.ref.revision[:12]}"


@dataclass(frozen=True)
class ApiFound:
    """OpenAI's API, or a compatible one, is asked for, by the name of a model. An API tells no revision of it."""

    name: str
    revision: str = ""

    @property
    def identity(self) -> str:
        """What transcripts are signed with."""
        return self.name


Found = WhisperFound | ApiFound


def find_recogniser(settings: Settings, models: ModelSet) -> Found | None:
    """Which recogniser there is; ``models.reasons`` tell why.

    Raises:
        ConfigurationError: the API is asked for, and there is neither a key nor another address than OpenAI's.
    """
    if settings.speech_recogniser != "openai":
        return None if models.speech is None else WhisperFound(models.speech)
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    if not key and not settings.openai_base_url:
        raise ConfigurationError(
            "CLIPFARM_SPEECH_RECOGNISER is openai, and there is no key.",
            hint="Set OPENAI_API_KEY, or OPENAI_BASE_URL of a server that needs none; or choose another recogniser.",
        )
    return ApiFound(settings.speech_api_model)


def open_recogniser(
    found: Found, options: TranscriptionSettings, settings: Settings, store: ObjectStore | None
) -> Recogniser:
    """The recogniser itself; a model is loaded once a process.

    Raises:
        ModelUnavailable, ModelMismatch, ConfigurationError, StoreError: as their names say.
    """
    from clipfarm_assets.transcription.api import ApiRecogniser
    from clipfarm_assets.transcription.whisper import WhisperRecogniser

    if isinstance(found, ApiFound):
        return ApiRecogniser(found.name, options, settings)
    return WhisperRecogniser(found.ref, found.identity, options, settings, store)
