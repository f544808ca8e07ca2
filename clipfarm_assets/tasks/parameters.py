"""The numbers that shape clusters and Tasks, each with what it does and why it has this value.

Those that a deployment can set have the names of their settings. The others were chosen on one half of the labelled
segments by ``python -m clipfarm_assets_tests.tasks.choose`` and are reported on the other half by
``python -m benchmarks clusters``.
"""

from dataclasses import dataclass
from typing import Literal

from clipfarm_assets.settings import Settings


@dataclass(frozen=True)
class ClusteringParameters:
    """Settings of clustering and Tasks; distances are cosine distances (1 − cosine), from 0 to 2.

    Attributes:
        clustering_interval_minutes: how often each team's run starts.
        min_cluster_size: segments that make a cluster.
        task_match_threshold: a segment or cluster belongs to a Task whose centroid is nearer than this, strictly.
        high_impact_noise_threshold: noise with more impact than this, strictly, gets a Task of its own.
        pca_components: dimensions in which clusters are sought; skipped where vectors or segments are no more.
        recency_half_life_days: after so many days a Task's recency counts half.
        runner_up_margin: a second Task nearer than this behind the nearest is noted as its possible duplicate.
        min_samples: HDBSCAN's; distances are stretched to the so-manieth neighbour.
        max_linkage_distance: segments farther apart than this have nothing to do with each other; HDBSCAN sees no
            more of the hierarchy. Without such a bound two segments of any kind always make a pair.
        min_linkage_distance: segments nearer than this count as equally near, so that two identical descriptions
            do not tear a cluster apart.
        max_task_spread: the average distance of a newcomer to all members of a Task, and between the members of two
            Tasks or clusters that become one, stays below this: no chains.
        pool_neighbours: for each new segment so many of the pool's nearest take part in its run, and as many of the
            nearest single-segment Tasks; it keeps a batch's cost from growing with the pool.
        priority_formula: ``severity`` or ``additive``, see ``priority``.
    """

    clustering_interval_minutes: float = 30
    min_cluster_size: int = 2
    task_match_threshold: float = 0.3
    high_impact_noise_threshold: float = 0.3
    pca_components: int = 100
    recency_half_life_days: float = 7
    runner_up_margin: float = 0.02
    min_samples: int = 1
    max_linkage_distance: float = 0.65
    min_linkage_distance: float = 0.05
    max_task_spread: float = 0.62
    pool_neighbours: int = 5
    priority_formula: Literal["severity", "additive"] = "severity"

    def __post_init__(self) -> None:
        if self.min_cluster_size < 2 or min(self.min_samples, self.pca_components, self.pool_neighbours) < 1:
            raise ValueError(
                "min_cluster_size is 2 or more; min_samples, pca_components, pool_neighbours are 1 or more."
            )
        if not 0 < self.min_linkage_distance < self.max_linkage_distance <= 2:
            raise ValueError("0 < min_linkage_distance < max_linkage_distance <= 2 does not hold.")
        if not 0 < self.task_match_threshold <= 2 or not 0 < self.max_task_spread <= 2:
            raise ValueError("task_match_threshold and max_task_spread lie between 0 and 2.")
        if self.recency_half_life_days <= 0 or self.clustering_interval_minutes <= 0:
            raise ValueError("recency_half_life_days and clustering_interval_minutes are more than 0.")


def clustering_parameters(settings: Settings) -> ClusteringParameters:
    """The parameters of a deployment: those that it can set as it does, the others as they were chosen."""
    return ClusteringParameters(
        clustering_interval_minutes=settings.clustering_interval_minutes,
        min_cluster_size=settings.min_cluster_size,
        task_match_threshold=settings.task_match_threshold,
        high_impact_noise_threshold=settings.high_impact_noise_threshold,
        pca_components=settings.pca_components,
        recency_half_life_days=settings.recency_half_life_days,
        priority_formula=settings.priority_formula,
    )
