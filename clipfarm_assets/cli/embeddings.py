"""`clipfarm embeddings`: discovery vectors that are missing."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from clipfarm_assets.cli import home

embeddings = typer.Typer(help="Vectors of what videos and clips say, for the search by meaning.", no_args_is_help=True)


@embeddings.callback()
def _group() -> None:
    pass


@embeddings.command()
def backfill(
    batch_size: Annotated[
        int,
        typer.Option(
            min=1, max=100, help="Texts embedded and stored together; with an API 20 times as many, 100 a request."
        ),
    ] = 50,
    force: Annotated[bool, typer.Option("--force", help="Make also those that are there.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would take.")] = False,
) -> None:
    """Makes the vectors that are missing, the newest items first, and puts them into the search index.

    Stopped with Ctrl-C, or killed, it goes on where it was: what was made is kept, and no text is sent twice.
    """
    from tqdm import tqdm

    from clipfarm_assets.discovery.backfill import Statistics, estimate
    from clipfarm_assets.discovery.backfill import backfill as fill
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.graph.search_index import gather_all
    from clipfarm_assets.settings import load_settings

    console = Console()
    with home.instance() as instance:
        workshop = Workshop(load_settings())
        room = workshop.discovery
        rows = gather_all(instance, workshop, embed=False).rows
    if dry_run:
        would = estimate(room, rows, force=force)
        cost = "unknown" if would.cost_usd is None else f"{would.cost_usd:.4f} USD"
        console.print(
            f"{would.texts} texts to embed, {would.cached} more are cached; {would.requests} requests, at least "
            f"{would.tokens} tokens, {would.minutes:.1f} minutes at the limit, cost {cost}.", highlight=False,
        )  # fmt: skip
        return
    with tqdm(total=len(rows), desc="embedding", unit="item", disable=None) as bar:

        def say(done: Statistics) -> None:
            bar.update(done.processed + done.skipped - bar.n)
            bar.set_postfix(failed=done.failed, refresh=False)

        done = fill(room, rows, batch=batch_size, force=force, say=say)
    console.print(
        f"{done.processed} processed, {done.succeeded} succeeded, {done.skipped} skipped, {done.failed} failed; "
        f"{done.seconds:.1f} s, {done.average_ms:.1f} ms a text.", highlight=False,
    )  # fmt: skip
    if done.last_error:
        console.print(f"The last error: {escape(done.last_error)}", highlight=False)
    if done.stopped:
        raise KeyboardInterrupt
    if done.failed:
        raise typer.Exit(1)
