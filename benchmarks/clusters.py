"""How well Tasks and flags agree with the labelled segments, on the groups that no parameter was chosen on.

Ways to group are compared on the same vectors: the document's settings read literally (randomised PCA, HDBSCAN with
``leaf`` selection and ``min_samples`` 1), the same with ``eom``, the whole flow in one go, and the whole flow in ten
increments (the mean over ten shuffles). Every noise segment is a group of its own in the truth and, where it is in the
pool or alone, in what was found. Chosen by ``clipfarm_assets_tests.tasks.choose`` and ``.segments.choose``.
"""

from collections.abc import Sequence
from dataclasses import astuple

import numpy as np

from benchmarks.measure import Row
from clipfarm_assets.segments.flags import FlagReader
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets_tests.segments.choose import agreement
from clipfarm_assets_tests.tasks.choose import in_runs
from clipfarm_assets_tests.tasks.labelled_set import Labelled, labelled, packaged_encoder
from clipfarm_assets_tests.tasks.quality import Quality, quality

SHUFFLES = range(10)


def plain(data: Labelled, selection: str, seed: int = 0) -> list[str]:
    """Randomised PCA and HDBSCAN as the document's constants read."""
    from hdbscan import HDBSCAN
    from sklearn.decomposition import PCA

    components = min(100, *data.vectors.shape)
    points = PCA(components, svd_solver="randomized", random_state=seed).fit_transform(data.vectors)
    labels = HDBSCAN(min_cluster_size=2, min_samples=1, cluster_selection_method=selection).fit_predict(points)
    return [str(label) if label >= 0 else "" for label in labels]


def compare(data: Labelled) -> dict[str, Quality]:
    parameters = ClusteringParameters()
    return {
        "plain, leaf": mean([quality(data.groups, plain(data, "leaf", seed)) for seed in SHUFFLES]),
        "plain, eom": mean([quality(data.groups, plain(data, "eom", seed)) for seed in SHUFFLES]),
        "flow, one go": in_runs(data, parameters),
        "flow, ten increments": mean([in_runs(data, parameters, 10, seed) for seed in SHUFFLES]),
    }


def mean(qualities: Sequence[Quality]) -> Quality:
    return Quality(*(float(value) for value in np.mean([astuple(each) for each in qualities], axis=0)))


def run() -> list[Row]:
    data, rows = labelled().half("report"), []
    found = compare(data)
    least = {"flow, one go": found["plain, leaf"].ari, "flow, ten increments": 0.95 * found["flow, one go"].ari}
    for way, each in found.items():
        note = (
            f"over-grouping {each.over_grouping:.2f}, under-grouping {each.under_grouping:.2f}, "
            f"placed {each.placed:.2f}, {each.n_groups:g} groups of 12"
        )
        rows.append(Row(f"adjusted Rand index: {way}", each.ari, least.get(way), "at least", note))
    whole = compare(labelled())
    for way, each in whole.items():
        rows.append(Row(f"all 25 groups, the chosen-on half too: {way}", each.ari, note=f"placed {each.placed:.2f}"))
    for flag, each in agreement(data, FlagReader(packaged_encoder())).items():
        rows.append(Row(f"{flag}: F1", each.f1, note=f"precision {each.precision:.2f}, recall {each.recall:.2f}"))
    return rows


if __name__ == "__main__":
    from benchmarks.__main__ import show

    show("clusters", run())
