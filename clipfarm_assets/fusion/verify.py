"""Whether a fused manifest is what it says: lengths, parts, finite numbers, the text mask, unit parts."""

from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipfarm_assets.embeddings.manifest import MODALITIES, NORM_TOLERANCE
from clipfarm_assets.fusion.fused_manifest import FUSED_SCHEMA, read_fused
from clipfarm_assets.fusion.parts import Part, PartUnreadable, Pointers, list_parts, read_part
from clipfarm_assets.fusion.strategies import Dims, strategy
from clipfarm_assets.store.object_store import ObjectStore

_COLUMNS = ("video_id", "source_hash", "fused_dim", "fused_part", "fused_row", *(f"{m}_present" for m in MODALITIES))


def fused_problems(store: ObjectStore, name: str, dims: Dims, *, seed: int) -> list[str]:
    """What is wrong with a strategy's manifest, in sentences; the vectors of one part are looked at.

    Args:
        store: where the manifest lies.
        name: of the strategy.
        dims: length of each modality's embeddings.
        seed: another one looks at another part.
    """
    wanted = strategy(name).dim(dims)
    manifest = read_fused(store, name, _COLUMNS)
    if manifest is None:
        return [f"{name}: there is no fused manifest with the columns {', '.join(FUSED_SCHEMA.names)}"]
    rows = manifest.rows.filter(manifest.rows["fused_dim"].is_valid())
    lengths = set(pc.unique(rows["fused_dim"]).to_pylist())
    if lengths - {wanted}:
        return [f"{name}: vectors of lengths {sorted(lengths)}, where {wanted} is right"]
    pointers, there = Pointers.of(rows), list_parts(store, name)
    live = pointers.live()
    if lost := [key for key in live if key not in there]:
        videos = sum(live[key] for key in lost)
        return [f"{name}: {videos} vectors lie in {len(lost)} parts that are not there, such as {lost[0]}"]
    if not live:
        return []
    key = Random(seed).choice(sorted(live))
    of_part = pointers.rows_of(key)
    try:
        part = read_part(store, key)
    except PartUnreadable as error:
        return [f"{name}: {error}"]
    problems = _part_problems(name, rows.take(pa.array(of_part)), part, pointers.row[of_part], dims)
    return [f"{name}: {problem} in {key}" for problem in problems]


def _part_problems(name: str, rows: pa.Table, part: Part, places: np.ndarray, dims: Dims) -> list[str]:
    if places.max() >= len(part.vectors) or part.vectors.shape[1] != strategy(name).dim(dims):
        return ["vectors of another number or length than the manifest says"]
    vectors, problems = part.vectors[places], []
    own = (part.video_ids.take(pa.array(places)), part.source_hashes.take(pa.array(places)))
    if not all(rows[column].combine_chunks().equals(ours) for column, ours in zip(_COLUMNS, own, strict=False)):
        problems.append("vectors of other videos, or made of other inputs, than the manifest says")
    if not np.isfinite(vectors).all():
        problems.append("a vector holds a number that is not finite")
    if not np.array_equal(vectors[:, -1] == 1, np.asarray(rows["text_present"])):
        problems.append("the last component is not the text mask")
    if name == "concat":
        edges = np.cumsum([0, *(dims[modality] for modality in MODALITIES)])
        for modality, start, stop in zip(MODALITIES, edges[:-1], edges[1:], strict=True):
            norms = np.linalg.norm(vectors[:, start:stop], axis=1)
            expected = np.asarray(rows[f"{modality}_present"]).astype(np.float32)
            if not np.abs(norms - expected).max() <= NORM_TOLERANCE:
                problems.append(f"a {modality} part is neither of unit length nor zero where it is absent")
    return problems
