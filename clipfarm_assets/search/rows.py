"""A document as a row of the index, and back.

What is shown of a document stands in one column, and what is suggested because of it in another, as JSON: of twenty
rows fifteen columns cost five times as much to read as one.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.search.documents import (
    Document,
    Source,
    fingerprint,
    prefix_words,
    search_words,
    spelled_words,
    suggested_texts,
)
from clipfarm_assets.search.words import fold, typed_words

if TYPE_CHECKING:
    import pyarrow as pa

Vector = NDArray[np.float32]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = tuple(name for name in Document.__dataclass_fields__ if name != "created_at")
_FILTERED = ("kind", "game_id", "game", "broadcaster_id", "creator_id", "language")


@dataclass(frozen=True)
class Entry:
    """A document and its discovery vector, (dim,), of any length but zero; None where it has none yet."""

    document: Document
    vector: Vector | None = None
    embedded_at: datetime | None = None


def schema(dim: int) -> "pa.Schema":
    """The index's columns. ``written`` is the table's version at the write; ``created_us`` is microseconds of 1970."""
    import pyarrow as pa

    # The metadata is what keeps writers at once from making two rows of one key: see Lance's merge_insert.
    key = pa.field("key", pa.string(), nullable=False, metadata={"lance-schema:unenforced-primary-key": "true"})
    texts = (*_FILTERED, "fingerprint", "words", "spelled", "prefixes", "shown", "suggested")
    return pa.schema(
        [
            key,
            *((name, pa.string()) for name in texts),
            ("tag_keys", pa.list_(pa.string())),
            ("created_us", pa.int64()),
            ("views", pa.int64()),
            ("written", pa.int64()),
            ("embedded_us", pa.int64()),
            ("vector", pa.list_(pa.float32(), dim)),
        ]
    )


def to_table(entries: Sequence[Entry], dim: int, written: int) -> "pa.Table":
    """Rows of the entries, the last of each key.

    Raises:
        DimensionMismatch: a vector has another length, is all zeros, or holds what is no number.
    """
    import pyarrow as pa

    latest = {entry.document.key: entry for entry in entries}
    return pa.Table.from_pylist([_row(entry, dim, written) for entry in latest.values()], schema=schema(dim))


class Suggested(NamedTuple):
    """A text that may be suggested. ``folded`` tells it from others, ``words`` are those that it is found by."""

    source: Source
    text: str
    folded: str
    words: list[str]


def to_document(shown: str) -> Document:
    """The document that a row's ``shown`` was made of."""
    fields = json.loads(shown)
    created = fields.pop("created_us")
    moment = None if created is None else _EPOCH + timedelta(microseconds=created)
    return Document(**fields | {"tags": tuple(fields["tags"])}, created_at=moment)


def to_suggested(suggested: str) -> list[Suggested]:
    """What a row's ``suggested`` was made of."""
    return [Suggested(*each) for each in json.loads(suggested)]


def microseconds(moment: datetime) -> int:
    """Since 1970, as the index keeps moments."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(microseconds=1)


def tag_keys(tags: Iterable[str]) -> list[str]:
    """Tags as they are compared."""
    return [clean(tag).strip().casefold() for tag in tags]


def clean(text: str) -> str:
    """The text without what Arrow cannot hold: lone surrogates."""
    return text.encode("utf-8", "ignore").decode("utf-8")


def _row(entry: Entry, dim: int, written: int) -> dict[str, Any]:
    document, vector = entry.document, entry.vector
    if vector is not None and (vector.shape != (dim,) or not np.isfinite(vector).all() or not vector.any()):
        raise DimensionMismatch(
            f"The vector of {document.key} is {vector.shape} and the index holds ({dim},), finite and not all zeros."
        )
    created = None if document.created_at is None else microseconds(document.created_at)
    return {name: clean(getattr(document, name)) for name in _FILTERED} | {
        "key": clean(document.key),
        "shown": _shown(document, created),
        "suggested": _suggested(document),
        "tag_keys": tag_keys(document.tags),
        "fingerprint": fingerprint(document),
        "words": search_words(document),
        "spelled": spelled_words(document),
        "prefixes": prefix_words(document),
        "created_us": created,
        "views": document.views,
        "written": written,
        "embedded_us": None if entry.embedded_at is None else microseconds(entry.embedded_at),
        "vector": None if vector is None else np.asarray(vector, np.float32),
    }


def _shown(document: Document, created_us: int | None) -> str:
    fields = {name: getattr(document, name) for name in _SHOWN} | {"created_us": created_us}
    return clean(json.dumps(fields, ensure_ascii=False))


def _suggested(document: Document) -> str:
    texts = ((source, clean(text)) for source, text in suggested_texts(document))
    return json.dumps([(source, text, fold(text), typed_words(text)) for source, text in texts], ensure_ascii=False)
