"""What happens in each span of a video: a language model's words where one is configured, else what is said in it.

The model sees the transcript of the span and up to five pictures and answers in a schema. Without a model, or where it
fails, the description is the transcript and the flags come from comparing it with prototype sentences (``flags``); each
row says which, and why a model's answer is missing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import BaseModel, Field

from clipfarm_assets.llm.client import Cause, Llm, LlmFailure, Reply, Usage
from clipfarm_assets.llm.prompts import load_prompt, quoted
from clipfarm_assets.media.transcripts import Transcript
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.segments.flags import Encode, FlagReader, Flags
from clipfarm_assets.segments.model import Failure, Segment
from clipfarm_assets.segments.spans import Span
from clipfarm_assets.segments.table import SegmentRow

TRANSCRIPT = "transcript"
PROMPT = load_prompt("segment_description.v1")
PICTURES = 5
_SHOWN_CHARACTERS = 6000
OUT_OF_REACH = frozenset({Cause.RATE_LIMITED, Cause.UNAVAILABLE, Cause.TIMED_OUT, Cause.DENIED})

Pictures = Callable[[Sequence[float]], Sequence[bytes]]


class SpanDescription(BaseModel):
    """What the model answers."""

    title: str = Field(min_length=1, max_length=120)
    description: str = Field(min_length=10, max_length=1000)
    success: bool | None
    failure: Failure
    confusion: bool
    abandonment: bool


@dataclass(frozen=True)
class LocalFlags:
    """Flags by comparison with prototype sentences, which are embedded when the first text is to be read.

    Attributes:
        name: of the model whose embeddings are compared; with another name they are made anew.
    """

    name: str
    encode: Encode

    def of(self, texts: Sequence[str]) -> list[Flags]:
        """The flags of each text; an empty one has none."""
        if not texts:
            return []
        if self.name not in _READERS:
            _READERS[self.name] = FlagReader(self.encode)
        return _READERS[self.name].read(self.encode(texts))


_READERS: dict[str, FlagReader] = {}  # four seconds of a core each, so once a process and model


class Asking:
    """A language model for the time of one run; once it is out of reach nobody else waits for it in vain."""

    def __init__(self, llm: Llm) -> None:
        self.signature = f"{llm.model} {PROMPT.version}"
        self._llm = llm
        self._out_of_reach: LlmFailure | None = None

    def ask(self, question: str, pictures: Callable[[], Sequence[bytes]]) -> Reply[SpanDescription] | LlmFailure:
        """One answer, or why there is none; several threads may ask."""
        if self._out_of_reach is not None:
            return self._out_of_reach
        reply = self._llm.ask(PROMPT, question, SpanDescription, pictures())
        if isinstance(reply, LlmFailure) and reply.cause in OUT_OF_REACH:
            self._out_of_reach = replace(reply, usage=Usage())  # counted once
        return reply


@dataclass(frozen=True)
class DescribedVideo:
    """The segments of a video, and what their description cost.

    Attributes:
        failures: why the model described a span in vain, for each such span.
    """

    rows: list[SegmentRow]
    usage: Usage
    failures: list[LlmFailure]

    @property
    def waits(self) -> bool:
        """The model could not be reached: asking again later can help, and has cost nothing yet."""
        return any(failure.cause in OUT_OF_REACH for failure in self.failures)


def describe_video(
    video: Video,
    spans: Sequence[Span],
    transcript: Transcript,
    pictures: Pictures,
    local: LocalFlags,
    asking: Asking | None,
) -> DescribedVideo:
    """The segments of one video in the order of time.

    Args:
        pictures: JPEGs of the video at these seconds; called only where a model looks at them.
        local: reads flags from a transcript.
        asking: None where the transcript is the description.
    """
    said = words_by_span(spans, transcript)
    replies: list[Reply[SpanDescription] | LlmFailure | None] = [None] * len(spans)
    if asking is not None:
        for number, span in enumerate(spans):
            question = _question(video, spans, number, said[number])
            replies[number] = asking.ask(question, partial(pictures, _times(span)))
    flags = iter(local.of([words for words, reply in zip(said, replies, strict=True) if not isinstance(reply, Reply)]))
    rows = []
    for span, words, reply in zip(spans, said, replies, strict=True):
        if isinstance(reply, Reply) and asking is not None:
            rows.append(_by_model(video, span, reply.answer, asking.signature))
        else:
            error = str(reply) if isinstance(reply, LlmFailure) else None
            rows.append(_by_transcript(video, span, words, next(flags), local.name, error))
    usage = sum((reply.usage for reply in replies if reply is not None), Usage())
    return DescribedVideo(rows, usage, [reply for reply in replies if isinstance(reply, LlmFailure)])


def words_by_span(spans: Sequence[Span], transcript: Transcript) -> list[str]:
    """What is said in each span: the cues whose middle lies in it.

    A transcript without times is shared out by length, as if it were spoken at an even pace.
    """
    if not transcript.cues:
        return _shared_out(spans, transcript.transcript.split())
    said: list[list[str]] = [[] for _ in spans]
    for cue in transcript.cues:
        middle = (cue.start + cue.end) / 2
        place = next((number for number, span in enumerate(spans) if middle < span.end_sec), len(spans) - 1)
        said[place].append(" ".join(cue.text.split()))
    return [" ".join(parts) for parts in said]


def recorded_at(video: Video, start_sec: float) -> datetime:
    """When a span happened: the video's publication, else when it was first captured, plus the span's start."""
    moment = video.published_at or video.first_captured_at
    base = datetime.fromisoformat(moment) if moment else datetime(1970, 1, 1, tzinfo=UTC)
    return base + timedelta(seconds=start_sec)


def _shared_out(spans: Sequence[Span], words: Sequence[str]) -> list[str]:
    begin, end = spans[0].start_sec, spans[-1].end_sec
    bounds = [round(len(words) * (span.end_sec - begin) / (end - begin)) for span in spans]
    return [" ".join(words[first:last]) for first, last in zip([0, *bounds[:-1]], bounds, strict=True)]


def _by_transcript(
    video: Video, span: Span, words: str, flags: Flags, flagged_by: str, error: str | None
) -> SegmentRow:
    segment = _segment(video, span, words, flags.failure, flags.confusion, flags.abandonment, TRANSCRIPT)
    return SegmentRow(segment, flagged_by, describe_error=error)


def _by_model(video: Video, span: Span, answer: SpanDescription, signature: str) -> SegmentRow:
    text = " ".join(answer.description.split())
    segment = _segment(video, span, text, answer.failure, answer.confusion, answer.abandonment, signature)
    return SegmentRow(segment, signature, " ".join(answer.title.split()), answer.success)


def _segment(
    video: Video, span: Span, text: str, failure: Failure, confusion: bool, abandonment: bool, by: str
) -> Segment:
    return Segment(
        team=video.team, video_id=video.video_id, user_id=video.user_id, start_sec=span.start_sec,
        end_sec=span.end_sec, recorded_at=recorded_at(video, span.start_sec), description=text, failure=failure,
        confusion=confusion, abandonment=abandonment, described_by=by,
    )  # fmt: skip


def _times(span: Span) -> list[float]:
    """The middles of equal parts of the span."""
    step = span.length_sec / PICTURES
    return [span.start_sec + (number + 0.5) * step for number in range(PICTURES)]


def _question(video: Video, spans: Sequence[Span], number: int, words: str) -> str:
    span = spans[number]
    place = f"Part {number + 1} of {len(spans)}: from {span.start_sec:.1f} s to {span.end_sec:.1f} s."
    said = quoted("transcript", words[:_SHOWN_CHARACTERS]) if words else "Nothing is said."
    return "\n\n".join([quoted("title", video.title[:300]), place, said])
