"""``python -m benchmarks [NAME …]``: runs the benchmarks, prints a table, and draws ``benchmarks/plot.svg``.

Every other module here is a benchmark: its ``run()`` measures and returns rows. Results are kept in
``benchmarks/results``, so that the plot shows all that have ever been run on this machine.
"""

import importlib
import json
import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Row

_HERE = Path(__file__).parent
_RESULTS = _HERE / "results"
_NOT_BENCHMARKS = {"__main__", "measure", "instant"}


def main(names: Sequence[str]) -> None:
    every = sorted({module.name for module in pkgutil.iter_modules([str(_HERE)])} - _NOT_BENCHMARKS)
    if unknown := set(names) - set(every):
        sys.exit(f"No such benchmark: {', '.join(sorted(unknown))}. There are: {', '.join(every)}.")
    _RESULTS.mkdir(exist_ok=True)
    for name in names or every:
        rows = importlib.import_module(f"benchmarks.{name}").run()
        (_RESULTS / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1))
        show(name, rows)
    draw({path.stem: [Row(**row) for row in json.loads(path.read_text())] for path in sorted(_RESULTS.glob("*.json"))})


def show(name: str, rows: Sequence[Row]) -> None:
    """Prints one benchmark's rows."""
    table = Table(title=name, title_justify="left")
    for heading in ("what", "measured", "to reach", "", "note"):
        table.add_column(heading, justify="right" if heading == "measured" else "left")
    for row in rows:
        to_reach = "" if row.target is None else f"{row.reached_when} {row.target:g}"
        said = {True: "reached", False: "NOT reached", None: ""}[row.reached]
        table.add_row(row.what, f"{row.value:.3g}", to_reach, said, row.note)
    Console().print(table)


def draw(results: dict[str, list[Row]]) -> None:
    """One plot of every figure that has a target: how far to the good side of it, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    rows = [row for of_one in results.values() for row in of_one if row.target]
    margins = [row.target / row.value if row.reached_when == "at most" else row.value / row.target for row in rows]  # type: ignore[operator]
    figure, axes = pyplot.subplots(figsize=(9, 0.35 * len(rows) + 1.2))
    axes.barh(range(len(rows)), [m - 1 for m in margins], left=1, color=["#2a7" if m >= 1 else "#c43" for m in margins])
    axes.set_yticks(range(len(rows)), [row.what for row in rows])
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("times better than the target")
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(_HERE / "plot.svg", metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1:])
