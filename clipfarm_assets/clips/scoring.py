"""From a batch to its clips: windows, scores, names, all in the database at the end.

In: a batch, and what is known of its video (``VideoInputs``). Out: the batch ``ready`` with its clips, with an
``error_message`` where it had to do without something, or ``failed`` where the video's inputs are beyond use. A crash
in between leaves the batch to the next taker, and what a language model has answered by then is not asked again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from clipfarm_assets.attempts import attempt
from clipfarm_assets.clips.blend import Blended, LlmScore, blend
from clipfarm_assets.clips.book import fail_batch, finish_batch, renew_lease, take_batch
from clipfarm_assets.clips.llm_score import LlmScores, llm_scores
from clipfarm_assets.clips.local_score import Judged, LocalScore, LocalScorer
from clipfarm_assets.clips.loudness import Loudness
from clipfarm_assets.clips.model import BatchConfig, Part, clip_id
from clipfarm_assets.clips.telling import telling
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.clips.titles import Namer, summary
from clipfarm_assets.clips.trend import NO_VECTOR_YET
from clipfarm_assets.clips.windows import Window, find_windows
from clipfarm_assets.database.clip_tables import Clip, ClipBatch
from clipfarm_assets.database.connect import Database
from clipfarm_assets.errors import VideoError
from clipfarm_assets.llm.client import Llm, Usage
from clipfarm_assets.media.cues import Cue
from clipfarm_assets.segments.flags import Encode

MOST_CLIPS = 30
NO_TREND = Judged.unknown("The videos near this one are not known.")


@dataclass(frozen=True, eq=False)
class VideoInputs:
    """What a video's clips are made of.

    Attributes:
        cuts_sec: where its scenes begin.
        loudness: None where it has no sound, or where the sound is not known.
        encode: sentences to vectors; None: neither topic shifts nor what the sentences tell are
            looked at.
        trend: by ``trend.judge_trend``.
        version: changes with all of the above; kept beside the clips.
    """

    video_id: str
    duration_sec: float
    title: str = ""
    description: str = ""
    language: str | None = None
    cues: tuple[Cue, ...] = ()
    cuts_sec: tuple[float, ...] = ()
    loudness: Loudness | None = None
    encode: Encode | None = None
    trend: Judged = NO_TREND
    version: str | None = None


@dataclass(frozen=True)
class BatchReport:
    """What became of a batch."""

    status: str
    clips: int = 0
    error_message: str | None = None
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A window with its score."""

    window: Window
    local: LocalScore
    llm: LlmScore | None
    blended: Blended


def score_batch(
    database: Database,
    batch_id: str,
    owner: str,
    inputs: VideoInputs,
    llm: Llm | None,
    clock: Callable[[], datetime],
) -> BatchReport | None:
    """Takes a batch and makes its clips; None where somebody else has it, or it wants no work.

    Args:
        owner: a name that no other worker has.
        llm: None: the local score alone.

    Raises:
        DatabaseChanged: it took so long that somebody else has taken the batch over; nothing was written.
        DatabaseUnavailable: the batch is taken up again when its lease is over.
    """
    batch = take_batch(database, batch_id, owner, clock())
    if batch is None:
        return None
    found = attempt(_prepared, inputs, batch)
    if isinstance(found, VideoError):
        fail_batch(database, batch_id, owner, str(found), clock())
        return BatchReport("failed", error_message=str(found))
    config, timeline, scored = found
    told = LlmScores()
    if llm is not None and scored:
        renew_lease(database, batch_id, owner, clock())
        about = summary(inputs.title, inputs.description, timeline.sentences)
        windows = [window for window, _ in scored]
        told = llm_scores(database, llm, inputs.video_id, windows, timeline, config, about, clock())
    candidates = blended(scored, told, asked=llm is not None)
    without = _without(inputs, config, scored, told, llm)
    clips = clip_rows(batch, inputs, timeline, candidates, clock())
    awaits_vector = inputs.trend == NO_VECTOR_YET
    finish_batch(database, batch_id, owner, clips, clock(), without, inputs.version, awaits_vector)
    return BatchReport("ready", len(clips), without, told.usage)


Scored = list[tuple[Window, LocalScore]]


def _prepared(inputs: VideoInputs, batch: ClipBatch) -> tuple[BatchConfig, Timeline, Scored]:
    config = BatchConfig.model_validate(batch.config_json)
    return config, *local_candidates(inputs, config)


def local_candidates(inputs: VideoInputs, config: BatchConfig) -> tuple[Timeline, Scored]:
    """The windows of a video in the order of time with their local scores: the best 30 where there are more."""
    timeline = Timeline.of(inputs.cues, inputs.duration_sec)
    vectors, told = None, None
    if inputs.encode is not None and timeline.sentences:
        vectors = inputs.encode([sentence.text for sentence in timeline.sentences])
        told = telling(vectors, inputs.encode)
    scorer = LocalScorer(timeline, inputs.language, inputs.loudness, inputs.trend, told)
    interest = None if told is None else (told - told.mean()) / max(float(told.std()), 1e-9)
    windows = find_windows(timeline, inputs.cuts_sec, config, inputs.loudness, vectors, interest)
    scored = [(window, scorer.score(window)) for window in windows]
    best = sorted(scored, key=lambda each: (each[1].total is None, -(each[1].total or 0.0), each[0]))[:MOST_CLIPS]
    return timeline, sorted(best, key=lambda each: each[0])


def blended(scored: Sequence[tuple[Window, LocalScore]], told: LlmScores, asked: bool) -> list[Candidate]:
    """Each window with the mean of its scores."""
    why = (told.error or "The model did not choose this span.") if asked else None
    found = []
    for window, local in scored:
        llm = told.scores.get(window)
        found.append(Candidate(window, local, llm, blend(local, llm, why)))
    return found


def clip_rows(
    batch: ClipBatch, inputs: VideoInputs, timeline: Timeline, candidates: Sequence[Candidate], now: datetime
) -> list[Clip]:
    """The rows of the table ``clips``."""
    namer = Namer(timeline, inputs.language, inputs.title)
    return [
        Clip(
            id=clip_id(batch.id, each.window.start_ms, each.window.end_ms),
            clip_batch_id=batch.id,
            start_time_sec=each.window.start_ms / 1000,
            end_time_sec=each.window.end_ms / 1000,
            duration_sec=each.window.length_ms / 1000,
            title=namer.title(each.window, each.llm),
            description=namer.description(each.window, each.llm),
            viral_score=each.blended.viral_score,
            grade_hook=each.blended.grades[Part.HOOK],
            grade_flow=each.blended.grades[Part.FLOW],
            grade_value=each.blended.grades[Part.VALUE],
            grade_trend=each.blended.grades[Part.TREND],
            score_parts=each.blended.parts,
            language=inputs.language,
            status="candidate",
            thumbnail_path=None,
            transcript_preview=namer.preview(each.window),
            hashtags=namer.hashtags(each.window, each.llm),
            created_at=now,
            updated_at=now,
        )
        for each in candidates
    ]


def _without(
    inputs: VideoInputs, config: BatchConfig, scored: Sequence[object], told: LlmScores, llm: Llm | None
) -> str | None:
    """What a person who looks at the batch should know."""
    if not scored:
        start_ms, end_ms = config.processing_timeframe.within_ms(inputs.duration_sec)
        return (
            f"No clip fits: the timeframe has {(end_ms - start_ms) / 1000:g} s of the video, and a clip of "
            f"{config.clip_length_preset.value} at least {config.length.min_ms / 1000:g} s."
        )
    if llm is None and config.include_specific_moments:
        return "The specific moments were not looked for: that needs a language model, and none is configured."
    return f"Scored without the language model: {told.error}" if told.error and not told.scores else told.error
