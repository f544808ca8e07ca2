"""The fused manifest's file: its columns, a writer that holds one row group, a reader of what was there before.

Rows are sorted by ``video_id`` and lie in groups of ``ROWS_PER_GROUP``, so that one video's vector is found by the
groups' statistics and read without its neighbours' groups. Vectors are not compressed (they do not shrink) and no
column has a dictionary.
"""

from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from clipfarm_assets.embeddings.manifest import MODALITIES
from clipfarm_assets.fusion.plan import POINTERS
from clipfarm_assets.store.object_store import ObjectStore

ROWS_PER_GROUP = 8_192
_VECTOR_LEAF = "fused.list.element"  # Parquet's path of the one column that holds vectors

FloatArray = npt.NDArray[np.float32]
IndexArray = npt.NDArray[np.int64]


def fused_key(strategy: str) -> str:
    """Where the fused manifest of a strategy lies in the store."""
    return f"clipfarm/fused/{strategy}/fused_manifest.parquet"


def fused_schema(dim: int) -> pa.Schema:
    """The columns of a fused manifest with vectors of ``dim`` components, float32, null where there is none."""
    vector = pa.list_(pa.field("element", pa.float32(), nullable=False), dim)
    return pa.schema(
        [
            pa.field("video_id", pa.string(), nullable=False),
            pa.field("captured_at", pa.string()),
            pa.field("source_hash", pa.string()),
            pa.field("fusion_strategy", pa.string(), nullable=False),
            pa.field("fused_dim", pa.int32()),
            pa.field("fused", vector),
            *(pa.field(f"{modality}_{name}", pa.string()) for modality in MODALITIES for name in POINTERS),
            *(pa.field(f"{modality}_present", pa.bool_(), nullable=False) for modality in MODALITIES),
            pa.field("status", pa.string(), nullable=False),
            pa.field("reason", pa.string()),
            pa.field("processed_at", pa.timestamp("us", tz="UTC"), nullable=False),
        ]
    )


def facts_schema(dim: int) -> pa.Schema:
    """``fused_schema`` without the vectors."""
    schema = fused_schema(dim)
    return schema.remove(schema.get_field_index("fused"))


def fused_counts(store: ObjectStore, strategy: str) -> dict[str, int]:
    """Number of rows of each status; empty where there is no manifest yet."""
    with store.local_file(fused_key(strategy)) as path:
        statuses = pq.read_table(path, columns=["status"])["status"].to_pylist() if path else []
    return dict(Counter(statuses))


class FusedWriter:
    """Writes a fused manifest to a local file, one row group at a time."""

    def __init__(self, path: Path, dim: int) -> None:
        self.path = path
        self._schema = fused_schema(dim)
        names = [name for name in self._schema.names if name != "fused"]
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            use_dictionary=False,
            compression={**dict.fromkeys(names, "zstd"), _VECTOR_LEAF: "none"},
            write_statistics=names,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._writer.close()

    def write(self, facts: pa.Table, vectors: FloatArray) -> None:
        """Adds one row group: ``facts`` of n rows, and vectors of shape (n, dim).

        A row without ``fused_dim`` gets a null; its vector is not looked at.
        """
        absent = facts["fused_dim"].is_null().combine_chunks()
        column = pa.FixedSizeListArray.from_arrays(
            pa.array(vectors.ravel()), type=self._schema.field("fused").type, mask=absent
        )
        table = facts.append_column("fused", column).select(self._schema.names).cast(self._schema)
        self._writer.write_table(table, row_group_size=ROWS_PER_GROUP)


class Previous:
    """A fused manifest that is already there: its facts in memory, its vectors read when they are asked for."""

    def __init__(self, file: pq.ParquetFile, dim: int) -> None:
        self.facts: pa.Table = file.read(columns=facts_schema(dim).names)
        self._file = file
        groups = range(file.num_row_groups)
        self._starts = np.cumsum([0, *(file.metadata.row_group(group).num_rows for group in groups)])

    @classmethod
    def open(cls, path: Path | None, dim: int) -> "Previous | None":
        """None where there is no file, or none with these columns and this length: all is made again."""
        if path is None:
            return None
        try:
            file = pq.ParquetFile(path)
        except (pa.ArrowInvalid, OSError):
            return None  # cut short, or not Parquet
        return cls(file, dim) if file.schema_arrow.equals(fused_schema(dim)) else None

    def copy_vectors(self, rows: IndexArray, out: FloatArray, places: IndexArray) -> None:
        """Copies the vectors of ``rows``, shape (n,), ascending, to ``out[places]``; one row group in memory."""
        groups = np.searchsorted(self._starts, rows, side="right") - 1
        for group in np.unique(groups):
            here = groups == group
            column = self._file.read_row_group(int(group), columns=["fused"])["fused"].combine_chunks()
            stored = column.values.to_numpy(zero_copy_only=False).reshape(-1, out.shape[1])
            out[places[here]] = stored[rows[here] - self._starts[group]]
