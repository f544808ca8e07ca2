"""Vectors by the SHA-256 of what they were made by and of: a file of SQLite, shared by the processes of a machine."""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from clipfarm_assets.errors import ProviderError
from clipfarm_assets.text_provider.interface import Vector

_KEYS_AT_ONCE = 500
_BUSY_SEC = 30.0
_DAY_SEC = 86_400.0


class VectorCache:
    """A vector is forgotten ``days`` after it was made. Opened anew for each use, so it may cross threads and forks."""

    def __init__(self, path: Path, days: float = 30.0, clock: Callable[[], float] = time.time) -> None:
        self._path, self._keep_sec, self._clock = path, days * _DAY_SEC, clock
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL, made_at REAL NOT NULL)"
                " WITHOUT ROWID"
            )

    def get(self, keys: Sequence[str]) -> dict[str, Vector]:
        """The vectors that are there and young enough, by key."""
        found: dict[str, Vector] = {}
        oldest = self._clock() - self._keep_sec
        with self._open() as database:
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                marks = ", ".join("?" * len(some))
                query = f"SELECT key, vector FROM vectors WHERE made_at > ? AND key IN ({marks})"
                found |= {key: np.frombuffer(blob, "<f4") for key, blob in database.execute(query, (oldest, *some))}
        return found

    def put(self, vectors: Mapping[str, Vector]) -> None:
        """Keeps vectors, all or none of them."""
        now = self._clock()
        rows = [(key, np.ascontiguousarray(vector, "<f4").tobytes(), now) for key, vector in vectors.items()]
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def forget(self, keys: Sequence[str]) -> None:
        """Deletes vectors, as of items that are deleted."""
        with self._open() as database:
            database.executemany("DELETE FROM vectors WHERE key = ?", [(key,) for key in keys])

    def prune(self) -> int:
        """Deletes what is too old; returns how many."""
        with self._open() as database:
            return database.execute(
                "DELETE FROM vectors WHERE made_at <= ?", (self._clock() - self._keep_sec,)
            ).rowcount

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SEC)) as database, database:
                # A power cut may undo the last vectors, which are made again; a killed process loses none.
                database.execute("PRAGMA synchronous=NORMAL")
                yield database
        except sqlite3.Error as error:
            raise ProviderError(
                f"The cache {self._path} cannot be used: {error}.", hint="Remove the file; vectors are made again."
            ) from None
