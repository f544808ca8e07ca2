"""A picture of a team's segments: near each other where their descriptions are alike, coloured by Task.

The plane is that of the two greatest principal components, so near points may lie far apart in what it leaves out: it
is for looking, nothing is decided by it.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clipfarm_assets.tasks.vectors import Floats

COLOURED = 10
_SIDE_INCHES = 6.0
_TITLE_LENGTH = 48


def plane(unit: Floats) -> NDArray[np.float64]:
    """The rows' places on the plane in which they differ most, (n, 2); the sign of each axis is fixed."""
    centred = np.asarray(unit, np.float64) - unit.mean(axis=0)
    if min(centred.shape) < 2:
        return np.zeros((len(unit), 2))
    places, lengths, _ = np.linalg.svd(centred, full_matrices=False)
    found = places[:, :2] * lengths[:2]
    signs = np.sign(found[np.abs(found).argmax(axis=0), (0, 1)])
    return np.asarray(found * np.where(signs, signs, 1.0), np.float64)


def segments_map(unit: Floats, task_ids: Sequence[str | None], titles: Mapping[str, str]) -> bytes:
    """A PNG of the segments, row by row of ``unit``; the first ten Tasks of ``titles`` have a colour and a name.

    Args:
        task_ids: the Task of each segment, None for one that waits in the pool.
        titles: by Task id, the most urgent first; other Tasks are grey.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure

    places = plane(unit)
    figure = Figure(figsize=(_SIDE_INCHES * 1.6, _SIDE_INCHES), layout="constrained")
    axes = figure.subplots()
    axes.set_xticks([])
    axes.set_yticks([])
    of = np.array([task_id or "" for task_id in task_ids], dtype=object)
    named = list(titles)[:COLOURED]
    others = (of != "") & ~np.isin(of.astype(str), named)
    axes.scatter(*_columns(places[of == ""]), s=14, facecolors="none", edgecolors="#9a9a9a", label="in no Task yet")
    if others.any():
        axes.scatter(*_columns(places[others]), s=14, color="#c8c8c8", label="other Tasks")
    for number, task_id in enumerate(named):
        colour = colormaps["tab10"](number)
        axes.scatter(*_columns(places[of == task_id]), s=20, color=colour, label=_shown(titles[task_id]))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=80)
    return sink.getvalue()


def _columns(places: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return places[:, 0], places[:, 1]


def _shown(title: str) -> str:
    """A legend's line; ``$`` would begin a formula."""
    short = title if len(title) <= _TITLE_LENGTH else title[: _TITLE_LENGTH - 1] + "…"
    return short.replace("$", r"\$")
