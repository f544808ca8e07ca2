"""The fused manifest's file: one row a video, with facts, status, and where its fused vector lies.

Rows are sorted by ``video_id`` and lie in groups of ``ROWS_PER_GROUP``; no column has a dictionary. The vectors
themselves lie in parts beside it (``parts``): ``fused_part`` is the part's key in the store, ``fused_row`` the place
in it, both null where there is no vector. Two things stand in the file's key-value metadata: the parts that its
predecessor used and it does not, since a reader may still be at work on that one (they go when this manifest is
replaced in turn); and the SHA-256 of the facts, so that a build sees without reading them whether they have changed.
"""

import hashlib
import io
import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from clipfarm_assets.embeddings.manifest import MODALITIES, count_values
from clipfarm_assets.fusion.plan import POINTERS
from clipfarm_assets.store.object_store import ObjectStore

ROWS_PER_GROUP = 8_192
_RETIRED = b"clipfarm.retired_parts"
_FACTS = b"clipfarm.facts_sha256"

FUSED_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("captured_at", pa.string()),
        pa.field("source_hash", pa.string()),
        pa.field("fusion_strategy", pa.string(), nullable=False),
        pa.field("fused_dim", pa.int32()),
        pa.field("fused_part", pa.string()),
        pa.field("fused_row", pa.int32()),
        *(pa.field(f"{modality}_{name}", pa.string()) for modality in MODALITIES for name in POINTERS),
        *(pa.field(f"{modality}_present", pa.bool_(), nullable=False) for modality in MODALITIES),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("processed_at", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)


def fused_key(strategy: str) -> str:
    """Where the fused manifest of a strategy lies in the store."""
    return f"clipfarm/fused/{strategy}/fused_manifest.parquet"


@dataclass(frozen=True)
class FusedManifest:
    """A fused manifest as it was read.

    Attributes:
        rows: a table of ``FUSED_SCHEMA``, or of the columns asked for.
        retired: keys of parts that only its predecessor uses.
        facts_sha256: ``table_sha256`` of the facts that all strategies share.
    """

    rows: pa.Table
    retired: frozenset[str]
    facts_sha256: str


def read_fused(store: ObjectStore, strategy: str, columns: Collection[str] | None = None) -> FusedManifest | None:
    """The fused manifest of a strategy; None where there is none, or none with these columns."""
    with store.local_file(fused_key(strategy)) as path:
        if path is None:
            return None
        try:
            file = pq.ParquetFile(path, pre_buffer=True)
            if not file.schema_arrow.equals(FUSED_SCHEMA):
                return None
            rows = file.read(columns=None if columns is None else list(columns))
            notes = file.schema_arrow.metadata or {}
            retired = frozenset(json.loads(notes.get(_RETIRED, b"[]")))
        except (pa.ArrowInvalid, OSError, ValueError):
            return None  # cut short, or not Parquet
    return FusedManifest(rows.replace_schema_metadata(None), retired, notes.get(_FACTS, b"").decode())


def write_fused(store: ObjectStore, strategy: str, manifest: FusedManifest) -> None:
    """Replaces the fused manifest of a strategy; the same rows and retired parts give the same bytes."""
    notes = {_RETIRED: json.dumps(sorted(manifest.retired)).encode(), _FACTS: manifest.facts_sha256.encode()}
    schema = FUSED_SCHEMA.with_metadata(notes)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, use_dictionary=False, compression="zstd") as writer:
        writer.write_table(manifest.rows.cast(schema), row_group_size=ROWS_PER_GROUP)
    store.put(fused_key(strategy), sink.getvalue().to_pybytes())


def table_sha256(table: pa.Table) -> str:
    """SHA-256, in hex, over the columns of a table; the same where it was made the same way."""
    sink = _Hashing()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    return sink.digest.hexdigest()


class _Hashing(io.RawIOBase):
    """A file that keeps nothing but the SHA-256 of what is written to it."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.digest.update(content)
        return len(content)


def fused_counts(store: ObjectStore, strategy: str) -> dict[str, int]:
    """Number of rows of each status; empty where there is no manifest yet."""
    manifest = read_fused(store, strategy, ["status"])
    return {} if manifest is None else count_values(manifest.rows["status"])
