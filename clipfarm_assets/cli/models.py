"""`clipfarm models`: which models are used here, and their files."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

if TYPE_CHECKING:
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.models.commands import FileRow

models = typer.Typer(help="Which models are used here, and their files.", no_args_is_help=True)


@models.command("list")
def list_() -> None:
    """The models of this deployment, where they come from, their licences, and why these."""
    resolved = _workshop().models
    whole = [Column(heading, overflow="fold") for heading in ("modality", "model", "revision", "licence", "from")]
    table = Table(*whole, title=f"profile: {resolved.profile}")
    for ref in filter(None, (resolved.video, resolved.audio, resolved.text, resolved.speech)):
        table.add_row(*(escape(value) for value in (ref.modality, ref.title, ref.revision, ref.licence, ref.origin)))
    console = Console()
    console.print(table)
    for reason in resolved.reasons:
        console.print(reason, highlight=False, markup=False)


@models.command()
def lock() -> None:
    """Writes the SHA-256 of the model files that can be had here into models.lock of the model folder."""
    from clipfarm_assets.models.commands import lock_models

    workshop = _workshop()
    _show(lock_models(workshop.settings, workshop.store))


@models.command()
def pull(
    to: Annotated[Literal["folder", "store"], typer.Option(help="This machine's folder, or the store.")] = "folder",
) -> None:
    """Fetches the weights from the model hub at their pinned revisions, and checks them against the lock.

    VideoMAE's weights are licensed CC BY-NC 4.0: not for commercial use. Name another video model with
    CLIPFARM_VIDEO_MODEL where that does not suit.
    """
    from clipfarm_assets.models.commands import pull_models

    workshop = _workshop()
    _show(pull_models(workshop.settings, workshop.store, to))


@models.command()
def verify() -> None:
    """Compares the model files that are here with models.lock; exits with 1 where one is another."""
    from clipfarm_assets.models.commands import verify_models

    workshop = _workshop()
    _show(verify_models(workshop.settings, workshop.store))


@models.command()
def golden(
    sample: Annotated[Path | None, typer.Option(help="Embed this shipped sample; a computed one without it.")] = None,
    record: Annotated[
        bool, typer.Option("--record", help="Record what comes out as what is right from now on.")
    ] = False,
) -> None:
    """Embeds a sample with each model and compares it with the recorded vector; exits with 1 where one differs.

    For after a change of model, library or hardware. Real picture and sound models have no recorded vector until
    somebody who has the weights records one.
    """
    from clipfarm_assets.embeddings.golden import check_golden, record_golden

    workshop = _workshop()
    if record:
        record_golden(workshop.models, workshop.settings, workshop.store, sample=sample)
    rows = check_golden(workshop.models, workshop.settings, workshop.store, sample=sample)
    table = Table("model", "sample", "cosine", "outcome")
    for row in rows:
        table.add_row(*(escape(str(value)) for value in (row.model, row.sample, row.cosine, row.outcome)))
    Console().print(table)
    if any(row.outcome == "drift" for row in rows):
        sys.exit(1)


def _workshop() -> "Workshop":
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.settings import load_settings

    return Workshop(load_settings())


def _show(rows: "Sequence[FileRow]") -> None:
    table = Table("model", "file", "status", "note")
    for row in rows:
        table.add_row(*(escape(value) for value in (row.model, row.file, row.status, row.note)))
    Console().print(table)
    if any(row.status == "mismatch" for row in rows):
        sys.exit(1)
