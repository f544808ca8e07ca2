"""Reads the ``.npy`` files that a build fuses, many at once."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from clipfarm_assets.embeddings.manifest import MODALITIES, FloatArray, Modality, VectorProblem, proven_vector
from clipfarm_assets.fusion.plan import Plan
from clipfarm_assets.store.object_store import ObjectStore

READ_THREADS = 32  # a store's answer is waited for, not computed


class InputReader:
    """Reads the vectors of a plan's rows from the store.

    Attributes:
        files_read: how many files were asked for.
    """

    def __init__(self, store: ObjectStore, plan: Plan, pool: ThreadPoolExecutor) -> None:
        self.files_read = 0
        self._store = store
        self._plan = plan
        self._pool = pool
        self._columns = {
            modality: (plan.facts[f"{modality}_embedding_key"], plan.facts[f"{modality}_sha256"])
            for modality in MODALITIES
        }

    def read(self, rows: Iterable[int]) -> tuple[dict[Modality, FloatArray], dict[int, str]]:
        """Vectors of shape (n, dim of the modality), zeros where absent, and the rows that cannot be read with why.

        A file that is not the one its manifest means (made again or deleted since) concerns one row only: the next
        manifest settles it. A store that does not answer raises.
        """
        wanted = list(rows)
        vectors = {m: np.zeros((len(wanted), self._plan.dims[m]), dtype=np.float32) for m in MODALITIES}
        tasks = [(i, row, m) for i, row in enumerate(wanted) for m in MODALITIES if self._plan.present[m][row]]
        self.files_read += len(tasks)
        problems: dict[int, str] = {}
        answers = self._pool.map(lambda task: self._read(vectors[task[2]][task[0]], task[1], task[2]), tasks)
        for (_, row, modality), problem in zip(tasks, answers, strict=True):
            if problem is not None:
                problems[row] = f"the {modality} vector is not the one of the manifest: {problem}"
        return vectors, problems

    def _read(self, out: FloatArray, row: int, modality: Modality) -> str | None:
        keys, hashes = self._columns[modality]
        try:
            out[:] = proven_vector(self._store.get(keys[row].as_py()), len(out), hashes[row].as_py())
        except VectorProblem as problem:
            return str(problem)
        return None
