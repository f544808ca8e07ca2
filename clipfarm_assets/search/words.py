"""Text becomes words: the same for documents and for queries, in any script.

Case, width and accents are folded. Scripts that are written without spaces, and Korean, become single characters and
pairs of neighbours, as in Lucene's CJK analyzer: a dictionary cuts the same word differently in other company (ICU
leaves 桜の whole in 桜の花見), and then a query does not find it. Emoji are words. All else is cut by ICU's rules and
stemmed by Snowball's English stemmer, both in LanceDB's own tokenizer.

A word holds no white space, so words joined by blanks are what the index's white space tokenizer takes apart again:
nothing that a user types is ever read as an operator.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

MAX_PREFIX = 20
MIN_PREFIX = 2
_MAX_WORD = 40
_LONGEST_PIECE = 2_000

_UNSPACED = (
    "\u3005-\u3007\u3040-\u309c\u309d-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uac00-\ud7a3\U00020000-\U0003134f"
)
_EMOJI = "\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_RUNS = re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?P<emoji>[{_EMOJI}])")
_JOINERS = re.compile("[\u200b-\u200d\u2060\ufe0e\ufe0f\U0001f3fb-\U0001f3ff\u0640]")  # of emoji; Arabic tatweel
_POSSESSIVE = re.compile(r"['’]s\b")
_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")
_ARABIC = str.maketrans({"\u0649": "\u064a", "\u0629": "\u0647"})
_ARTICLE = re.compile(r"^(?:\u0648?\u0627\u0644|\u0644\u0644)(?=\w{3})")  # the, and the, for the

_ENGLISH = (
    "a an and are as at be but by can do does for from has have he her his how i if in into is it its me my of on or "
    "our she so that the their them there they this to was we were what when where which who why will with you your"
)
FUNCTION_WORDS = frozenset(_ENGLISH.split())
"""Words that a query may hold and a document need not, unless the query holds nothing else."""


class Word(NamedTuple):
    """A word as it is counted, and as it is spelled."""

    stem: str
    plain: str


def words(text: str) -> list[str]:
    """The words of a text in their order, folded and stemmed, repeated ones too."""
    found: list[str] = []
    for plain, special in _parts(fold(text)):
        if plain:
            found += _stemmed(plain)
        found += _unspaced(special)
    return found


def query_words(text: str, most: int = 32) -> list[Word]:
    """The different words that a query asks for, function words left out unless there is nothing else."""
    asked: list[Word] = []
    for plain, special in _parts(fold(text)):
        kept = [piece for piece in plain.split() if _bare(piece) not in FUNCTION_WORDS]
        asked += _both_forms(kept)
        # Two neighbours say all that their characters say; a document has both.
        asked += [Word(each, each) for each in (_pairs(special) if len(special) > 1 else special)]
    if not asked:
        asked = [word for plain, _ in _parts(fold(text)) for word in _both_forms(plain.split())]
    return list({word.stem: word for word in reversed(asked)}.values())[::-1][:most]


def typed_words(text: str) -> list[str]:
    """Words as they are typed, folded and not stemmed: what suggestions are found by."""
    found: list[str] = []
    for plain, special in _parts(fold(text)):
        found += [word for piece in plain.split() for word in _cut(piece[:_LONGEST_PIECE], False)]
        if special:
            found.append(special)
    return found


def spellings(text: str) -> list[str]:
    """The different words of a text as they are spelled, of scripts with spaces, for typing errors."""
    found = [word.plain for plain, _ in _parts(fold(text)) for word in _both_forms(plain.split())]
    return list(dict.fromkeys(found))


def prefixes(texts: Iterable[str]) -> list[str]:
    """Every beginning of every word of the texts, 2 to 20 characters long, each once.

    A run without spaces begins anew at each of its characters. Emoji and single characters of such scripts stand for
    themselves.
    """
    found: dict[str, None] = {}
    for text in texts:
        for word in typed_words(text):
            starts = range(len(word)) if is_unspaced(word) else range(1)
            for start in starts:
                rest = word[start : start + MAX_PREFIX]
                shortest = 1 if starts.stop > 1 or not word.isascii() else MIN_PREFIX
                found.update(dict.fromkeys(rest[:length] for length in range(shortest, len(rest) + 1)))
    return list(found)


def is_unspaced(word: str) -> bool:
    """Whether a word is a run of a script without spaces."""
    match = _RUNS.fullmatch(word)
    return match is not None and match["unspaced"] is not None


def fold(text: str) -> str:
    """Lower case, one width, no accents, no vowel marks, no control characters, no lone surrogates."""
    if text.isascii():  # has none of them; a twentieth of the time
        bare = text.lower()
        return _printable(_APOSTROPHE.sub("", _POSSESSIVE.sub("", bare)) if "'" in bare else bare)
    return fold_any(text)


def fold_any(text: str) -> str:
    """``fold`` of any script."""
    text = text.encode("utf-8", "ignore").decode("utf-8")
    marked = unicodedata.normalize("NFKD", _JOINERS.sub("", text).casefold())
    # Accents of Latin, Greek and Cyrillic, points of Hebrew, vowels of Arabic; what voices a kana (8) is a letter of it
    bare = "".join(c for c in marked if not 10 <= (mark := unicodedata.combining(c)) <= 36 and mark < 202)
    bare = _APOSTROPHE.sub("", _POSSESSIVE.sub("", unicodedata.normalize("NFC", bare)))
    return _printable(bare.translate(_ARABIC))


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """The text as pairs: what is spaced, then a run that is not (or an emoji)."""
    end = 0
    for match in _RUNS.finditer(text):
        yield text[end : match.start()], match[0]
        end = match.end()
    yield text[end:], ""


def _unspaced(run: str) -> list[str]:
    return [*run, *_pairs(run)] if len(run) > 1 else [run] if run else []


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)]


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"()[]{}'’`*-_/\\")


@lru_cache(maxsize=65_536)
def _cut(piece: str, stem: bool) -> tuple[str, ...]:
    """A blank-free piece of text as words: usually one, more where ICU sees several."""
    import lancedb

    cut = lancedb.tokenize(
        piece, base_tokenizer="icu/split", stem=stem, remove_stop_words=False, ascii_folding=True,
        max_token_length=_MAX_WORD,
    )  # fmt: skip
    return tuple(token.text for token in cut)


def _both_forms(pieces: Iterable[str]) -> list[Word]:
    return [word for piece in pieces for word in _forms(piece[:_LONGEST_PIECE])]


@lru_cache(maxsize=65_536)
def _forms(piece: str) -> tuple[Word, ...]:
    both = zip(_cut(piece, True), _cut(piece, False), strict=True)
    return tuple(Word(_ARTICLE.sub("", stem), plain) for stem, plain in both)


def _stemmed(text: str) -> list[str]:
    return [word.stem for word in _both_forms(text.split())]
