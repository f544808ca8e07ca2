# ruff: noqa: T201 - a command, which prints
"""``python -m clipfarm_assets_tests.tasks.choose``: the parameters that one half of the labelled groups would choose.

Each setting is judged by the lower of the adjusted Rand index in one go and the mean of that in ten increments, on the
groups of the half ``choose`` alone. Settings within 0.01 of the best are as good; the one in use is to be among them.
"""

from collections.abc import Iterator
from itertools import product

import numpy as np

from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets_tests.tasks.flow import Memory
from clipfarm_assets_tests.tasks.labelled_set import Labelled, labelled
from clipfarm_assets_tests.tasks.quality import Quality, quality

GRID = {"min_samples": (1, 2), "max_linkage_distance": (0.6, 0.65, 0.7), "max_task_spread": (0.58, 0.6, 0.62, 0.64)}
SEEDS = range(4)


def in_runs(data: Labelled, parameters: ClusteringParameters, runs: int = 1, seed: int = 0) -> Quality:
    """The whole flow over the segments, shuffled and cut into so many runs."""
    memory = Memory(parameters)
    shuffled = np.random.default_rng(seed).permutation(len(data.segments))
    for rows in np.array_split(shuffled, runs):
        batch = data.take(rows.tolist())
        memory.run(batch.segments, batch.vectors)
    return quality(data.groups, memory.labels(data.segments))


def settings() -> Iterator[ClusteringParameters]:
    for values in product(*GRID.values()):
        yield ClusteringParameters(**dict(zip(GRID, values, strict=True)))  # type: ignore[arg-type]


def main() -> None:
    half = labelled().half("choose")
    for parameters in settings():
        at_once = in_runs(half, parameters).ari
        increments = np.mean([in_runs(half, parameters, 10, seed).ari for seed in SEEDS])
        used = "  in use" if parameters == ClusteringParameters() else ""
        values = "  ".join(f"{name} {getattr(parameters, name)}" for name in GRID)
        score = min(at_once, increments)
        print(f"{score:.3f}  one go {at_once:.3f}  ten increments {increments:.3f}  {values}{used}", flush=True)


if __name__ == "__main__":
    main()
