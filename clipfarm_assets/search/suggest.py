"""What a user may be about to type: titles, broadcasters, games and tags with a word that begins so.

Every item's row holds the beginnings of its words (``words.prefixes``), so that a suggestion is one look-up by words,
new as soon as the item is, and gone with it. LanceDB's own n-gram tokenizer cuts at any place of a word and finds
nothing in Chinese and Japanese.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from clipfarm_assets.errors import QueryRefused
from clipfarm_assets.search.candidates import every_word
from clipfarm_assets.search.connection import answer_to
from clipfarm_assets.search.documents import Source
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.search.rows import Suggested, to_suggested
from clipfarm_assets.search.words import MAX_PREFIX, MIN_PREFIX, is_unspaced, typed_words

MOST = 20
_LOOKED_AT = 100
_ORDER: dict[Source, int] = {"game": 0, "broadcaster": 1, "tag": 2, "title": 3}


@dataclass(frozen=True)
class Suggestion:
    """A text and where it comes from."""

    text: str
    source: Source


def suggest(index: SearchIndex, typed: str, size: int = 10) -> tuple[Suggestion, ...]:
    """Suggestions for what was typed, the commonest first; none where fewer than 2 letters were.

    One character is enough of a script without spaces, and of emoji.

    Raises:
        QueryRefused: more than 20 suggestions are asked for, or more than 1,000 characters were typed.
    """
    if not 1 <= size <= MOST:
        raise QueryRefused(f"size is 1 to {MOST}.")
    if len(typed) > 1_000:
        raise QueryRefused("What is typed may have 1,000 characters.")
    begun = [word[:MAX_PREFIX] for word in typed_words(typed)][:8]
    known = [word for word in begun if len(word) >= MIN_PREFIX or not word.isascii()]
    if not known:
        return ()
    # The commonest spelling of a text speaks for all of them.
    spellings: dict[tuple[Source, str], Counter[str]] = {}
    for each in _texts(index, known):
        if _begins(each.words, begun):
            spellings.setdefault((each.source, each.folded), Counter())[each.text] += 1
    counted = [(Suggestion(each.most_common(1)[0][0], source), each.total()) for (source, _), each in spellings.items()]
    counted.sort(key=lambda pair: (-pair[1], _ORDER[pair[0].source], len(pair[0].text), pair[0].text))
    return tuple(suggestion for suggestion, _ in counted[:size])


def _begins(words: Sequence[str], begun: Sequence[str]) -> bool:
    """Whether each piece that was typed begins a word of the text, or stands in a run without spaces."""
    return all(
        any(word.startswith(piece) or (is_unspaced(piece) and piece in word) for word in words) for piece in begun
    )


def _texts(index: SearchIndex, begun: Sequence[str]) -> list[Suggested]:
    """The texts of the best hundred rows."""
    query = index.reader().query().nearest_to_text(every_word(begun, "prefixes"))
    rows = answer_to(query.limit(_LOOKED_AT).select(["suggested", "_score"]).to_arrow())
    return [each for suggested in rows["suggested"].to_pylist() for each in to_suggested(suggested)]
