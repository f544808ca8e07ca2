"""The transactional database: SQLite by default, PostgreSQL by URL.

One transaction is one ``with`` block: all of it is there afterwards, or nothing. SQLite runs in WAL mode, where readers
never wait; a writer takes its lock when it begins, so that two of them queue instead of failing half-way
(https://www.sqlite.org/wal.html, https://docs.sqlalchemy.org/en/21/dialects/sqlite.html#enabling-non-legacy-sqlite-transactional-modes).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from clipfarm_assets.errors import ConfigurationError, DatabaseUnavailable

_BUSY_TIMEOUT_MS = 30_000
_DRIVERS = {"postgres": "postgresql+psycopg2", "postgresql": "postgresql+psycopg2"}
_WRITES = "clipfarm_writes"


class Database:
    """Transactions on one database. Made by ``open_database``; cheap to keep, one a process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __repr__(self) -> str:
        return f"Database({self.engine.url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view that waits for nobody; nothing that is changed in it is kept."""
        with self._session(self.engine) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, undone by whatever is raised in it."""
        with self._session(self.engine.execution_options(**{_WRITES: True})) as session:
            yield session
            session.commit()

    def close(self) -> None:
        """Gives the connections back; the next transaction opens new ones."""
        self.engine.dispose()

    @contextmanager
    def _session(self, engine: Engine) -> Iterator[Session]:
        with self._named(), Session(engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, PoolTimeout) as error:
            if not is_outage(error):
                raise
            raise DatabaseUnavailable(f"{self!r} does not answer: {reason(error)}.") from None


def open_database(url: str) -> Database:
    """Opens the database behind an SQLAlchemy URL; ``migrate`` makes its tables.

    Raises:
        ConfigurationError: the URL is none, or of a database that is not supported.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(parsed, pool_pre_ping=True, connect_args={"connect_timeout": 10})
        return Database(engine)
    if parsed.database and parsed.database != ":memory:":
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return Database(engine)


def is_outage(error: DBAPIError | PoolTimeout) -> bool:
    """The database, not the statement, is in trouble: trying again later can help."""
    if isinstance(error, PoolTimeout) or error.connection_invalidated:
        return True
    return isinstance(error, OperationalError) or type(error) is DatabaseError  # the latter: a file that is no database


def reason(error: DBAPIError | PoolTimeout) -> str:
    """The first line of what the driver says; the statement and its values stay out of logs."""
    text = str(error.orig if isinstance(error, DBAPIError) else error).strip()
    return text.splitlines()[0].rstrip(".") if text else type(error).__name__


def _parse(url: str) -> URL:
    hint = "Write sqlite:///folder/file.db or postgresql://user:password@host/database."
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        parsed.get_dialect()
    except (ArgumentError, NoSuchModuleError, ValueError):  # not chained: the text holds the password
        raise ConfigurationError("CLIPFARM_DB is not an SQLAlchemy URL.", hint=hint) from None
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ConfigurationError(f"CLIPFARM_DB: {parsed.get_backend_name()} is not supported.", hint=hint)
    return parsed


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself: `_begin_sqlite` does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")  # WAL: a power cut can undo the last commits, never tear one
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later cannot get the lock if another has written in between.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
