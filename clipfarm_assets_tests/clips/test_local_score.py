"""What the local score rests on: words, never parts of words, with the quote and the second."""

import numpy as np
import pytest

from clipfarm_assets.clips.local_score import Judged, LocalScorer
from clipfarm_assets.clips.loudness import Loudness
from clipfarm_assets.clips.model import Part
from clipfarm_assets.clips.timeline import Timeline
from clipfarm_assets.clips.windows import Window
from clipfarm_assets_tests.clips.videos import talk

REST = ("The harbour was closed for the winter and opened in the spring.",) * 4


def parts(
    opening: str, language: str | None = "en", rest: tuple[str, ...] = REST, start: int = 0
) -> dict[Part, Judged]:
    """The parts of a clip that begins with these words."""
    cues, duration = talk((opening, *rest))
    timeline = Timeline.of(cues, duration)
    scorer = LocalScorer(timeline, language, None, Judged.unknown("not asked for"))
    return dict(scorer.score(Window(start, timeline.sentences[-1].end_ms)).parts)


def hooks(opening: str, language: str | None = "en") -> set[str]:
    judged = parts(opening, language)[Part.HOOK]
    assert judged.score is not None
    return {each.what for each in judged.evidence if each.points > 0}


@pytest.mark.parametrize(
    ("opening", "language", "expected"),
    [
        ("Why does the bridge fall down in winter?", "en", {"a question"}),
        ("The bridge fell down. Why did it fall?", "en", {"a question"}),
        ("Kenapa jembatan itu runtuh di musim dingin?", "id", {"a question"}),
        ("为什么桥会塌？", "zh", {"a question"}),
        ("The bridge fell down ninety times.", "en", {"a number"}),
        ("The bridge fell down 90 times.", "fr", {"a number"}),
        ("Jembatan runtuh tiga kali.", "id", {"a number"}),
        ("Imagine that the bridge falls.", "en", {"speaks to the viewer"}),
        ("If you're on it, it falls.", "en", {"speaks to the viewer"}),
        ("Bayangkan jembatan itu runtuh.", None, {"speaks to the viewer"}),
        ("Would you cross ten bridges?", "en", {"a question", "a number", "speaks to the viewer"}),
        ("The youth often wondered about oneness in Yourdon.", "en", set()),  # you, ten, one, your within words
        ("Tentacles and stopwatches and looking-glasses.", "en", set()),
        ("The bridge fell down.", "fr", set()),
    ],
)
def test_a_hook_is_heard_by_word(opening: str, language: str | None, expected: set[str]) -> None:
    assert hooks(opening, language) == expected


def test_a_hook_comes_with_its_words_and_its_second() -> None:
    cues, duration = talk((*REST, "Why did ninety of you stay?", *REST))
    timeline = Timeline.of(cues, duration)
    asked = timeline.sentences[4]
    scorer = LocalScorer(timeline, "en", None, Judged.unknown("not asked for"))
    hook = scorer.score(Window(asked.start_ms, timeline.sentences[-1].end_ms)).parts[Part.HOOK]
    told = {each.what: (each.quote, each.at_sec) for each in hook.evidence}
    assert told["a question"] == ("Why did ninety of you stay?", asked.start_ms / 1000)
    assert told["a number"][0] == "ninety" and told["speaks to the viewer"][0] == "you"


def test_what_comes_after_three_seconds_is_no_hook() -> None:
    assert hooks("The bridge near the old town fell down in the winter. Why did ninety of you stay?") == set()


def test_a_clip_flows_when_it_begins_and_ends_with_a_sentence_and_nobody_falls_silent() -> None:
    whole = parts("The bridge fell down.")[Part.FLOW]
    late = parts("The bridge fell down.", start=500)[Part.FLOW]
    assert (whole.score or 0) > (late.score or 0) + 2
    assert any("starts within a sentence" in each.what for each in late.evidence)
    cues, duration = talk(("The bridge fell down.", *REST), gap_sec=6.0)
    timeline = Timeline.of(cues, duration)
    halting = (
        LocalScorer(timeline, "en", None, Judged.unknown("-")).score(Window(0, timeline.duration_ms)).parts[Part.FLOW]
    )
    assert (halting.score or 0) < (whole.score or 0) - 2


def test_value_is_content_and_a_start_that_stands_alone() -> None:
    dense = parts("Engineers in Lyon measured salt inside forty bridges.")[Part.VALUE]
    thin = parts("So it was what it was and that was it.")[Part.VALUE]
    assert (dense.score or 0) > (thin.score or 0)
    assert any("leans on" in each.what and each.quote == "So" for each in thin.evidence)


def test_without_a_word_list_the_score_says_what_it_could_not_judge() -> None:
    judged = parts("Le pont est tombé.", "fr", rest=("Le port restait fermé pendant tout un hiver.",) * 4)
    said = " ".join(each.what for each in (*judged[Part.HOOK].evidence, *judged[Part.VALUE].evidence))
    assert "no word list for fr" in said and "no question mark or digit" in said


def test_the_evidence_adds_up_to_the_score() -> None:
    cues, duration = talk(("Would you cross ten bridges?", *REST))
    timeline = Timeline.of(cues, duration)
    scorer = LocalScorer(
        timeline,
        "en",
        Loudness(np.full(300, 0.1, np.float32)),
        Judged.unknown("-"),
        np.full(len(timeline.sentences), 0.0),
    )
    for part, judged in scorer.score(Window(0, timeline.duration_ms)).parts.items():
        if part is not Part.TREND:
            assert judged.score == pytest.approx(sum(each.points for each in judged.evidence))
            assert 0 <= (judged.score or 0) <= 10
