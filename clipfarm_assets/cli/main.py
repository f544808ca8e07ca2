"""The `clipfarm` command."""

import os
import re
import shlex
import shutil
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from clipfarm_assets.cli import home
from clipfarm_assets.cli.clips import clips
from clipfarm_assets.cli.embeddings import embeddings
from clipfarm_assets.cli.ledger import ledger
from clipfarm_assets.cli.models import models
from clipfarm_assets.cli.people import people
from clipfarm_assets.cli.run import run
from clipfarm_assets.cli.search import search
from clipfarm_assets.cli.serve import serve
from clipfarm_assets.cli.tasks import tasks
from clipfarm_assets.errors import ClipfarmError, ConfigurationError

_HELP = """Turns the rows of a metadata CSV into raw video, sound and text, vectors of them, Tasks, clips and a search.

Start with `clipfarm run`: it takes every video that is new, changed or to be tried again through the whole graph, and
says what it made, what failed and why. `clipfarm ledger` shows where every video stands, `clipfarm tasks` what keeps
happening in them, `clipfarm clips` what is worth cutting out of them; `clipfarm search` finds both. `clipfarm dev`
opens the Dagster UI with the sensors on, which do the same by themselves.
"""

_STOPPED = 130  # what Typer makes of a KeyboardInterrupt
_USERINFO = re.compile(r"://[^/\s]*@")  # greedy: a password may hold an @

cli = typer.Typer(help=_HELP, no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
cli.command()(run)
cli.command()(ledger)
cli.command()(serve)
cli.add_typer(models, name="models")
cli.add_typer(tasks, name="tasks")
cli.add_typer(clips, name="clips")
search.add_typer(people)
cli.add_typer(search, name="search")
cli.add_typer(embeddings, name="embeddings")


@cli.command()
def config() -> None:
    """Every setting, its variable, its value here and what it does. Secrets and passwords in URLs are masked."""
    from rich.table import Table

    from clipfarm_assets.settings import Settings, load_settings, setting_variable

    settings = load_settings()
    table = Table("variable", "value", "what it does", title="settings of this folder")
    for name, field in Settings.model_fields.items():
        value = escape(_USERINFO.sub("://***@", str(getattr(settings, name))))
        changed = name in settings.model_fields_set
        table.add_row(setting_variable(name), f"[bold]{value}[/]" if changed else value, field.description or "")
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
        print(f"export {name}={shlex.quote(value)}")


@cli.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the web server, on this machine only.")] = 3000,
) -> None:
    """Opens the Dagster UI and starts the daemon, with the sensors on."""
    with home.instance():
        pass  # two processes that make the databases at once break each other
    _check_port(port)
    dagster = shutil.which("dagster", path=str(Path(sys.executable).parent)) or "dagster"
    workspace = Path(os.environ["DAGSTER_HOME"]) / "workspace.yaml"
    os.execv(dagster, [dagster, "dev", "-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)])


def _check_port(port: int) -> None:
    """A taken port is said before Dagster starts: it would tell so in a traceback, with the daemon left running."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no such port"
            raise ConfigurationError(
                f"Port {port} of this machine cannot be used: {reason}.", hint="Choose another with --port."
            ) from None


def _print_error(what: str, hint: str) -> None:
    Console(stderr=True).print(f"[bold red]error:[/] {escape(what)}\n{escape(hint)}".rstrip(), highlight=False)


def app() -> None:
    """The entry point: an error that the user can mend ends in two lines, not in a traceback."""
    try:
        cli()
    except ClipfarmError as error:
        _print_error(error.what, error.hint)
        sys.exit(2)
    except OSError as error:
        what = f"{error.filename}: {error.strerror}." if error.filename and error.strerror else f"{error}."
        _print_error(what, "Check the path, its permissions and the free space.")
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == _STOPPED:
            print("stopped; finished videos are kept, the rest resumes at the next run", file=sys.stderr)
        raise
