"""Brings the database's tables to what this version needs: Alembic's migrations, run from within.

``migrations/versions`` holds one file a change, oldest first, made by Alembic's ``revision`` with ``alembic_config`` or
by hand; the tests compare the tables that the migrations make with those that ``tables`` declares.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from clipfarm_assets.database.connect import Database
from clipfarm_assets.errors import DatabaseOutdated

_LOCK = 4_220_117_331  # any number; the same in every process that migrates


def migrate(database: Database) -> None:
    """Makes or changes the tables; nothing happens where they are current.

    Safe in several processes at once: one migrates, the others wait and find it done. A crash leaves the tables as they
    were.

    Raises:
        DatabaseOutdated: the tables are of a newer version of this project.
        DatabaseUnavailable: the database does not answer.
    """
    config = alembic_config()
    scripts = ScriptDirectory.from_config(config)
    with database.read() as session:
        if _revision(session.connection()) == scripts.get_current_head():
            return
    with database.write() as session:
        connection = session.connection()
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        current = _revision(connection)
        if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
            raise DatabaseOutdated(f"{database!r} was made by a newer version (revision {current}).")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def alembic_config() -> Config:
    """Where Alembic finds the migrations; its own commands take a connection from ``attributes``."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()
