"""The transcript of a whole sound, from what a recogniser hears in its chunks.

In: a mono 16 kHz WAV, as the raw stage makes it, and a recogniser. Out: a ``Recognition``, whose transcript is in the
same shape as one from a sidecar, or the ``RecognitionFailure`` of the first chunk that could not be heard. Sound
without speech is a ``Recognition`` with an empty transcript. What can go wrong: ``VideoError`` where the file is no
such WAV.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from clipfarm_assets.errors import VideoError
from clipfarm_assets.media.cues import Cue, Word
from clipfarm_assets.media.transcripts import Transcript, of_cues
from clipfarm_assets.transcription.chunks import HeardWord, Span, merged, spans_of
from clipfarm_assets.transcription.loops import Loop, without_loops
from clipfarm_assets.transcription.recogniser import (
    SAMPLE_RATE,
    Heard,
    Recogniser,
    RecognitionFailure,
    Samples,
)

SOURCE = "recognition"
_SILENCE = 10 ** (-70 / 20)  # below it there is nothing to recognise, and recognisers invent
_PAUSE_SEC = 1.0
_LONGEST_CUE_SEC = 10.0
_SENTENCE_END = tuple(".!?…。！？")


@dataclass(frozen=True)
class Recognition:
    """What was heard.

    Attributes:
        loops: repetition that was dropped.
        chunks, silent_chunks: that the sound was cut into, and of those the ones without speech.
    """

    transcript: Transcript
    loops: tuple[Loop, ...]
    chunks: int
    silent_chunks: int


def transcribe(
    wav: Path, recogniser: Recogniser, progress: Callable[[float], None] | None = None
) -> Recognition | RecognitionFailure:
    """Listen to all of a WAV, a chunk in memory at a time.

    Args:
        progress: told after each chunk how much is done, 0 to 1.

    Raises:
        VideoError: the file is no mono WAV at 16 kHz.
    """
    import soundfile

    heard: list[tuple[Span, Heard]] = []
    try:
        with soundfile.SoundFile(wav) as file:
            if (file.samplerate, file.channels) != (SAMPLE_RATE, 1):
                raise VideoError(f"The sound has {file.channels} channels at {file.samplerate} Hz, not one at 16 kHz.")
            spans = spans_of(file.frames / SAMPLE_RATE, recogniser.chunk_sec, recogniser.overlap_sec)
            for number, span in enumerate(spans, start=1):
                result = _hear(recogniser, _samples(file, span))
                if isinstance(result, RecognitionFailure):
                    return replace(result, what=f"{result.what} (at {span.start:.0f} s of the sound)")
                heard.append((span, result))
                if progress is not None:
                    progress(number / len(spans))
    except soundfile.LibsndfileError as error:
        raise VideoError(f"The sound cannot be read: {error.error_string}") from None
    return recognition_of(heard, recogniser.identity)


def recognition_of(heard: Sequence[tuple[Span, Heard]], identity: str) -> Recognition:
    """One transcript of all chunks, in their order, whose words count from their chunk's start."""
    loops: list[Loop] = []
    placed: list[tuple[Span, list[HeardWord]]] = []
    for span, result in heard:
        words, found = without_loops(_placed(result.words, span))
        placed.append((span, words))
        loops += found
    languages = Counter[str]()
    for _, result in heard:
        if result.language and result.words:
            languages[result.language] += len(result.words)
    language = languages.most_common(1)[0][0] if languages else None
    words, found = without_loops(merged(placed))
    transcript = of_cues(cues_of(words), language, SOURCE, identity)
    silent = sum(not result.words for _, result in heard)
    return Recognition(transcript, tuple(loops + found), len(heard), silent)


def _hear(recogniser: Recogniser, samples: Samples) -> Heard | RecognitionFailure:
    if not len(samples) or float(np.abs(samples).max()) < _SILENCE:
        return Heard(())
    return recogniser.hear(samples)


def _samples(file: "object", span: Span) -> Samples:
    first, last = round(span.start * SAMPLE_RATE), round(span.end * SAMPLE_RATE)
    file.seek(first)  # type: ignore[attr-defined]
    samples: Samples = file.read(last - first, dtype="float32")  # type: ignore[attr-defined]
    return samples


def _placed(words: Sequence[HeardWord], span: Span) -> list[HeardWord]:
    """Words in seconds of the whole sound, inside of their chunk; times never go back from word to word."""
    placed: list[HeardWord] = []
    last = span.start
    for word in words:
        if not word.text.strip():
            continue
        start = min(max(span.start + word.start, last), span.end)
        end = min(max(span.start + word.end, start), span.end)
        placed.append(replace(word, start=start, end=end))
        last = start
    return placed


def cues_of(words: Sequence[HeardWord]) -> list[Cue]:
    """Sentences as cues: one ends with its sentence, at a pause, or at the next word after ten seconds."""
    groups: list[list[HeardWord]] = []
    for word in words:
        if not groups or _begins(groups[-1], word):
            groups.append([])
        groups[-1].append(word)
    return [_cue(group) for group in groups]


def _begins(group: Sequence[HeardWord], word: HeardWord) -> bool:
    last = group[-1]
    return (
        last.text.rstrip().endswith(_SENTENCE_END)
        or word.start - last.end >= _PAUSE_SEC
        or word.end - group[0].start > _LONGEST_CUE_SEC
    )


def _cue(group: Sequence[HeardWord]) -> Cue:
    text = "".join(word.text for word in group).strip()
    words = tuple(Word(round(w.start, 3), round(w.end, 3), w.text.strip(), w.probability) for w in group)
    return Cue(round(group[0].start, 3), round(max(w.end for w in group), 3), text, words)
