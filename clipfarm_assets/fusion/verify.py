"""Whether a fused manifest is what it says: lengths, finite numbers, the text mask, unit parts."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from clipfarm_assets.embeddings.manifest import MODALITIES, NORM_TOLERANCE
from clipfarm_assets.fusion.fused_manifest import fused_key
from clipfarm_assets.fusion.strategies import Dims, FloatArray, strategy
from clipfarm_assets.store.object_store import ObjectStore


def fused_problems(store: ObjectStore, name: str, dims: Dims) -> list[str]:
    """What is wrong with a strategy's manifest, in sentences; the vectors of its first row group are looked at.

    Args:
        store: where the manifest lies.
        name: of the strategy.
        dims: length of each modality's embeddings.
    """
    wanted = strategy(name).dim(dims)
    with store.local_file(fused_key(name)) as path:
        if path is None:
            return [f"{name}: there is no fused manifest"]
        file = pq.ParquetFile(path)
        lengths = set(file.read(columns=["fused_dim"])["fused_dim"].to_pylist()) - {None}
        if lengths - {wanted}:
            return [f"{name}: vectors of lengths {sorted(lengths)}, where {wanted} is right"]
        table = file.read_row_group(0) if file.num_row_groups else file.read()
    table = table.filter(table["fused_dim"].is_valid())
    return [f"{name}: {problem}" for problem in _vector_problems(name, table, dims)] if len(table) else []


def _vector_problems(name: str, table: pa.Table, dims: Dims) -> list[str]:
    vectors: FloatArray = np.stack(table["fused"].to_numpy(zero_copy_only=False))
    problems = []
    if not np.isfinite(vectors).all():
        problems.append("a vector holds a number that is not finite")
    if not np.array_equal(vectors[:, -1] == 1, np.asarray(table["text_present"])):
        problems.append("the last component is not the text mask")
    if name == "concat":
        edges = np.cumsum([0, *(dims[modality] for modality in MODALITIES)])
        for modality, start, stop in zip(MODALITIES, edges[:-1], edges[1:], strict=True):
            norms = np.linalg.norm(vectors[:, start:stop], axis=1)
            expected = np.asarray(table[f"{modality}_present"]).astype(np.float32)
            if np.abs(norms - expected).max() > NORM_TOLERANCE:
                problems.append(f"a {modality} part is neither of unit length nor zero where it is absent")
    return problems
