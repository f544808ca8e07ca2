"""The fused manifest's file: one row a video, with facts, status, and where its fused vector lies.

Rows are sorted by ``video_id`` and lie in groups of ``ROWS_PER_GROUP``; no column has a dictionary. The vectors
themselves lie in parts beside it (``parts``): ``fused_part`` is the part's key in the store, ``fused_row`` the place
in it, both null where there is no vector. The file names the parts that its predecessor used and it does not, since a
reader may still be at work on that one; they go when this manifest is replaced in turn.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from clipfarm_assets.embeddings.manifest import MODALITIES, count_values
from clipfarm_assets.fusion.plan import POINTERS
from clipfarm_assets.store.object_store import ObjectStore

ROWS_PER_GROUP = 8_192
_RETIRED = b"clipfarm.retired_parts"

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
    """

    rows: pa.Table
    retired: frozenset[str]


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
            retired = json.loads((file.schema_arrow.metadata or {}).get(_RETIRED, b"[]"))
        except (pa.ArrowInvalid, OSError, ValueError):
            return None  # cut short, or not Parquet
    return FusedManifest(rows.replace_schema_metadata(None), frozenset(retired))


def write_fused(store: ObjectStore, strategy: str, manifest: FusedManifest) -> None:
    """Replaces the fused manifest of a strategy; the same rows and retired parts give the same bytes."""
    schema = FUSED_SCHEMA.with_metadata({_RETIRED: json.dumps(sorted(manifest.retired)).encode()})
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, schema, use_dictionary=False, compression="zstd") as writer:
        writer.write_table(manifest.rows.cast(schema), row_group_size=ROWS_PER_GROUP)
    store.put(fused_key(strategy), sink.getvalue().to_pybytes())


def fused_counts(store: ObjectStore, strategy: str) -> dict[str, int]:
    """Number of rows of each status; empty where there is no manifest yet."""
    manifest = read_fused(store, strategy, ["status"])
    return {} if manifest is None else count_values(manifest.rows["status"])
