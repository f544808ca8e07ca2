"""Described segments from elsewhere: every file of a folder, with vectors of its own or of the text model."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.embeddings.text import preprocess_version
from clipfarm_assets.embeddings.vectors import rows_to_npy
from clipfarm_assets.errors import SegmentFileError
from clipfarm_assets.graph.chunk import emit_own_events
from clipfarm_assets.graph.columns import column_schema
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.presentation import cell, markdown_table
from clipfarm_assets.metadata.read import file_fingerprint
from clipfarm_assets.segments.imports import ENDINGS, Refused, read_import
from clipfarm_assets.segments.table import SEGMENTS_SCHEMA, SegmentRow, to_parquet
from clipfarm_assets.store.artifacts import Identity, Json, Made, Versions, content_sha256

IMPORT = "import:"  # what the name of an import's source begins with; a video_id has no colon
IMPORTED_SEGMENTS = "imported_segments"
_PREFIX = "clipfarm/segments/imports/"
_READ_KEY = "clipfarm/state/segment_imports.txt"  # the fingerprint of the folder as it was read last
_SHOWN_REFUSED = 20
_KEPT_REFUSED = 1000
_CODE = "1"


def import_keys(name: str) -> tuple[str, str]:
    """Where the segments of an import lie, and their vectors."""
    safe = quote(name, safe="")
    return f"{_PREFIX}{safe}.segments.parquet", f"{_PREFIX}{safe}.vectors.npy"


def changed_imports(workshop: Workshop) -> str | None:
    """The folder's fingerprint where a file has come, gone or changed since it was read; None where none has."""
    facts = [(path.name, file_fingerprint(path)) for path in _files(workshop)]
    now = hashlib.sha256(repr(facts).encode()).hexdigest() if facts else ""
    before = workshop.store.get(_READ_KEY)
    return now if now != (before or b"").decode() else None


def read_imports(workshop: Workshop) -> dict[str, dict[str, str]]:
    """By the name of the source: the teams that it has segments of, each with a version of its own."""
    found = {}
    for info in workshop.store.list(_PREFIX):
        identity = workshop.artifacts.identity(info.key) if info.key.endswith(".vectors.npy") else None
        if identity is not None:
            teams = identity.details.get("teams")
            found[IMPORT + identity.video_id] = dict(teams) if isinstance(teams, dict) else {}
    return found  # type: ignore[return-value]


@dg.asset(
    name=IMPORTED_SEGMENTS, group_name="segments", kinds={"parquet", "numpy"}, owners=["team:data-platform"],
    code_version=_CODE, metadata=column_schema(SEGMENTS_SCHEMA),
)  # fmt: skip
def imported_segments(context: dg.AssetExecutionContext, platform: Platform) -> dg.MaterializeResult[None]:
    """Described segments from elsewhere: `clipfarm/segments/imports/`.

    Each CSV or Parquet in the folder `CLIPFARM_SEGMENT_IMPORTS` is taken in. One with vectors keeps them; the others
    are embedded by the text model. Rows that cannot be read are listed with their number and reason, and never stop the
    good ones. A file that goes leaves what it brought; one that is emptied but for its header takes it away.
    """
    emit_own_events(context)
    workshop = platform.open()
    fingerprint = changed_imports(workshop)  # taken before the reading: what changes meanwhile is seen later
    files, refused, broken = [], [], []
    for path in _files(workshop):
        try:
            identity, bad = _take_in(workshop, path)
        except SegmentFileError as error:
            broken.append(str(error))
            continue
        files.append([cell(path.name), str(identity.details["segments"]), identity.versions.model_name])
        refused += [[cell(path.name), str(each.row), cell(each.reason)] for each in bad]
    if fingerprint is not None:
        workshop.store.put(_READ_KEY, fingerprint.encode())
    if broken:
        raise SegmentFileError(f"{' '.join(broken)} The other files, {len(files)}, are taken in.")
    more = [[f"… and {len(refused) - _SHOWN_REFUSED} more", "", ""]] if len(refused) > _SHOWN_REFUSED else []
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": sum(int(row[1]) for row in files),
            "refused": len(refused),
            "files": dg.MetadataValue.md(markdown_table(["file", "segments", "vectors by"], files)),
            "refused_rows": dg.MetadataValue.md(
                markdown_table(["file", "row", "reason"], refused[:_SHOWN_REFUSED] + more)
            ),
        }
    )


def _files(workshop: Workshop) -> list[Path]:
    folder = workshop.settings.segment_imports
    return sorted(path for path in folder.glob("*") if path.suffix in ENDINGS) if folder.is_dir() else []


def _take_in(workshop: Workshop, path: Path) -> tuple[Identity, list[Refused]]:
    """Stores what the file has; one that was taken in as it is, with vectors of its own or of this model, is left."""
    content_hash, ref = content_sha256(path), workshop.models.text
    own = Versions(_CODE, ref.name, ref.revision, preprocess_version(ref, workshop.settings))
    rows_key, vectors_key = import_keys(path.name)
    known = workshop.artifacts.present(vectors_key)
    if known is not None and known.source_hash == content_hash and workshop.store.head(rows_key) is not None:
        right_vectors = known.versions == own or known.details.get("own_vectors")
        if right_vectors:
            return known, _refused(known)
    found = read_import(path)
    vectors, versions = found.vectors, Versions(_CODE, found.vector_model or "")
    if vectors is None:
        texts = [row.segment.description for row in found.rows]
        vectors, versions = workshop.text_encoder.embed_sentences(texts), own
    details: dict[str, Json] = {
        "segments": len(found.rows), "own_vectors": found.vectors is not None,
        "teams": dict(_versions_by_team(found.rows, vectors, versions)),
        "refused": {str(each.row): each.reason for each in found.refused[:_KEPT_REFUSED]},
    }  # fmt: skip
    # The rows first, the vectors with the identity of both last: what has an identity is whole.
    workshop.store.put(rows_key, to_parquet(found.rows))
    made = Made(rows_to_npy(vectors), details=details)
    identity = workshop.artifacts.put(
        vectors_key, made, stage=IMPORTED_SEGMENTS, video_id=path.name, source_hash=content_hash, versions=versions
    )
    return identity, found.refused


def _refused(identity: Identity) -> list[Refused]:
    rows = identity.details.get("refused")
    return [Refused(int(row), str(reason)) for row, reason in rows.items()] if isinstance(rows, dict) else []


def _versions_by_team(rows: Sequence[SegmentRow], vectors: NDArray[np.float32], versions: Versions) -> dict[str, str]:
    """What changes when something of the team's segments or vectors does."""
    by_team: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        by_team.setdefault(row.segment.team, []).append(number)
    return {
        team: hashlib.sha256(
            to_parquet([rows[number] for number in numbers]) + rows_to_npy(vectors[numbers]) + repr(versions).encode()
        ).hexdigest()
        for team, numbers in by_team.items()
    }
