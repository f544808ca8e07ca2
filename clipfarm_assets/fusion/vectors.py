"""Fused vectors for whoever uses them: all of a strategy, or those of some videos, as one matrix.

With DuckDB, pandas or pyarrow the same comes from joining the manifest with the parts by ``video_id`` and
``fused_part``; a part may hold vectors that the manifest does not point at any more.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from clipfarm_assets.fusion.fused_manifest import read_fused
from clipfarm_assets.fusion.parts import FloatArray, PartUnreadable, Pointers, read_part
from clipfarm_assets.store.object_store import ObjectStore

_TRIES = 3  # a reader that is overtaken by two builds finds a part gone, and the newest manifest without it
_READ_THREADS = 8
_COLUMNS = ("video_id", "fused_dim", "fused_part", "fused_row")


def read_vectors(
    store: ObjectStore, strategy: str, video_ids: Sequence[str] | None = None
) -> tuple[list[str], FloatArray]:
    """Ids, and their fused vectors as a matrix of shape (ids, dim), float32.

    Args:
        store: where the manifest lies.
        strategy: its name.
        video_ids: whose vectors are wanted, in the order they come back; all, sorted, where None. Videos that have no
            vector, or are not known, are left out.

    Raises:
        PartUnreadable: a part of the manifest is lost or broken; the next build of the manifest heals it.
    """
    for left in reversed(range(_TRIES)):
        try:
            return _read(store, strategy, video_ids)
        except PartUnreadable:
            if not left:
                raise
    raise AssertionError


def _read(store: ObjectStore, strategy: str, video_ids: Sequence[str] | None) -> tuple[list[str], FloatArray]:
    manifest = read_fused(store, strategy, _COLUMNS)
    if manifest is None:
        return [], np.zeros((0, 0), dtype=np.float32)
    rows = manifest.rows
    if video_ids is not None:
        places = pc.index_in(pa.array(video_ids, pa.string()), value_set=rows["video_id"].combine_chunks())
        rows = rows.take(places.drop_null())
    rows = rows.filter(rows["fused_dim"].is_valid())
    dim = rows["fused_dim"][0].as_py() if len(rows) else 0
    out, pointers = np.empty((len(rows), dim), dtype=np.float32), Pointers.of(rows)

    def fill(key: str) -> None:
        here = pointers.rows_of(key)
        out[here] = read_part(store, key).vectors[pointers.row[here]]

    with ThreadPoolExecutor(_READ_THREADS) as pool:
        list(pool.map(fill, pointers.live()))
    return rows["video_id"].to_pylist(), out
