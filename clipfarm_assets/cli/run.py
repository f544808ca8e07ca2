"""`clipfarm run`: the whole graph, now, in this process."""

import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import psutil
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clipfarm_assets.cli import home
from clipfarm_assets.cli.words import many
from clipfarm_assets.statuses import Status

if TYPE_CHECKING:
    import pyarrow as pa

    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.store.object_store import ObjectStore

_SHOWN_ERRORS = 20
_SHOWN_TASKS = 5


def run(
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Look at every artifact in the store; make again what is lost."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Dagster's own log.")] = False,
) -> None:
    """Takes everything that is due through the whole graph, and says what came of it.

    New and changed videos are made, failed ones tried again when their pause is over, removed ones deleted; then
    manifests, ledger, search index, Tasks and clips are brought up to date. What is finished is left alone: a second
    run finds nothing to do.
    Videos that failed are told at the end and do not make the command fail; it exits with 1 where a stage could not
    do its work at all, such as a store that does not answer.
    """
    console = Console()
    with home.only_run(), home.instance() as instance:
        from clipfarm_assets.definitions import build
        from clipfarm_assets.graph import progress
        from clipfarm_assets.graph.ledger import ledger_table
        from clipfarm_assets.graph.platform import Workshop
        from clipfarm_assets.graph.run import Runner
        from clipfarm_assets.settings import load_settings

        settings = load_settings()
        workshop = Workshop(settings)
        for line in workshop.models.reasons:
            console.print(line, highlight=False, markup=False)
        level = "INFO" if verbose else "CRITICAL"
        progress.use_terminal()
        runner = Runner(
            build(settings), instance, workshop, lambda text: console.print(f"[dim]·[/] {escape(text)}"), level
        )
        state = runner.run(verify=verify)
        table = ledger_table(state)
    if runner.report.runs:
        print_outcome(console, table, workshop)
        _print_some(console, [f"[red]error[/] {escape(error)}" for error in runner.report.errors])
    else:
        stuck = sum(any(not v.finished for v in of_video.values()) for of_video in state.verdicts.values())
        console.print(f"Nothing to do: {len(state.verdicts) - stuck} videos are finished.")
        if stuck:
            console.print(
                f"Waiting for a change, or for the pause before the next try: {stuck}. See `clipfarm ledger --failed`."
            )
    seconds = time.time() - psutil.Process().create_time()  # with the imports: what the user has waited
    console.print(f"{seconds:.0f} s. {escape(workshop.models.reasons[0])}", highlight=False)
    console.print("See it in the Dagster UI: `make dev`, then http://127.0.0.1:3000/asset-groups", highlight=False)
    sys.exit(1 if runner.report.errors else 0)


def print_outcome(console: Console, ledger: "pa.Table", workshop: "Workshop") -> None:
    """What was made in each stage, what failed and why, and where the files lie."""
    from clipfarm_assets.fusion.fused_manifest import fused_counts
    from clipfarm_assets.graph.ledger import count_by_stage

    store, order = workshop.store, list[str](Status)
    table = Table("stage", "videos", title="where the videos stand", title_justify="left")
    for stage, of_stage in count_by_stage(ledger).items():
        ordered = sorted(of_stage.items(), key=lambda pair: order.index(pair[0]))
        table.add_row(stage, ", ".join(f"{count} {status}" for status, count in ordered))
    for strategy in workshop.settings.fusion_strategies:
        fused = fused_counts(store, strategy)
        table.add_row(f"fused {strategy}", ", ".join(f"{count} {status}" for status, count in fused.items()))
    console.print(table)
    errors = [row for row in ledger.to_pylist() if row["error"]]
    _print_some(
        console,
        [
            f"[red]{escape(row['video_id'] or '?')}[/] {row['stage']}: {row['status']}: {escape(row['error'])}"
            for row in errors
        ],
    )
    _print_tasks(console, workshop)
    _print_findable(console, store)
    console.print("Where the files lie:")
    for name in ("raw", "embeddings", "fused", "scenes", "segments", "clusters", "tasks", "clips", "search", "state"):
        where = escape(store.location(f"clipfarm/{name}"))
        console.print(f"  {name:<11}{where}", highlight=False, soft_wrap=True)


def _print_tasks(console: Console, workshop: "Workshop") -> None:
    """The most urgent Tasks, of which `clipfarm tasks` tells more."""
    from clipfarm_assets.tasks.parameters import clustering_parameters
    from clipfarm_assets.tasks.views import ranked, waiting_segments

    with workshop.database.read() as session:
        found = ranked(session, datetime.now(UTC), clustering_parameters(workshop.settings))
        waiting = waiting_segments(session)
    console.print(f"{many(len(found), 'open Task')}; {many(waiting, 'segment')} still alone.", highlight=False)
    for each in found[:_SHOWN_TASKS]:
        task, score = each.task, f"{each.priority.score:.2f}" if each.priority else "none"
        users = f"{many(task.segment_count, 'segment')} of {many(task.distinct_user_count, 'user')}"
        console.print(f"  {task.id[:8]}  priority {score}  {users}  {escape(task.title)}", highlight=False)
    if found:
        console.print("  See `clipfarm tasks`.", highlight=False)


def _print_findable(console: Console, store: "ObjectStore") -> None:
    from clipfarm_assets.discovery.whole import read_documents

    kinds = Counter(known.document.kind for known in read_documents(store))
    if kinds:
        found = ", ".join(many(count, kind) for kind, count in kinds.most_common())
        console.print(f"{found} to be found: `clipfarm search query`, `clipfarm clips list`, or `clipfarm serve`.")


def _print_some(console: Console, lines: Sequence[str]) -> None:
    for line in lines[:_SHOWN_ERRORS]:
        console.print(line, highlight=False)
    if (more := len(lines) - _SHOWN_ERRORS) > 0:
        console.print(f"… and {more} more: `clipfarm ledger --failed`", highlight=False)
