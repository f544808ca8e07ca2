"""Where this deployment's Dagster instance lives, for every command that touches it."""

import fcntl
import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from clipfarm_assets.errors import ClipfarmError, ConfigurationError, DatabaseUnavailable

if TYPE_CHECKING:
    import dagster as dg

STORAGE = "CLIPFARM_DAGSTER_STORAGE"
_SMALLEST_WRITE_BYTES = 64 * 1024  # SQLite needs some pages even to read


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
    """The Dagster instance, its databases made where they are not there yet.

    Raises:
        DatabaseUnavailable: they cannot be read or written, for instance since the disk is full.
    """
    import dagster as dg
    from sqlalchemy.exc import OperationalError

    from clipfarm_assets.database.connect import reason

    enter()
    try:
        with dg.DagsterInstance.get() as found:
            yield found
    except OperationalError as error:
        folder = os.environ[STORAGE]
        full = "; the disk is full" if shutil.disk_usage(folder).free < _SMALLEST_WRITE_BYTES else ""
        raise DatabaseUnavailable(
            f"Dagster's databases in {folder} do not answer: {reason(error)}{full}.",
            hint="Finished videos are kept; the next run takes up the rest.",
        ) from error


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
