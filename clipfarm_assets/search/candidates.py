"""The two searches of which every answer is made: words by BM25, meaning by cosine. Each gives keys, best first.

Text: every word that is asked for is in the document, whichever field it stands in. Where fewer than five documents
have them all as typed, those that have them within a typing error follow: one letter for words of four, two from eight
on, the first letter right, or two neighbours swapped. That looks at words as they are spelled, in rows that
``optimize`` has taken in.

Meaning: the nearest vectors by cosine, among those that pass the filter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.search.rows import Vector
from clipfarm_assets.search.words import Word

if TYPE_CHECKING:
    import pyarrow as pa
    from lancedb.table import AsyncTable

KEY = ("key",)
FACTS = ("key", "created_us", "views", "language", "game_id", "game")
"""What sorting and counting need of a candidate; each column costs as much as a twentieth of a question."""

FEW = 5
NEAR = 100
_EF = 256
_REFINE = 2
_FUZZY_BOOST = 0.3
_ONE_LETTER_FROM, _TWO_LETTERS_FROM = 4, 8


@dataclass(frozen=True)
class Found:
    """Candidates, best first: a row each with ``key``, the other columns that were asked for, and ``score``."""

    rows: "pa.Table"

    @property
    def keys(self) -> list[str]:
        """Their keys, best first."""
        found: list[str] = self.rows["key"].to_pylist()
        return found


async def by_words(
    table: "AsyncTable", words: Sequence[Word], where: str | None, depth: int, columns: Sequence[str] = KEY
) -> Found:
    """The ``depth`` best documents that have all the words; those with typing errors after those without."""
    import pyarrow as pa

    exact = await _text(table, every_word([word.stem for word in words]), where, depth, columns)
    if exact.num_rows >= FEW or not any(_letters_off(word) for word in words):
        return Found(exact)
    fuzzy = await _text(table, _nearly_every_word(words), where, depth, columns)
    known = set(exact["key"].to_pylist())
    new = fuzzy.filter(pa.array([key not in known for key in fuzzy["key"].to_pylist()], pa.bool_()))
    return Found(pa.concat_tables([exact, new]).slice(0, depth))


async def by_meaning(
    table: "AsyncTable",
    vector: Vector,
    where: str | None,
    depth: int,
    columns: Sequence[str] = KEY,
    *,
    exact: bool = False,
) -> Found:
    """The ``depth`` nearest documents, fewer only where fewer have a vector and pass.

    HNSW answers where it is there and depth is at most ``NEAR``; its answers are compared exactly. Deeper, and where
    the filter lets through so little that HNSW finds fewer than it should, every vector is compared.

    Raises:
        DimensionMismatch: the vector has another length than the index's, or is all zeros.
    """
    dim = (await table.schema()).field("vector").type.list_size
    if vector.shape != (dim,) or not np.isfinite(vector).all() or not vector.any():
        raise DimensionMismatch(f"The query's vector is {vector.shape} and the index holds ({dim},), not all zeros.")
    approximate = not exact and depth <= NEAR
    rows = await _nearest(table, vector, where, depth, columns, exact=not approximate)
    if approximate and rows.num_rows < depth:
        rows = await _nearest(table, vector, where, depth, columns, exact=True)
    return Found(rows)


async def everything(table: "AsyncTable", where: str | None) -> Found:
    """Every item that passes, in no order; ``score`` is 0."""
    import pyarrow as pa

    query = table.query().select(list(FACTS))
    rows = await (query.where(where) if where else query).to_arrow()
    return Found(rows.append_column("score", pa.array(np.zeros(rows.num_rows, np.float32))))


async def _nearest(
    table: "AsyncTable", vector: Vector, where: str | None, depth: int, columns: Sequence[str], *, exact: bool
) -> "pa.Table":
    query = table.vector_search(vector).column("vector").distance_type("cosine")
    query = query.limit(depth).select([*columns, "_distance"])
    query = query.bypass_vector_index() if exact else query.ef(_EF).refine_factor(_REFINE)
    rows = await (query.where(where) if where else query).to_arrow()
    score = np.nan_to_num(1.0 - rows["_distance"].to_numpy(), nan=-1.0)
    return _best_first(rows.drop_columns("_distance"), score)


async def _text(
    table: "AsyncTable", question: Any, where: str | None, depth: int, columns: Sequence[str]
) -> "pa.Table":
    query = table.query().nearest_to_text(question).limit(depth).select([*columns, "_score"])
    rows = await (query.where(where) if where else query).to_arrow()
    return _best_first(rows.drop_columns("_score"), rows["_score"].to_numpy())


def _best_first(rows: "pa.Table", score: Any) -> "pa.Table":
    """Equal scores go by key, so that the order is the same every time."""
    import pyarrow as pa

    order = np.lexsort((np.asarray(rows["key"].to_pylist(), dtype=object), -score))
    return rows.append_column("score", pa.array(score, pa.float32())).take(pa.array(order, pa.int64()))


def match(words: str, column: str, **options: Any) -> Any:
    """A search for words in a column of words; blanks between them are the only thing that is read in it."""
    from lancedb.query import MatchQuery

    return MatchQuery(words, column, **options)


def every_word(words: Sequence[str], column: str = "words") -> Any:
    """Rows whose column has all the words."""
    from lancedb.query import FullTextOperator

    return match(" ".join(words), column, operator=FullTextOperator.AND)


def _nearly_every_word(words: Sequence[Word]) -> Any:
    from lancedb.query import BooleanQuery, Occur

    return BooleanQuery([(Occur.MUST, _nearly(word)) for word in words])


def _nearly(word: Word) -> Any:
    from lancedb.query import BooleanQuery, Occur

    as_typed = match(word.stem, "words")
    if not (letters := _letters_off(word)):
        return as_typed
    nearly = match(word.plain, "spelled", fuzziness=letters, prefix_length=1, boost=_FUZZY_BOOST)
    swapped = match(_swapped(word.plain), "spelled", boost=_FUZZY_BOOST)
    return BooleanQuery([(Occur.SHOULD, as_typed), (Occur.SHOULD, nearly), (Occur.SHOULD, swapped)])


def _swapped(word: str) -> str:
    """The word with each two neighbouring letters in the other order; Levenshtein counts that as two errors."""
    swaps = (word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1) if word[i] != word[i + 1])
    return " ".join(swaps)


def _letters_off(word: Word) -> int:
    length = len(word.plain)
    return 0 if length < _ONE_LETTER_FROM else 1 if length < _TWO_LETTERS_FROM else 2
