"""OpenAI's transcription API, or a compatible server.

In: some minutes of sound. Out: words with times, or a ``RecognitionFailure`` with its cause; nothing that a server does
is raised. The client retries what can pass, as for the language model; an answer that cannot be used is asked for once
more. Sound travels as FLAC, well below the API's limit of 25 MB.
https://platform.openai.com/docs/api-reference/audio/createTranscription
"""

import io
import math
import time
from functools import cache
from typing import Any

from clipfarm_assets.llm.client import Cause, cause_of, open_client
from clipfarm_assets.measures import Measures
from clipfarm_assets.settings import Settings
from clipfarm_assets.transcription.chunks import HeardWord, plain
from clipfarm_assets.transcription.recogniser import (
    SAMPLE_RATE,
    Heard,
    RecognitionFailure,
    Samples,
    TranscriptionSettings,
)

LARGEST_BYTES = 25_000_000
_ASKED_AGAIN = 1
_LONGEST_PAUSE_SEC = 60.0  # the client waits no longer, whatever the API's Retry-After says


class ApiRecogniser:
    """The configured API. Attributes as ``Recogniser`` has them."""

    def __init__(
        self, model: str, options: TranscriptionSettings, settings: Settings, measures: Measures | None = None
    ) -> None:
        self.identity = model
        self._measures = measures or Measures()
        # The samples alone, uncompressed, stay below the limit: FLAC is never larger by more than its frame headers.
        self.chunk_sec = min(options.api_chunk_sec, 0.95 * LARGEST_BYTES / 2 / SAMPLE_RATE)
        self.overlap_sec = options.overlap_sec
        self._options = options
        _codes()  # imported here, as half of the client is by the next line: workers are forked from where this runs
        self._transcriptions = open_client(settings).with_options(timeout=options.api_timeout_sec).audio.transcriptions
        asked = (1 + _ASKED_AGAIN) * (1 + settings.llm_retries)
        self.patience_sec = asked * (options.api_timeout_sec + _LONGEST_PAUSE_SEC)

    def hear(self, samples: Samples) -> Heard | RecognitionFailure:
        """See ``Recogniser``."""
        sound = _flac(samples)
        result: Heard | RecognitionFailure = RecognitionFailure(Cause.REJECTED, "The sound was not sent.")
        for _ in range(1 + _ASKED_AGAIN):
            began = time.monotonic()
            result = self._ask(sound, len(samples) / SAMPLE_RATE)
            outcome = "ok" if isinstance(result, Heard) else result.cause.value
            self._measures.upstream("speech", outcome, time.monotonic() - began)
            if isinstance(result, Heard) or result.cause != Cause.INVALID_ANSWER:
                break
        return result

    def _ask(self, sound: bytes, duration_sec: float) -> Heard | RecognitionFailure:
        from openai import OpenAIError

        asked: dict[str, Any] = {"language": self._options.language} if self._options.language else {}
        try:
            answer = self._transcriptions.create(
                model=self.identity, file=("sound.flac", sound, "audio/flac"), response_format="verbose_json",
                timestamp_granularities=["word", "segment"], **asked,
            )  # fmt: skip
        except (OpenAIError, ValueError) as error:  # ValueError: a body that is no JSON, or not of the API's shape
            return RecognitionFailure(*cause_of(error))
        return _read(answer, duration_sec, self._options)


def _flac(samples: Samples) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def _read(answer: object, duration_sec: float, options: TranscriptionSettings) -> Heard | RecognitionFailure:
    """What the answer says, where it is of the API's shape; fields may be absent or of any type."""
    fields = answer if isinstance(answer, dict) else getattr(answer, "__dict__", {})
    text, rows = fields.get("text"), fields.get("words")
    if not isinstance(text, str):
        return RecognitionFailure(Cause.INVALID_ANSWER, "The API's answer has no text.")
    if not text.strip() or _is_silent(fields.get("segments"), options):
        return Heard(())
    if not isinstance(rows, list) or not rows:
        return RecognitionFailure(Cause.INVALID_ANSWER, "The API's answer has no words with times.")
    words = []
    for row in rows:
        start, end, word = _field(row, "start"), _field(row, "end"), _field(row, "word")
        if not _is_time(start) or not _is_time(end) or not isinstance(word, str) or end > duration_sec + 1:
            return RecognitionFailure(Cause.INVALID_ANSWER, "The API's words have no times that can be.")
        words.append(HeardWord(float(start), float(max(start, end)), word))
    return Heard(tuple(_written(words, text)), _code(fields.get("language")) or options.language)


def _is_silent(segments: object, options: TranscriptionSettings) -> bool:
    """Whisper's own rule: every segment is likely no speech, and its words are unlikely."""
    if not isinstance(segments, list) or not segments:
        return False
    told = [(_field(s, "no_speech_prob"), _field(s, "avg_logprob")) for s in segments]
    return all(
        isinstance(no_speech, float)
        and isinstance(likely, float)
        and no_speech > options.no_speech_threshold
        and likely < options.log_probability_threshold
        for no_speech, likely in told
    )


def _field(row: object, name: str) -> Any:
    return row.get(name) if isinstance(row, dict) else getattr(row, name, None)


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def _written(words: list[HeardWord], text: str) -> list[HeardWord]:
    """Words as the text has them, with its punctuation and spaces, which the API's list of words leaves out."""
    written: list[HeardWord] = []
    at = 0
    folded = text.casefold()
    is_aligned = len(folded) == len(text)
    for word in words:
        name = word.text.strip()
        found = folded.find(name.casefold(), at) if is_aligned and plain(name) else -1
        if found < 0 or found - at > 40:  # another spelling: the text is taken up again at the next word
            written.append(HeardWord(word.start, word.end, f" {name}"))
            continue
        end = found + len(name)
        while end < len(text) and not text[end].isalnum() and not text[end].isspace():
            end += 1
        between = text[at:found]
        lead = " " if any(c.isalnum() for c in between) else between if at else f" {between.strip()}"
        written.append(HeardWord(word.start, word.end, lead + text[found:end]))
        at = end
    return written


def _code(language: object) -> str | None:
    """The API tells ``english``; transcripts have ``en``."""
    if not isinstance(language, str) or not language.strip():
        return None
    name = language.strip().lower()
    return _codes().get(name, name)


@cache
def _codes() -> dict[str, str]:
    from transformers.models.whisper.tokenization_whisper import TO_LANGUAGE_CODE

    return TO_LANGUAGE_CODE
