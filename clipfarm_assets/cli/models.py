"""`clipfarm models`: which models are used here, and their files."""

import sys
from collections.abc import Sequence
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.models.commands import FileRow, lock_models, pull_models, verify_models
from clipfarm_assets.settings import load_settings

models = typer.Typer(help="Which models are used here, and their files.", no_args_is_help=True)


@models.command("list")
def list_() -> None:
    """The three models of this deployment, where they come from, their licences, and why these."""
    resolved = _workshop().models
    table = Table("modality", "model", "revision", "licence", "from", title=f"profile: {resolved.profile}")
    for ref in (resolved.video, resolved.audio, resolved.text):
        table.add_row(ref.modality, ref.name, ref.revision, ref.licence, ref.origin)
    console = Console()
    console.print(table)
    for reason in resolved.reasons:
        console.print(reason, highlight=False)


@models.command()
def lock() -> None:
    """Writes the SHA-256 of the model files that can be had here into models.lock of the model folder."""
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
    workshop = _workshop()
    _show(pull_models(workshop.settings, workshop.store, to))


@models.command()
def verify() -> None:
    """Compares the model files that are here with models.lock; exits with 1 where one is another."""
    workshop = _workshop()
    _show(verify_models(workshop.settings, workshop.store))


def _workshop() -> Workshop:
    return Workshop(load_settings())


def _show(rows: Sequence[FileRow]) -> None:
    table = Table("model", "file", "status", "note")
    for row in rows:
        table.add_row(row.model, row.file, row.status, row.note)
    Console().print(table)
    if any(row.status == "mismatch" for row in rows):
        sys.exit(1)
