"""Repetition loops: a recogniser that says the same thing over and over, where nobody does.

In: the words of one chunk. Out: the words without the loop, its first round kept, and a ``Loop`` for each as evidence.
Nothing can go wrong. People repeat themselves too: a word up to seven times and a phrase up to three times over stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from clipfarm_assets.transcription.chunks import HeardWord, plain

_LONGEST_PHRASE = 16
_WORD_ROUNDS = 8  # of one word; "no, no, no, no" is speech
_PAIR_ROUNDS = 6  # of two words
_PHRASE_ROUNDS = 4  # of three and more


@dataclass(frozen=True)
class Loop:
    """What was dropped.

    Attributes:
        phrase: one round of it, as it stays in the transcript once.
        rounds: how often it was said, the one that stays included.
        start_sec, end_sec: of all rounds.
    """

    phrase: str
    rounds: int
    start_sec: float
    end_sec: float

    def __str__(self) -> str:
        return f"“{self.phrase}” {self.rounds} times from {self.start_sec:.1f} s to {self.end_sec:.1f} s"


def without_loops(words: Sequence[HeardWord]) -> tuple[list[HeardWord], list[Loop]]:
    """Words with one round of each loop, and the loops."""
    names = [plain(word.text) for word in words]
    kept: list[HeardWord] = []
    loops: list[Loop] = []
    at = 0
    while at < len(words):
        size, rounds, length = _loop_at(names, at)
        if rounds:
            last = words[at + length - 1]
            phrase = "".join(word.text for word in words[at : at + size]).strip()
            loops.append(Loop(phrase, rounds, words[at].start, max(last.end, words[at].start)))
        kept += words[at : at + size]
        at += length
    return kept, loops


def _loop_at(names: Sequence[str], at: int) -> tuple[int, int, int]:
    """Size of a phrase, how often it comes from here on, and how many words that is, with a last broken round."""
    for size in range(1, min(_LONGEST_PHRASE, (len(names) - at) // 2) + 1):
        phrase = names[at : at + size]
        rounds = 1
        while names[at + rounds * size : at + (rounds + 1) * size] == phrase:
            rounds += 1
        if rounds >= {1: _WORD_ROUNDS, 2: _PAIR_ROUNDS}.get(size, _PHRASE_ROUNDS):
            length = rounds * size
            is_cut = at + length + size > len(names)  # the chunk ended within a round
            while is_cut and at + length < len(names) and names[at + length] == phrase[length % size]:
                length += 1
            if is_cut and at + length < len(names):
                length = rounds * size
            return size, rounds, length
    return 1, 0, 1
