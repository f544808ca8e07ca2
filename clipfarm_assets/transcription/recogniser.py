"""What a recogniser is, and what it answers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.llm.client import Cause
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
