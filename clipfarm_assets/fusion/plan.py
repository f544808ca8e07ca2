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

FUSION_VERSION = "1"
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
    sha256: str | None
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
        facts: video_id, captured_at, each modality's pointers and presence; one row a video.
        present: for each modality, shape (rows,), whether it has a vector.
        inputs: for each row, what its fused vector is made of, as text to be hashed.
    """

    facts: pa.Table
    dims: Mapping[Modality, int]
    present: Mapping[Modality, npt.NDArray[np.bool_]]
    statuses: list[FusedStatus]
    reasons: list[str | None]
    inputs: list[str]

    def source_hashes(self, strategy: str) -> list[str]:
        """For each row, SHA-256 over everything that shapes its outcome under a strategy."""
        dims = " ".join(str(self.dims[modality]) for modality in MODALITIES)
        shared = hashlib.sha256(f"fusion {FUSION_VERSION}\n{strategy}\n{dims}\n".encode())
        hashes = []
        for text in self.inputs:
            digest = shared.copy()
            digest.update(text.encode())
            hashes.append(digest.hexdigest())
        return hashes


def make_plan(manifests: Mapping[Modality, pa.Table], dims: Mapping[Modality, int]) -> Plan:
    """Joins the three manifests by ``video_id`` and settles every row's status."""
    ids = _all_ids(manifests)
    aligned = {modality: _aligned(manifests[modality], ids) for modality in MODALITIES}
    present = {modality: has_vector(aligned[modality]) for modality in MODALITIES}
    columns = {"video_id": ids, "captured_at": pc.coalesce(*(aligned[m]["captured_at"] for m in MODALITIES))}
    for modality in MODALITIES:
        for name in POINTERS:
            value = aligned[modality][name]
            columns[f"{modality}_{name}"] = pc.if_else(pa.array(present[modality]), value, pa.scalar(None, value.type))
    columns |= {f"{modality}_present": pa.array(present[modality]) for modality in MODALITIES}
    statuses, reasons, inputs = [], [], []
    outcomes = [_outcomes(aligned[modality], present[modality]) for modality in MODALITIES]
    for video, audio, text in zip(*outcomes, strict=True):
        status, reason = settle(video, audio, text)
        statuses.append(status)
        reasons.append(reason)
        inputs.append("\n".join(_input(outcome) for outcome in (video, audio, text)))
    return Plan(pa.table(columns), dims, present, statuses, reasons, inputs)


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
    ids = pc.unique(pa.concat_arrays([manifests[m]["video_id"].combine_chunks() for m in MODALITIES]))
    return ids.take(pc.sort_indices(ids))


def _aligned(manifest: pa.Table, ids: pa.Array) -> pa.Table:
    """The manifest's row of every id; a row of nulls where it has none."""
    return manifest.take(pc.index_in(ids, value_set=manifest["video_id"].combine_chunks()))


def _outcomes(aligned: pa.Table, present: npt.NDArray[np.bool_]) -> list[Outcome]:
    columns = [aligned[name].to_pylist() for name in ("status", "upstream_status", "reason", "sha256")]
    return [
        Outcome(Status(status or Status.PENDING), upstream and Status(upstream), reason, sha256, there)
        for status, upstream, reason, sha256, there in zip(*columns, present.tolist(), strict=True)
    ]


def _input(outcome: Outcome) -> str:
    return f"{outcome.status.value} {outcome.upstream_status or '-'} {outcome.sha256 if outcome.present else '-'}"
