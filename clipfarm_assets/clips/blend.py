"""One score of two: the local one and a language model's, each kept with what it rests on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clipfarm_assets.clips.local_score import Evidence, Judged, LocalScore
from clipfarm_assets.clips.model import Part, grade_of, rounded, score_of


@dataclass(frozen=True)
class LlmScore:
    """What a language model says of a window.

    Attributes:
        score: 0 to 10.
        quote: words of the window's transcript; ``""`` where it gave none.
    """

    score: float
    grades: Mapping[Part, str]
    title: str
    description: str
    quote: str = ""
    hashtags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Blended:
    """A clip's score as people see it.

    Attributes:
        viral_score: 0 to 10 with one decimal; None where neither side could make one.
        grades: of each part; None where neither side could judge it.
        parts: both sides with their evidence, the blended score of each part, and why what is missing is; JSON.
    """

    viral_score: float | None
    grades: Mapping[Part, str | None]
    parts: dict[str, Any]


def blend(local: LocalScore, llm: LlmScore | None, why_no_llm: str | None = None) -> Blended:
    """The mean of both where both are there, else the one that is.

    Args:
        why_no_llm: why the model has no part in it, where it was to have one.
    """
    of_parts = {
        part: mean([local.parts[part].score, score_of(llm.grades[part]) if llm and part in llm.grades else None])
        for part in Part
    }
    whole = mean([local.total, llm.score if llm else None])
    return Blended(
        None if whole is None else rounded(whole),
        {part: grade_of(None if score is None else rounded(score)) for part, score in of_parts.items()},
        {
            "parts": {part.value: score for part, score in of_parts.items()},
            "local": {
                "score": local.total,
                "parts": {part.value: asdict(judged) for part, judged in local.parts.items()},
            },
            "llm": None if llm is None else _told(llm),
            "missing": _missing(local, llm, why_no_llm),
        },
    )


def rejudged(parts: Mapping[str, Any], trend: Judged) -> Blended:
    """The score that stands in ``Blended.parts`` with another trend: what scoring the clip again would give."""
    judged = {Part(name): _judged(told) for name, told in parts["local"]["parts"].items()}
    llm = parts["llm"]
    if llm is not None:
        grades = {Part(name): grade for name, grade in llm["grades"].items()}
        llm = LlmScore(llm["score"], grades, title="", description="", quote=llm["quote"] or "")
    return blend(LocalScore(judged | {Part.TREND: trend}), llm, parts["missing"].get("llm"))


def _judged(told: Mapping[str, Any]) -> Judged:
    return Judged(told["score"], tuple(Evidence(**each) for each in told["evidence"]), told["reason"])


def mean(scores: Sequence[float | None]) -> float | None:
    """Of those that are there; None of none."""
    known = [score for score in scores if score is not None]
    return sum(known) / len(known) if known else None


def _told(llm: LlmScore) -> dict[str, Any]:
    return {
        "score": llm.score,
        "grades": {part.value: grade for part, grade in llm.grades.items()},
        "quote": llm.quote or None,
    }


def _missing(local: LocalScore, llm: LlmScore | None, why_no_llm: str | None) -> dict[str, str]:
    """Every part that is not there, by name, with the reason."""
    missing = {f"local.{part.value}": judged.reason for part, judged in local.parts.items() if judged.score is None}
    if llm is None:
        missing["llm"] = why_no_llm or "No language model is configured."
    return {name: reason or "not known" for name, reason in missing.items()}
