"""What a clip is called: a language model's words where there are some, else its most telling sentence."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from clipfarm_assets.clips.blend import LlmScore
from clipfarm_assets.clips.timeline import Sentence, Timeline, joined
from clipfarm_assets.clips.vocabulary import content_words, vocabulary, words_in
from clipfarm_assets.clips.windows import Window

MAX_TITLE = 60
MAX_DESCRIPTION = 500
MAX_PREVIEW = 280
MAX_HASHTAGS = 5
_FEWEST_TITLE_WORDS = 3
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]")
_NO_TAG = re.compile(r"[^\w]+")


class Namer:
    """Names the clips of one video."""

    def __init__(self, timeline: Timeline, language: str | None, video_title: str) -> None:
        self._timeline, self._known, self._video_title = timeline, vocabulary(language), video_title
        self._everywhere = Counter(content_words([word.text for word in timeline.words], self._known))

    def title(self, window: Window, llm: LlmScore | None) -> str:
        """At most 60 characters, cut between words."""
        if llm and (told := shortened(llm.title, MAX_TITLE)):
            return told
        if (sentence := self._telling(window)) and (said := shortened(sentence.text.rstrip(".。"), MAX_TITLE)):
            return said
        at = f" ({clock(window.start_ms)})"
        return f"{shortened(self._video_title, MAX_TITLE - len(at))}{at}".strip()

    def description(self, window: Window, llm: LlmScore | None) -> str:
        """A model's, else the telling sentence whole; ``""`` where nothing is said."""
        if llm and llm.description.strip():
            return shortened(llm.description, MAX_DESCRIPTION)
        sentence = self._telling(window)
        return shortened(sentence.text, MAX_DESCRIPTION) if sentence else ""

    def preview(self, window: Window) -> str:
        """How the clip begins, in words."""
        return shortened(joined(self._timeline.between(window.start_ms, window.end_ms)), MAX_PREVIEW)

    def hashtags(self, window: Window, llm: LlmScore | None) -> list[str]:
        """At most five, with ``#``: a model's, else the words said most, here and in the video."""
        if llm and (told := _tags(llm.hashtags)):
            return told
        said = content_words(
            [word.text for word in self._timeline.between(window.start_ms, window.end_ms)], self._known
        )
        here = Counter(word for word in said if len(word) > 3 and not word.isdigit())
        return _tags(sorted(here, key=lambda word: (-here[word], -self._everywhere[word], word)))

    def _telling(self, window: Window) -> Sentence | None:
        inside = [
            each
            for each in self._timeline.sentences
            if each.start_ms >= window.start_ms and each.end_ms <= window.end_ms
        ]
        fitting = [s for s in inside if len(s.text) <= MAX_TITLE and len(words_in(s.text)) >= _FEWEST_TITLE_WORDS]
        return max(fitting or inside, key=self._weight, default=None)

    def _weight(self, sentence: Sentence) -> float:
        """Content for its length."""
        return len(set(content_words([sentence.text], self._known))) / (len(words_in(sentence.text)) + 4)


def shortened(text: str, most: int) -> str:
    """One line of at most so many characters, never cut in a word; ``""`` where not even the first word fits.

    Scripts without spaces are cut between characters.
    """
    line = " ".join(text.split())
    if len(line) <= most:
        return line
    for cut in range(most - 1, 0, -1):
        if line[cut] == " " or (_UNSPACED.match(line[cut - 1]) and _UNSPACED.match(line[cut])):
            return line[:cut].rstrip(" ,;:-–—") + "…"
    return ""


def clock(at_ms: int) -> str:
    """``1:23``, or ``1:02:03``."""
    minutes, seconds = divmod(at_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _tags(words: Iterable[str]) -> list[str]:
    plain = (_NO_TAG.sub("", word.casefold()) for word in words)
    return list(dict.fromkeys(f"#{word}" for word in plain if 1 < len(word) <= 40))[:MAX_HASHTAGS]


def summary(title: str, description: str, sentences: Sequence[Sentence]) -> str:
    """What a video is about, for a language model: its title and description, and how it begins."""
    opening = " ".join(sentence.text for sentence in sentences[:3])
    return "\n".join(shortened(part, 600) for part in (title, description, opening) if part.strip())
