"""One Parquet manifest a modality: which vector belongs to which video, or why there is none.

Rows are sorted by ``video_id``, one for every video of the metadata, and a manifest is replaced whole: readers see
the old one or the new one. The manifest points at ``.npy`` files and names their SHA-256, so that whoever reads a
vector can tell whether it is the one that the manifest means; ``agrees`` samples that.
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from random import Random
from tokenize import TokenError
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from clipfarm_assets.errors import DimensionMismatch, StoreError
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectStore

Modality = Literal["video", "audio", "text"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
NORM_TOLERANCE = 1e-4

FloatArray = npt.NDArray[np.float32]

_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_NPY_PREFIX_BYTES = 10  # magic, version, and the header's length


@dataclass(frozen=True)
class ManifestRow:
    """One video in one modality.

    Attributes:
        source_hash: of the embedding: SHA-256 over everything that shaped it.
        captured_at: of the video's latest metadata row, as text.
        embedding_key: where the vector lies; None where there is none.
        embedding_dim: the vector's length.
        processed_at: when the embedding stage last said something of this video, with a time zone.
        etag: the store's own, of the vector's object.
        sha256: of the ``.npy`` file's bytes: the vector's data version.
        upstream_status: where ``status`` is upstream_failed, the status of the stage that it waits for. A terminal
            one (a sound track that cannot be decoded) means that this modality is not coming.
        reason: the error's text, or why there is no vector.
    """

    video_id: str
    source_hash: str | None
    captured_at: str | None
    modality: Modality
    embedding_key: str | None
    embedding_dim: int | None
    model_name: str | None
    model_version: str | None
    preprocess_version: str | None
    status: Status
    processed_at: datetime | None
    etag: str | None = None
    sha256: str | None = None
    upstream_status: Status | None = None
    reason: str | None = None


_STATUS_TEXT = {None: None} | {status: status.value for status in Status}

MANIFEST_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("source_hash", pa.string()),
        pa.field("captured_at", pa.string()),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("embedding_key", pa.string()),
        pa.field("embedding_dim", pa.int32()),
        pa.field("model_name", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("preprocess_version", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("processed_at", pa.timestamp("us", tz="UTC")),
        pa.field("etag", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("upstream_status", pa.string()),
        pa.field("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class ManifestInfo:
    """What a manifest holds.

    Attributes:
        by_status: number of rows of each status.
        dim: length of its vectors; None where it points at none.
        sha256: of the Parquet file: its data version.
        written: False where the store had the very same manifest already.
    """

    key: str
    rows: int
    by_status: dict[str, int]
    dim: int | None
    sha256: str
    written: bool


@dataclass(frozen=True)
class Disagreement:
    """A pointer whose ``.npy`` is not what the manifest says."""

    video_id: str
    key: str
    problem: str


class VectorProblem(ValueError):
    """The bytes are not the vector that they should be; the message says why."""


def manifest_key(modality: Modality) -> str:
    """Where the manifest of a modality lies in the store."""
    return f"clipfarm/embeddings/{modality}_manifest.parquet"


def write_manifest(store: ObjectStore, modality: Modality, rows: Iterable[ManifestRow]) -> ManifestInfo:
    """Replaces the manifest of a modality. The same rows, in any order, give the same bytes.

    Raises:
        DimensionMismatch: the vectors pointed at differ in length; nothing is written.
        ValueError: two rows for one video, a row of another modality, a success without a vector, or a vector without
            length or SHA-256.
    """
    table = manifest_table(modality, rows)
    dim = manifest_dim(modality, table)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", use_dictionary=False)
    content, key = sink.getvalue(), manifest_key(modality)
    written = store.get(key) != content
    if written:
        store.put(key, content)
    return ManifestInfo(
        key, len(table), count_values(table["status"]), dim, hashlib.sha256(content).hexdigest(), written
    )


def read_manifest(store: ObjectStore, modality: Modality) -> pa.Table:
    """The manifest as a table of ``MANIFEST_SCHEMA``; one without rows where there is none yet.

    Raises:
        StoreError: what lies there is no such manifest. It is not taken for an absent one, which would say that no
            video has any vector.
    """
    key = manifest_key(modality)
    raw = store.get(key)
    if raw is None:
        return MANIFEST_SCHEMA.empty_table()
    try:
        table = pq.read_table(pa.BufferReader(raw))
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(store, key) from error
    if not table.schema.equals(MANIFEST_SCHEMA):
        raise _unreadable(store, key)
    return table


def manifest_table(modality: Modality, rows: Iterable[ManifestRow]) -> pa.Table:
    """Rows as a table of ``MANIFEST_SCHEMA``, sorted by ``video_id``; errors as ``write_manifest``."""
    ordered = sorted(rows, key=attrgetter("video_id"))
    for row in ordered:
        if row.modality != modality:
            raise ValueError(f"{row.video_id} is of modality {row.modality}, not {modality}.")
        if row.embedding_key is None:
            if row.status is Status.SUCCESS:
                raise ValueError(f"{row.video_id} is a {modality} success without a vector.")
        elif row.embedding_dim is None or row.sha256 is None:
            raise ValueError(f"{row.video_id} has a {modality} vector without length or SHA-256.")
    for before, after in pairwise(ordered):
        if before.video_id == after.video_id:
            raise ValueError(f"{after.video_id} has two rows in the {modality} manifest.")
    return pa.table([_column(ordered, field) for field in MANIFEST_SCHEMA], schema=MANIFEST_SCHEMA)


def _column(rows: Sequence[ManifestRow], field: pa.Field) -> pa.Array:
    values = list(map(attrgetter(field.name), rows))
    if field.name in ("status", "upstream_status"):  # Arrow takes an enum of strings for no string
        values = list(map(_STATUS_TEXT.__getitem__, values))
    return pa.array(values, field.type)


def count_values(column: pa.ChunkedArray) -> dict[str, int]:
    """How often each value of a column occurs, by value."""
    counts = pc.value_counts(column)
    return dict(sorted(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True)))


def has_vector(table: pa.Table) -> npt.NDArray[np.bool_]:
    """For each row of a manifest, whether it points at a vector that may be used, shape (rows,).

    A vector that an earlier input left behind lies in the store while its video fails: it does not count.
    """
    materialized = pa.array([status.value for status in Status if status.materialized])
    said = pc.and_(table["embedding_key"].is_valid(), pc.is_in(table["status"], value_set=materialized))
    return np.asarray(said, dtype=np.bool_)


def manifest_dim(modality: Modality, table: pa.Table) -> int | None:
    """The one length of a manifest's vectors; None where it has none, DimensionMismatch where it has several."""
    found = table.select(["video_id", "embedding_dim"]).filter(pa.array(has_vector(table)))
    counts = found.group_by("embedding_dim", use_threads=False).aggregate([("video_id", "count"), ("video_id", "min")])
    dims = counts["embedding_dim"].to_pylist()
    if len(dims) > 1:
        several = counts.sort_by([("video_id_count", "descending"), ("video_id_min", "ascending")]).to_pylist()
        said = "{video_id_count} of {embedding_dim}, such as {video_id_min}"
        parts = "; ".join(said.format(**row) for row in several)
        raise DimensionMismatch(
            f"The {modality} vectors differ in length: {parts}.",
            hint="Embed the videos of one of the lengths again, with one model for all.",
        )
    return dims[0] if dims else None


def agrees(store: ObjectStore, table: pa.Table, sample: int, seed: int) -> list[Disagreement]:
    """Compares a seeded sample of a manifest's pointers with the ``.npy`` files.

    A vector agrees when it is there, has the SHA-256 and the length that the manifest says, is float32 and finite,
    and its norm is 1 within ``NORM_TOLERANCE``.
    """
    found = np.flatnonzero(has_vector(table)).tolist()
    chosen = sorted(Random(seed).sample(found, min(sample, len(found))))
    columns = ["video_id", "embedding_key", "embedding_dim", "sha256"]
    rows: Sequence[dict[str, str]] = table.select(columns).take(pa.array(chosen, pa.int64())).to_pylist()
    disagreements = []
    for row in rows:
        problem = _problem(store.get(row["embedding_key"]), int(row["embedding_dim"]), row["sha256"])
        if problem is not None:
            disagreements.append(Disagreement(row["video_id"], row["embedding_key"], problem))
    return disagreements


def _unreadable(store: ObjectStore, key: str) -> StoreError:
    return StoreError(
        f"{store.location(key)} is no embedding manifest.", hint="Delete it; the next run writes it anew."
    )


def _problem(raw: bytes | None, dim: int, sha256: str) -> str | None:
    try:
        vector = proven_vector(raw, dim, sha256)
    except VectorProblem as problem:
        return str(problem)
    norm = float(np.linalg.norm(vector.astype(np.float64)))
    return None if abs(norm - 1) <= NORM_TOLERANCE else f"its norm is {norm:.6g}, not 1"


def proven_vector(raw: bytes | None, dim: int, sha256: str | None) -> FloatArray:
    """The vector in a ``.npy`` file's bytes, shape (dim,), float32, finite; read-only.

    Raises:
        VectorProblem: there are no bytes, or they are not the vector that the manifest means.
    """
    if raw is None:
        raise VectorProblem("the file is absent")
    if sha256 is not None and hashlib.sha256(raw).hexdigest() != sha256:
        raise VectorProblem("its SHA-256 is another")
    offset, dtype, shape = _npy_header(raw)
    if dtype != "<f4":
        raise VectorProblem(f"its type is {dtype}, not float32")
    if shape != (dim,):
        raise VectorProblem(f"its shape is {shape}, not ({dim},)")
    if len(raw) != offset + 4 * dim:
        raise VectorProblem("it is cut short or too long")
    vector: FloatArray = np.frombuffer(raw, dtype="<f4", offset=offset)
    if not np.isfinite(vector).all():
        raise VectorProblem("it holds values that are not finite")
    return vector


def _npy_header(raw: bytes) -> tuple[int, str, tuple[int, ...]]:
    if raw[: len(_NPY_MAGIC)] != _NPY_MAGIC or len(raw) < _NPY_PREFIX_BYTES:
        raise VectorProblem("it is not an .npy file of format 1.0")
    end = _NPY_PREFIX_BYTES + int.from_bytes(raw[8:_NPY_PREFIX_BYTES], "little")
    return _parse_header(raw[:end])


@lru_cache(maxsize=64)  # the headers of one model's vectors are the same, and parsing one costs more than reading it
def _parse_header(header: bytes) -> tuple[int, str, tuple[int, ...]]:
    stream = io.BytesIO(header)
    try:
        np.lib.format.read_magic(stream)
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    except (ValueError, EOFError, SyntaxError, TokenError) as error:
        raise VectorProblem("its header cannot be read") from error
    return len(header), dtype.str, shape
