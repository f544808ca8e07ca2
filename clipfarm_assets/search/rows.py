"""A document as a row of the index, and back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.search.documents import Document, fingerprint, prefix_words, search_words, spelled_words

if TYPE_CHECKING:
    import pyarrow as pa

Vector = NDArray[np.float32]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = tuple(name for name in Document.__dataclass_fields__ if name != "created_at")
SHOWN_COLUMNS = ("key", *_SHOWN, "created_us")


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
    texts = ["kind", "id", "title", "description", "game_id", "game", "broadcaster_id", "broadcaster", "creator_id"]
    texts += ["creator", "language", "fingerprint", "words", "spelled", "prefixes"]
    return pa.schema(
        [
            key,
            *((name, pa.string()) for name in texts),
            ("tags", pa.list_(pa.string())),
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


def to_document(row: Mapping[str, Any]) -> Document:
    """The document that a row was made of."""
    fields = {name: row[name] for name in _SHOWN}
    created = row["created_us"]
    fields["tags"] = tuple(fields["tags"] or ())
    return Document(**fields, created_at=None if created is None else _EPOCH + timedelta(microseconds=created))


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
    row: dict[str, Any] = {name: getattr(document, name) for name in _SHOWN}
    row = {name: clean(value) if isinstance(value, str) else value for name, value in row.items()}
    return row | {
        "key": clean(document.key),
        "tags": [clean(tag) for tag in document.tags],
        "tag_keys": tag_keys(document.tags),
        "fingerprint": fingerprint(document),
        "words": search_words(document),
        "spelled": spelled_words(document),
        "prefixes": prefix_words(document),
        "created_us": None if document.created_at is None else microseconds(document.created_at),
        "written": written,
        "embedded_us": None if entry.embedded_at is None else microseconds(entry.embedded_at),
        "vector": None if vector is None else np.asarray(vector, np.float32),
    }
