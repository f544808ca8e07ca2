"""The `clipfarm` command."""

import os
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from clipfarm_assets.cli import home
from clipfarm_assets.cli.ledger import ledger
from clipfarm_assets.cli.models import models
from clipfarm_assets.cli.run import run
from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.settings import Settings, load_settings, setting_variable

_HELP = """Turns the rows of a metadata CSV into raw video, sound and text, embeddings and fused vectors.

Start with `clipfarm run`: it takes every video that is new, changed or to be tried again through the whole graph, and
says what it made, what failed and why. `clipfarm ledger` shows where every video stands. `clipfarm dev` opens the
Dagster UI with the sensors on, which do the same whenever a row is appended.
"""

cli = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
cli.command()(run)
cli.command()(ledger)
cli.add_typer(models, name="models")


@cli.command()
def config() -> None:
    """Every setting, its variable, its value here and what it does. Secrets are masked."""
    from rich.table import Table

    settings = load_settings()
    table = Table("variable", "value", "what it does", title="settings of this folder")
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        changed = name in settings.model_fields_set
        table.add_row(setting_variable(name), f"[bold]{value}[/]" if changed else str(value), field.description or "")
    Console().print(table)


@cli.command()
def samples(
    folder: Annotated[Path, typer.Argument(help="Where `samples/` and the CSV are written.")] = Path("data"),
    only: Annotated[list[str] | None, typer.Option(help="Make only this one; may be given more than once.")] = None,
) -> None:
    """Makes the sample videos, sidecars and metadata CSV again, from the script that knows every cut and word.

    They ship with the project, so this is only needed after a change to the script. It speaks with espeak-ng.
    """
    from clipfarm_assets.samples.make import make_samples

    made = make_samples(folder, only=only, progress=Console(stderr=True).print)
    print(f"{len(made)} files below {folder}")


@cli.command()
def env() -> None:
    """Prints the variables that Dagster's own commands need here: `eval "$(clipfarm env)"`."""
    for name, value in home.environment().items():
        print(f"export {name}={value!r}")


@cli.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the web server, on this machine only.")] = 3000,
) -> None:
    """Opens the Dagster UI and starts the daemon, with the sensors on."""
    with home.instance():
        pass  # two processes that make the databases at once break each other
    dagster = shutil.which("dagster", path=str(Path(sys.executable).parent)) or "dagster"
    workspace = Path(os.environ["DAGSTER_HOME"]) / "workspace.yaml"
    os.execv(dagster, [dagster, "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)])


def app() -> None:
    """The entry point: an error that the user can mend ends in two lines, not in a traceback."""
    try:
        cli()
    except ClipfarmError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error.what}\n{error.hint}".rstrip(), highlight=False)
        sys.exit(2)
