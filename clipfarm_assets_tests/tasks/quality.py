"""How well found groups agree with true ones. ``""`` is noise: each noise segment is a group of its own."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Quality:
    """Attributes:
    ari: adjusted Rand index over all segments.
    over_grouping: of pairs that were put together, the share that does not belong together.
    under_grouping: of pairs that belong together, the share that was not put together.
    placed: of segments that belong to a group, the share that is together with at least one other.
    n_groups: found groups of two or more.
    """

    ari: float
    over_grouping: float
    under_grouping: float
    placed: float
    n_groups: int


def quality(true: Sequence[str], found: Sequence[str]) -> Quality:
    from sklearn.metrics import adjusted_rand_score
    from sklearn.metrics.cluster import pair_confusion_matrix

    true_ids, found_ids = _singletons(true), _singletons(found)
    (_, wrongly_together), (wrongly_apart, rightly_together) = pair_confusion_matrix(true_ids, found_ids)
    sizes = Counter(found_ids)
    belongs = [sizes[of] > 1 for group, of in zip(true, found_ids, strict=True) if group]
    return Quality(
        float(adjusted_rand_score(true_ids, found_ids)),
        float(wrongly_together / max(1, wrongly_together + rightly_together)),
        float(wrongly_apart / max(1, wrongly_apart + rightly_together)),
        sum(belongs) / max(1, len(belongs)),
        sum(size > 1 for size in sizes.values()),
    )


def _singletons(labels: Sequence[str]) -> list[str]:
    return [label or f"alone {number}" for number, label in enumerate(labels)]
