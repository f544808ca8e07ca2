"""A real PostgreSQL on loopback for the tests, from the programs that the system's packages bring."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

PASSWORD = "postgres-secret"


def programs() -> Path | None:
    """The folder of initdb and postgres: on the path, or where Debian puts them."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


@contextmanager
def running(folder: Path, port: int) -> Iterator[str]:
    """A server with an empty data folder; its URL, without a database's name."""
    binaries = programs()
    assert binaries is not None
    user = _as_nobody(folder)
    (folder / "password").write_text(PASSWORD)
    data = folder / "data"
    subprocess.run(
        [
            *user, binaries / "initdb", "-D", data, "-U", "clipfarm", "-A", "scram-sha-256", "--no-sync",
            "--pwfile", folder / "password",
        ],
        check=True, capture_output=True, cwd=folder,
    )  # fmt: skip
    options = f"-p {port} -h 127.0.0.1 -k {folder} -F"
    control = [*user, binaries / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield f"postgresql://clipfarm:{PASSWORD}@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, cwd=folder, stdout=subprocess.DEVNULL)


def new_database(server: str, name: str) -> str:
    """Makes a database; returns its URL."""
    engine = create_engine(
        f"{server}/postgres".replace("postgresql:", "postgresql+psycopg2:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return make_url(f"{server}/{name}").render_as_string(hide_password=False)


def _as_nobody(folder: Path) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--clear-groups", "--"]
