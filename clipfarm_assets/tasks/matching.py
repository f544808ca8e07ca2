"""Which group a vector belongs to: the nearest by centroid, if it is near enough and the group as a whole agrees.

A vector belongs to the group whose centroid is nearest, at a cosine distance below ``task_match_threshold``, strictly.
The average distance to the group's members must also stay below ``max_task_spread``: a group that has grown wide takes
in only what lies in its middle, so no chain of neighbours carries it away. Equal distances fall to the group that
stands first.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.vectors import Floats, Indices, blocks, directions

NOWHERE = -1


class Matches(NamedTuple):
    """For each vector the row of its group or ``NOWHERE``, and of the runner-up where that is almost as near."""

    nearest: Indices
    runner_up: Indices


def match(
    unit: Floats,
    means: npt.NDArray[np.floating],
    owners: Indices,
    parameters: ClusteringParameters,
) -> Matches:
    """Finds the group of each row of ``unit`` (n, dim) among groups whose means are ``means`` (m, dim).

    ``owners`` (m,) names for each mean the row of the group that it stands for; mostly itself. Groups stand in their
    order of preference. Time and memory grow with n · m, in blocks.
    """
    nearest, runner_up = (np.full(len(unit), NOWHERE, np.intp) for _ in range(2))
    if not len(means) or not len(unit):
        return Matches(nearest, runner_up)
    toward, wholes = directions(means), np.ascontiguousarray(means[owners], np.float32)
    stood_for = owners != np.arange(len(owners))
    for rows in blocks(len(unit), 2 * len(means)):
        # Rounding makes equal vectors' distances differ in the seventh digit: six decide.
        distances = np.round(1 - unit[rows] @ toward.T, 6)
        spreads = 1 - unit[rows] @ wholes.T
        distances[(distances >= parameters.task_match_threshold) | (spreads >= parameters.max_task_spread)] = np.inf
        if stood_for.any():
            _give_to_owners(distances, owners, stood_for)
        first = distances.argmin(axis=1)
        best = np.take_along_axis(distances, first[:, None], 1)[:, 0]
        np.put_along_axis(distances, first[:, None], np.inf, 1)
        second = distances.argmin(axis=1)
        behind = np.take_along_axis(distances, second[:, None], 1)[:, 0]
        found = np.isfinite(best)
        nearest[rows] = np.where(found, first, NOWHERE)
        gap = np.subtract(behind, best, out=np.full_like(best, np.inf), where=np.isfinite(behind))
        runner_up[rows] = np.where(gap <= parameters.runner_up_margin, second, NOWHERE)
    return Matches(nearest, runner_up)


def _give_to_owners(distances: npt.NDArray[np.floating], owners: Indices, stood_for: npt.NDArray[np.bool_]) -> None:
    """What lies near a merged Task's own centroid lies near the Task that it stands for."""
    for column in np.flatnonzero(stood_for):
        owner = owners[column]
        np.minimum(distances[:, owner], distances[:, column], out=distances[:, owner])
        distances[:, column] = np.inf
