"""What becomes of every video in fusion, before any vector is read.

========================================== =========================== =========================================
video / audio / text                       status                      vector
========================================== =========================== =========================================
all there                                  success                     yes
no video vector, whatever the reason       missing_required_modality   none
audio or text not known yet                pending                     none
audio or text will not come (no sound,     success                     yes, with zeros in its place, ``…_present``
nothing said and no title, a terminal                                  false (text mask 0), reason kept
failure of its own or of the stage before)
========================================== =========================== =========================================

A text vector of a video in which nothing is said (``empty_transcript``) stands for its title and description, and
counts as present. Every video of any manifest is in exactly one row.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from clipfarm_assets.embeddings.manifest import MODALITIES, Modality, has_vector
from clipfarm_assets.statuses import Status

FUSION_VERSION = "1"  # of all strategies; another one makes every vector again
BoolArray = npt.NDArray[np.bool_]
POINTERS = ("embedding_key", "etag", "sha256", "model_name", "model_version")


class FusedStatus(StrEnum):
    """One video's state in a fused manifest."""

    SUCCESS = "success"
    PENDING = "pending"
    MISSING_REQUIRED_MODALITY = "missing_required_modality"


@dataclass(frozen=True)
class Outcome:
    """One modality of one video, as its manifest has it; ``status`` is pending where it has no row."""

    status: Status
    upstream_status: Status | None
    reason: str | None
    present: bool

    @property
    def settled(self) -> bool:
        """Nothing more will come of this modality until an input changes."""
        last = self.upstream_status if self.status is Status.UPSTREAM_FAILED else self.status
        return last is not None and last.meaning.terminal

    def explained(self, modality: str) -> str:
        why = self.reason or (self.upstream_status and f"the stage before is {self.upstream_status.value}")
        return f"{modality} is {self.status.value}" + (f": {why}" if why else "")


@dataclass(frozen=True)
class Plan:
    """The rows of a fused manifest that are the same for every strategy, in order of ``video_id``.

    Attributes:
        facts: video_id, captured_at, source_hash (SHA-256 over everything that shapes the row's outcome), each
            modality's pointers and presence, status and reason.
        present: for each modality, shape (rows,), whether it has a vector.
        fusable: shape (rows,), whether the row gets a vector.
    """

    facts: pa.Table
    dims: Mapping[Modality, int]
    present: Mapping[Modality, BoolArray]
    fusable: BoolArray


def make_plan(manifests: Mapping[Modality, pa.Table], dims: Mapping[Modality, int]) -> Plan:
    """Joins the three manifests by ``video_id`` and settles every row's status."""
    ids = _all_ids(manifests)
    aligned = {modality: _aligned(manifests[modality], ids) for modality in MODALITIES}
    present = {modality: has_vector(aligned[modality]) for modality in MODALITIES}
    statuses, reasons = _settled(aligned, present)
    columns = {
        "video_id": ids,
        "captured_at": pc.coalesce(*(aligned[m]["captured_at"] for m in MODALITIES)),
        "source_hash": _source_hashes(aligned, present, dims),
    }
    for modality in MODALITIES:
        for name in POINTERS:
            columns[f"{modality}_{name}"] = _where(present[modality], aligned[modality][name])
    columns |= {f"{modality}_present": pa.array(present[modality]) for modality in MODALITIES}
    columns |= {"status": statuses, "reason": reasons}
    fusable = np.asarray(pc.equal(statuses, FusedStatus.SUCCESS.value), dtype=np.bool_)
    return Plan(pa.table(columns), dims, present, fusable)


def settle(video: Outcome, audio: Outcome, text: Outcome) -> tuple[FusedStatus, str | None]:
    """Status and reason of one video."""
    if not video.present:
        return FusedStatus.MISSING_REQUIRED_MODALITY, video.explained("video")
    absent = [(name, outcome) for name, outcome in (("audio", audio), ("text", text)) if not outcome.present]
    waiting = [outcome.explained(name) for name, outcome in absent if not outcome.settled]
    if waiting:
        return FusedStatus.PENDING, "; ".join(waiting)
    return FusedStatus.SUCCESS, "; ".join(outcome.explained(name) for name, outcome in absent) or None


def _all_ids(manifests: Mapping[Modality, pa.Table]) -> pa.Array:
    columns = [manifests[m]["video_id"].combine_chunks() for m in MODALITIES]
    if all(column.equals(columns[0]) for column in columns[1:]):
        return columns[0]  # sorted already
    ids = pc.unique(pa.concat_arrays(columns))
    return ids.take(pc.sort_indices(ids))


def _aligned(manifest: pa.Table, ids: pa.Array) -> pa.Table:
    """The manifest's row of every id; a row of nulls where it has none."""
    own = manifest["video_id"].combine_chunks()
    return manifest if own.equals(ids) else manifest.take(pc.index_in(ids, value_set=own))


def _where(there: BoolArray, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column if there.all() else pc.if_else(pa.array(there), column, pa.scalar(None, column.type))


def _settled(aligned: Mapping[Modality, pa.Table], present: Mapping[Modality, BoolArray]) -> tuple[pa.Array, pa.Array]:
    """Status and reason of every row. Most rows are in the same case as many others: each case is settled once."""
    names = ("status", "upstream_status", "reason")
    case = np.zeros(len(present["video"]), dtype=np.int64)
    for modality in MODALITIES:
        for column in (*(aligned[modality][name] for name in names), pa.chunked_array([pa.array(present[modality])])):
            coded = column.combine_chunks().dictionary_encode(null_encoding="encode")
            case = case * max(len(coded.dictionary), 1) + np.asarray(coded.indices)
            case = np.unique(case, return_inverse=True)[1]  # small numbers again: the next product must not overflow
    _, examples, cases = np.unique(case, return_index=True, return_inverse=True)
    outcomes = [_outcomes(aligned[m].select(names).take(pa.array(examples)), present[m][examples]) for m in MODALITIES]
    settled = [settle(*of_video) for of_video in zip(*outcomes, strict=True)]
    statuses = pa.array([status.value for status, _ in settled], pa.string())
    reasons = pa.array([reason for _, reason in settled], pa.string())
    return statuses.take(pa.array(cases)), reasons.take(pa.array(cases))


def _outcomes(aligned: pa.Table, present: BoolArray) -> list[Outcome]:
    columns = [aligned[name].to_pylist() for name in ("status", "upstream_status", "reason")]
    return [
        Outcome(Status(status or Status.PENDING), upstream and Status(upstream), reason, there)
        for status, upstream, reason, there in zip(*columns, present.tolist(), strict=True)
    ]


def _source_hashes(
    aligned: Mapping[Modality, pa.Table], present: Mapping[Modality, BoolArray], dims: Mapping[Modality, int]
) -> pa.Array:
    said = []
    for modality in MODALITIES:
        table = aligned[modality]
        status = pc.fill_null(table["status"], Status.PENDING.value)
        said += [status, pc.fill_null(table["upstream_status"], "-")]
        said.append(pc.fill_null(_where(present[modality], table["sha256"]), "-"))
    lengths = " ".join(str(dims[modality]) for modality in MODALITIES)
    shared = hashlib.sha256(f"fusion {FUSION_VERSION}\n{lengths}\n".encode())
    hashes = []
    for text in pc.binary_join_element_wise(*said, " ").to_pylist():
        digest = shared.copy()
        digest.update(text.encode())
        hashes.append(digest.hexdigest())
    return pa.array(hashes, pa.string())
