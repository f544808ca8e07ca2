"""What a language model thinks of a video's windows.

In: the windows, the timeline, and what the batch asks for. Out: a score for each window that the model chose, and what
of its answer could not be used. One call a batch; the question and the answer are kept, so that the same question is
never asked twice. What cannot be had (an API in trouble, a refusal, nonsense) is a value: the batch goes on without.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator, model_validator
from sqlalchemy.exc import IntegrityError

from clipfarm_assets.clips.blend import LlmScore
from clipfarm_assets.clips.model import MAX_SCORE, BatchConfig, Part
from clipfarm_assets.clips.timeline import Timeline, joined
from clipfarm_assets.clips.vocabulary import words_in
from clipfarm_assets.clips.windows import Window
from clipfarm_assets.database.clip_tables import ClipLlmContext
from clipfarm_assets.database.connect import Database
from clipfarm_assets.llm.client import Llm, LlmFailure, Usage
from clipfarm_assets.llm.prompts import load_prompt, quoted

PROMPT = load_prompt("clip_scoring.v1")
_SHOWN_CHARACTERS = 2_000
Grade = Literal["A+", "A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D", "F"]


class Grades(BaseModel):
    """One a part."""

    hook: Grade
    flow: Grade
    value: Grade
    trend: Grade

    @field_validator("*", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.strip().upper() if isinstance(value, str) else value


class ToldClip(BaseModel):
    """A clip as the model answers it; what its numbers are worth is looked at later."""

    model_config = ConfigDict(ser_json_inf_nan="constants")  # kept answers read as they were given

    start_sec: float
    end_sec: float
    title: str
    description: str
    viral_score: float
    grades: Grades
    quote: str = ""
    hashtags: list[str] = []


class ToldClips(BaseModel):
    """The whole answer; a bare list of clips is one too."""

    clips: list[ToldClip]

    @model_validator(mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return {"clips": value} if isinstance(value, list) else value


@dataclass(frozen=True)
class LlmScores:
    """What came of asking.

    Attributes:
        scores: of the windows that the model chose.
        error: what went wrong, or what of the answer was not used; None where all is well.
        asked: how many calls this cost now; 0 where the answer was known.
    """

    scores: Mapping[Window, LlmScore] = field(default_factory=dict)
    error: str | None = None
    usage: Usage = field(default_factory=Usage)


def llm_scores(
    database: Database,
    llm: Llm,
    video_id: str,
    windows: Sequence[Window],
    timeline: Timeline,
    config: BatchConfig,
    about: str,
    now: datetime,
) -> LlmScores:
    """Asks for all windows at once, or reads what was answered before.

    Args:
        about: what the video is about, in a few sentences.

    Raises:
        DatabaseUnavailable: nothing else is raised.
    """
    question = _question(windows, timeline, config, about)
    answer, usage = _answer(database, llm, video_id, question, now)
    if isinstance(answer, str):
        return LlmScores(error=answer, usage=usage)
    scores, unused = checked(answer, windows, timeline)
    told = None
    if unused:
        told = f"{len(unused)} of {len(answer.clips)} clips in the answer were not used: {'; '.join(unused[:3])}."
    elif not scores:
        told = "The model chose no clip."
    return LlmScores(scores, told, usage)


def context_key(llm: Llm, question: str) -> str:
    """SHA-256 over everything that shapes the call: model, prompt, question, and the shape of the answer."""
    shape = [llm.model, PROMPT.version, PROMPT.text, question, ToldClips.model_json_schema()]
    return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()


def checked(
    answer: ToldClips, windows: Sequence[Window], timeline: Timeline
) -> tuple[dict[Window, LlmScore], list[str]]:
    """What of an answer can be used: scores by window, and why the rest cannot.

    A clip counts for the window that it overlaps most, with that window's times. Of two for the same window the one
    that fits it better counts. Scores are clamped to 0 to 10; a quote must stand in the window's transcript.
    """
    fitting: list[tuple[float, int, Window]] = []
    unused: list[str] = []
    for number, told in enumerate(answer.clips):
        what = f"clip {number + 1}"
        if not math.isfinite(told.start_sec + told.end_sec) or told.start_sec >= told.end_sec:
            unused.append(f"{what} ends before it begins")
            continue
        asked = Window(*(round(min(max(t, -1e6), 1e7) * 1000) for t in (told.start_sec, told.end_sec)))
        window = max(windows, key=asked.overlap_ms, default=None)
        if window is None or not asked.overlap_ms(window):
            unused.append(f"{what} lies in no window")
        elif math.isnan(told.viral_score):
            unused.append(f"{what} has no score")
        elif not _stands_in(told.quote, window, timeline):
            unused.append(f"{what} quotes what is not said there")
        else:
            together = asked.length_ms + window.length_ms - asked.overlap_ms(window)
            fitting.append((asked.overlap_ms(window) / together, number, window))
    scores: dict[Window, LlmScore] = {}
    for _, number, window in sorted(fitting, key=lambda each: (-each[0], each[1])):
        if window in scores:
            unused.append(f"clip {number + 1} overlaps another")
        else:
            scores[window] = _score(answer.clips[number])
    return scores, unused


def _score(told: ToldClip) -> LlmScore:
    return LlmScore(
        score=min(MAX_SCORE, max(0.0, told.viral_score)),
        grades={part: getattr(told.grades, part.value) for part in Part},
        title=told.title,
        description=told.description,
        quote=told.quote.strip(),
        hashtags=tuple(told.hashtags),
    )


def _stands_in(quote: str, window: Window, timeline: Timeline) -> bool:
    """Word by word; case and punctuation do not matter."""
    said = words_in(joined(timeline.between(window.start_ms, window.end_ms)))
    return not quote.strip() or (bool(words_in(quote)) and _spaced(words_in(quote)) in _spaced(said))


def _spaced(words: Sequence[str]) -> str:
    return f" {' '.join(words)} "


def _question(windows: Sequence[Window], timeline: Timeline, config: BatchConfig, about: str) -> str:
    length = config.length
    parts = [
        f"Kind of video: {config.video_type.value}. A clip should last {length.min_ms // 1000} to "
        f"{length.max_ms // 1000} seconds.",
        quoted("video", about),
    ]
    if config.include_specific_moments:
        parts.append(quoted("moments", config.include_specific_moments))
    for number, window in enumerate(windows, start=1):
        said = joined(timeline.between(window.start_ms, window.end_ms))[:_SHOWN_CHARACTERS]
        times = f"Window {number}: {window.start_ms / 1000:.3f} to {window.end_ms / 1000:.3f} s"
        parts.append(f"{times}\n{quoted('transcript', said or '(nothing is said)')}")
    return "\n\n".join(parts)


def _answer(database: Database, llm: Llm, video_id: str, question: str, now: datetime) -> tuple[ToldClips | str, Usage]:
    """The answer, or why there is none; asked outside of any transaction, since it takes seconds."""
    key = context_key(llm, question)
    with database.read() as session:
        known = session.get(ClipLlmContext, key)
    usage = Usage()
    if known is None:
        reply = llm.ask(PROMPT, question, ToldClips)
        usage = reply.usage
        if isinstance(reply, LlmFailure) and reply.cause.can_pass:
            return str(reply), usage
        error: str | None = str(reply)
        response: str | None = None
        if not isinstance(reply, LlmFailure):
            error, response = None, reply.answer.model_dump_json()
        known = ClipLlmContext(
            key=key, video_source_id=video_id, model=llm.model, prompt_version=PROMPT.version, prompt=question,
            response=response, error=error, calls=usage.calls, input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens, cost_usd=usage.cost_usd, seconds=usage.seconds, created_at=now,
        )  # fmt: skip
        known = _kept(database, known)
    return known.error or ToldClips.model_validate_json(known.response or "[]"), usage


def _kept(database: Database, context: ClipLlmContext) -> ClipLlmContext:
    """Another batch may have asked the same at the same time; the first answer stays."""
    try:
        with database.write() as session:
            session.add(context)
    except IntegrityError:
        with database.read() as session:
            return session.get_one(ClipLlmContext, context.key)
    return context
