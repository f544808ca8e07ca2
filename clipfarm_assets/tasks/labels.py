"""What a Task is called when no LLM answers: its most telling words, and what happened in its most typical segment.

Words are weighed by class-based TF-IDF: the Task's segments are one document, all segments seen are the other; a word
counts by its frequency in the Task times ``ln(1 + average words a Task / its frequency everywhere)``, as in BERTopic
(Grootendorst 2022). A title has five to ten words; the description is the segment's nearest the centroid.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

KEYWORDS = 3
MIN_TITLE_WORDS, MAX_TITLE_WORDS = 5, 10
_WORD = re.compile(r"[^\W\d_][\w'’-]*[^\W_]|[^\W\d_]", re.UNICODE)
_FILLER = ("as", "described", "in", "the", "video")


@dataclass(frozen=True)
class Label:
    """A Task's name. ``keywords`` in falling weight."""

    title: str
    description: str
    keywords: tuple[str, ...]
    labelled_by: Literal["keywords"] = "keywords"


@dataclass(frozen=True)
class WordCounts:
    """How often each word occurs in each of several groups of descriptions; made once a run.

    Attributes:
        everywhere: over all groups.
        average: words in a group, on average.
    """

    everywhere: Mapping[str, int]
    average: float

    @classmethod
    def of(cls, groups: Iterable[Sequence[str]]) -> "WordCounts":
        counted = [_counts(descriptions) for descriptions in groups]
        everywhere: Counter[str] = Counter()
        for counts in counted:
            everywhere.update(counts)
        return cls(everywhere, sum(everywhere.values()) / max(1, len(counted)))


def local_label(descriptions: Sequence[str], corpus: WordCounts) -> Label:
    """The label of a Task with these segments, the nearest to its centroid first; the same for the same order.

    Raises:
        ValueError: there are none.
    """
    if not descriptions:
        raise ValueError("A Task without segments has no label.")
    typical = descriptions[0].strip()
    words = keywords(descriptions, corpus)
    return Label(_title(words, typical), typical or "No description.", words)


def keywords(descriptions: Sequence[str], corpus: WordCounts, n: int = KEYWORDS) -> tuple[str, ...]:
    """The words that set these descriptions apart, in falling weight, ties by alphabet.

    Among several descriptions a word of one alone says nothing about the pattern, and is left out if others remain.
    """
    counts = _counts(descriptions)
    in_how_many = Counter(word for description in descriptions for word in set(_words(description)))
    shared = {word for word in counts if in_how_many[word] > 1} or set(counts)
    weights = {
        word: counts[word] * np.log1p(corpus.average / max(counts[word], corpus.everywhere.get(word, 0)))
        for word in (shared if len(shared) >= n else counts)
    }
    return tuple(sorted(weights, key=lambda word: (-weights[word], word))[:n])


def _title(words: Sequence[str], typical: str) -> str:
    """``Keywords: first words of the typical segment``, cut to ten words, filled up to five."""
    sentence = re.split(r"(?<=[.!?;])\s", typical, maxsplit=1)[0].split()
    told = sentence[: MAX_TITLE_WORDS - len(words)]
    told += list(_FILLER[: max(0, MIN_TITLE_WORDS - len(words) - len(told))])
    head, rest = ", ".join(words), " ".join(told).rstrip(" .,;:–—")
    title = f"{head}: {rest}" if head else rest
    return title[:1].upper() + title[1:] + ("…" if len(told) < len(sentence) else "")


def _counts(descriptions: Iterable[str]) -> Counter[str]:
    return Counter(word for description in descriptions for word in _words(description))


def _words(text: str) -> list[str]:
    stop = _stop_words()
    return [word for word in _WORD.findall(text.lower().replace("’", "'")) if len(word) > 2 and word not in stop]


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) | {"user", "users", "person", "says", "does", "doesn't", "can't"}
