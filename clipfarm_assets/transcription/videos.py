"""The raw text of videos: what they bring, else what a recogniser hears in them.

In: ``raw_video``, and a sidecar or captions where there are any. Out: ``clipfarm/raw/text/<video_id>.json``. What can
go wrong: ``empty_transcript`` (an outcome: nothing is said, or nobody listens), ``not_transcribed`` (the API is out of
reach; asked again later, and nobody else of the same run is sent there), ``fail`` (it rejects the sound, or its answers
are of no use), and what reading the video or the sidecar can end in.

Only videos that bring no transcript are heard, some at a time, by workers that share one model; where the model lies on
an accelerator, by this process.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from clipfarm_assets.attempts import attempt, timed
from clipfarm_assets.errors import VideoError
from clipfarm_assets.llm.client import Cause
from clipfarm_assets.measures import Deltas, Measures
from clipfarm_assets.media.raw import Sources, extract_audio, extract_audios, extract_transcripts, made_of_transcript
from clipfarm_assets.media.transcripts import EMPTY
from clipfarm_assets.models.load import device_of, weights_folder
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Json, Made
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.transcription.found import Found, WhisperFound, open_recogniser, transcription_settings
from clipfarm_assets.transcription.recogniser import Recogniser, RecognitionFailure
from clipfarm_assets.transcription.transcribe import transcribe
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets.workers.pool import in_workers
from clipfarm_assets.workers.worker import allow

_A_WORKER = 2  # videos that wait to be heard together, for each worker
_OUT_OF_REACH = frozenset({Cause.RATE_LIMITED, Cause.UNAVAILABLE, Cause.TIMED_OUT, Cause.DENIED})


class NotUnderstood(VideoError):
    """The API rejects the sound, or its answers cannot be used."""

    hint = "It is tried three times; check that the server speaks OpenAI's transcription API with times of words."


@dataclass(frozen=True)
class Recognising:
    """The recogniser of this deployment, before it is opened: small, and picklable for the workers."""

    found: Found
    settings: Settings
    store: ObjectStore

    def open(self, measures: Measures | None = None) -> Recogniser:
        """See ``open_recogniser``."""
        return open_recogniser(self.found, transcription_settings(self.settings), self.settings, self.store, measures)


def transcribe_videos(
    items: Iterable[Item], sources: Sources, recognising: Recognising | None, limits: Limits, measures: Measures
) -> Iterator[Result]:
    """The raw text of each item, in the order in which they are done; ``measures`` are told what an API was asked.

    Raises:
        StoreError, ModelError, ConfigurationError: the platform fails; what is wrong with one video is yielded as its
            ``VideoError``.
    """
    found = extract_transcripts(items, sources, limits)
    if recognising is None:
        yield from found
        return
    hearing = _Hearing(recognising, limits, measures)
    unheard: list[Item] = []
    for item, result in found:
        if isinstance(result, VideoError) or result.status is not Status.EMPTY_TRANSCRIPT:
            yield item, result
            continue
        unheard.append(item)
        if len(unheard) == _A_WORKER * limits.workers:
            yield from hearing.each(unheard)
            unheard = []
    yield from hearing.each(unheard)


class _Hearing:
    """Hears videos until the recogniser turns out to be out of reach, and says that of all others of this run."""

    def __init__(self, recognising: Recognising, limits: Limits, measures: Measures) -> None:
        self._recognising = recognising
        self._limits = limits
        self._measures = measures
        self._out_of_reach: str | None = None

    def each(self, items: Sequence[Item]) -> Iterator[Result]:
        if self._out_of_reach is not None:
            yield from ((item, _not_transcribed(self._out_of_reach)) for item in items)
        elif items:
            for item, result in self._heard(items):
                if isinstance(result, Made) and result.status is Status.NOT_TRANSCRIBED:
                    self._out_of_reach = str(result.details["why"])
                yield item, result

    def _heard(self, items: Sequence[Item]) -> Iterator[Result]:
        found, settings, store = self._recognising.found, self._recognising.settings, self._recognising.store
        if isinstance(found, WhisperFound):
            weights_folder(found.ref, settings, store)  # fetched once, here: what starts threads cannot be forked
            if device_of(settings) != "cpu":
                recogniser = self._recognising.open()
                for item, sound in extract_audios(items, store, self._limits):
                    yield item, sound if isinstance(sound, VideoError) else attempt(_made, sound, recogniser)
                return
        for item, result, seconds in in_workers(items, partial(_hearing, self._recognising), self._limits):
            outcome, counted = (result, {}) if isinstance(result, VideoError) else result
            self._measures.add(counted)
            yield item, timed(outcome, seconds)


def _hearing(recognising: Recognising) -> Callable[[Item], tuple[Made | VideoError, Deltas]]:
    """The whole of the work, by a recogniser that the workers share, and what each item adds to the measures."""
    measures = Measures()
    recogniser = recognising.open(measures)

    def heard(item: Item) -> tuple[Made | VideoError, Deltas]:
        return attempt(_heard, item, recogniser, recognising.store), measures.drained()

    return heard


def _heard(item: Item, recogniser: Recogniser, store: ObjectStore) -> Made:
    return _made(extract_audio(store, item), recogniser)


def _made(sound: Made, recogniser: Recogniser) -> Made:
    """The raw text of a WAV. What is empty is told by nobody: it stays the same whoever has listened."""
    if not isinstance(sound.content, Path):
        return made_of_transcript(EMPTY, by_model=True)
    allow(recogniser.patience_sec)
    recognition = transcribe(sound.content, recogniser, lambda done: allow(recogniser.patience_sec))
    if isinstance(recognition, RecognitionFailure):
        if recognition.cause not in _OUT_OF_REACH:
            raise NotUnderstood(str(recognition))
        return _not_transcribed(str(recognition))
    told = recognition.transcript
    made = made_of_transcript(EMPTY if told.is_empty else told, by_model=True)
    details: dict[str, Json] = {
        "pieces": recognition.chunks, "silent_pieces": recognition.silent_chunks,
        "loops_dropped": [str(loop) for loop in recognition.loops],
    }  # fmt: skip
    return replace(made, details={**made.details, **details})


def _not_transcribed(why: str) -> Made:
    made = made_of_transcript(EMPTY, by_model=True)
    return replace(made, status=Status.NOT_TRANSCRIBED, details={**made.details, "why": why})
