"""`clipfarm ledger`: where every video stands in every stage."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from clipfarm_assets.cli import home
from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.statuses import Status

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = ("video_id", "stage", "status", "retry_count", "error")
_SHOWN_WIDE = (*_SHOWN[:-1], "model_name", "duration", "processed_at", "error")
_WIDE_COLUMNS = 160
_READABLE_ERROR = 40  # columns


def ledger(
    stage: Annotated[str | None, typer.Option(help="Only this stage, such as raw_video.")] = None,
    status: Annotated[str | None, typer.Option(help="Only this status, such as fail_exhausted.")] = None,
    video: Annotated[str | None, typer.Option(help="Only this video.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only what is not a success.")] = False,
    format_: Annotated[Literal["table", "csv", "parquet"], typer.Option("--format", help="How to print it.")] = "table",
    output: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
) -> None:
    """Prints where every video stands in every stage, read from Dagster's event log as it is now.

    For example: `clipfarm ledger --stage video_embedding --status fail`, or all of it as
    `clipfarm ledger --format parquet --output ledger.parquet`.
    """
    _check_names(stage, status)
    with home.instance() as instance:
        import pyarrow as pa
        import pyarrow.compute as pc

        from clipfarm_assets.graph.ledger import read_ledger, to_csv, to_parquet
        from clipfarm_assets.graph.platform import Workshop
        from clipfarm_assets.settings import load_settings

        rows = read_ledger(instance, Workshop(load_settings()))
    for column, wanted in (("stage", stage), ("status", status), ("video_id", video)):
        if wanted is not None:
            rows = rows.filter(pc.equal(rows[column], wanted))
    if failed:
        good = pa.array([str(each) for each in Status if each.materialized or each is Status.REMOVED])
        rows = rows.filter(pc.invert(pc.is_in(rows["status"], value_set=good)))
    if format_ == "table" and output is None:
        _print(rows)
        return
    content = to_parquet(rows) if format_ == "parquet" else to_csv(rows)
    if output is not None:
        output.write_bytes(content)
    else:
        sys.stdout.buffer.write(content)


def _check_names(stage: str | None, status: str | None) -> None:
    from clipfarm_assets.graph.ledger import METADATA_STAGE
    from clipfarm_assets.graph.stages import STAGES

    stages = [METADATA_STAGE, *(each.name for each in STAGES)]
    if stage is not None and stage not in stages:
        raise ConfigurationError(f"There is no stage {stage}.", hint=f"Stages: {', '.join(stages)}.")
    if status is not None and status not in list(Status):
        raise ConfigurationError(f"There is no status {status}.", hint=f"Statuses: {', '.join(Status)}.")


def _print(rows: "pa.Table") -> None:
    console = Console()
    shown = _SHOWN_WIDE if console.width >= _WIDE_COLUMNS else _SHOWN
    lines = [["" if row[name] is None else str(row[name]) for name in shown] for row in rows.select(shown).to_pylist()]
    widths = [max(map(len, column)) for column in zip(shown, *lines, strict=True)]
    if console.width - sum(width + 3 for width in widths[:-1]) >= min(widths[-1], _READABLE_ERROR):
        _print_table(console, shown, lines)
    else:
        _print_lines(console, shown, lines, widths)


def _print_table(console: Console, shown: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    table = Table(title=f"{len(lines)} rows", title_justify="left")
    for name in shown:
        table.add_column(name, no_wrap=name != "error")
    for line in lines:
        table.add_row(*map(escape, line), style=_style(line[shown.index("status")]))
    console.print(table)


def _print_lines(console: Console, shown: Sequence[str], lines: Sequence[Sequence[str]], widths: Sequence[int]) -> None:
    """Each error below its row, over the whole width: a column of its own would break it at every word."""
    console.print(f"{len(lines)} rows", style="italic")
    for line in (shown, *lines):
        style = "bold" if line is shown else _style(line[shown.index("status")])
        cells = (cell.ljust(width) for cell, width in zip(line[:-1], widths[:-1], strict=True))
        console.print(escape("  ".join(cells).rstrip()), style=style, highlight=False, soft_wrap=True)
        if line is not shown and line[-1]:
            console.print(Padding(Text(line[-1]), (0, 0, 0, 4), expand=False), style=style)


def _style(status: str) -> str:
    meaning = Status(status).meaning
    return "red" if meaning.partition == "Failed" else "" if meaning.partition else "yellow"
