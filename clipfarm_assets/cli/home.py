"""Where this deployment's Dagster instance lives, for every command that touches it."""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clipfarm_assets.errors import ClipfarmError, ConfigurationError

if TYPE_CHECKING:
    import dagster as dg

STORAGE = "CLIPFARM_DAGSTER_STORAGE"


def environment() -> dict[str, str]:
    """DAGSTER_HOME and the folder of its databases: as set, else those of the project in the current folder."""
    home = Path(os.environ.get("DAGSTER_HOME") or _project_folder()).absolute()
    storage = Path(os.environ.get(STORAGE) or home / "data" / "dagster").absolute()
    return {"DAGSTER_HOME": str(home), STORAGE: str(storage)}


def enter() -> None:
    """Sets the environment of this process and of those it starts."""
    os.environ.update(environment())
    Path(os.environ[STORAGE]).mkdir(parents=True, exist_ok=True)


@contextmanager
def only_run() -> Iterator[None]:
    """Keeps a second `clipfarm run` off this instance for the time of the block, as long as this process lives."""
    enter()
    with (Path(os.environ[STORAGE]) / "clipfarm-run.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ClipfarmError(
                f"Another `clipfarm run` (pid {file.read().strip() or 'unknown'}) is working here.",
                hint="Wait for its end, or stop it.",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def instance() -> Iterator["dg.DagsterInstance"]:
    """The Dagster instance, its databases made where they are not there yet."""
    import dagster as dg

    enter()
    with dg.DagsterInstance.get() as found:
        yield found


def _project_folder() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "dagster.yaml").is_file():
            if folder != here:
                raise ConfigurationError(
                    f"The project is in {folder}, and paths in its settings are relative to the current folder.",
                    hint=f"Change into it: cd {shlex.quote(str(folder))}",
                )
            return folder
    raise ConfigurationError(
        "There is no dagster.yaml in this folder or above it.", hint="Change into the project, or set DAGSTER_HOME."
    )
