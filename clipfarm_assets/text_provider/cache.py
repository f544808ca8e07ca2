"""Vectors by the SHA-256 of what they were made by and of.

In a file of SQLite, which the processes of a machine share, or in Redis, which machines share. Either is opened anew,
or connects by itself, wherever it is used, so it may cross threads and forks.

Raises:
    ProviderError: by every method, where the file or the server cannot be used.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import SecretStr

from clipfarm_assets.errors import ConfigurationError, ProviderError
from clipfarm_assets.text_provider.interface import Vector

_KEYS_AT_ONCE = 500
_BUSY_SEC = 30.0
_DAY_SEC = 86_400.0
_PREFIX = "clipfarm:vector:"
_SILENCE_SEC = 10.0


class VectorCache(Protocol):
    """Keeps each vector for some days after it was made."""

    def get(self, keys: Sequence[str]) -> dict[str, Vector]:
        """The vectors that are there and young enough, by key."""

    def put(self, vectors: Mapping[str, Vector]) -> None:
        """Keeps vectors, all or none of them."""

    def forget(self, keys: Sequence[str]) -> None:
        """Deletes vectors, as of items that are deleted."""

    def prune(self) -> int:
        """Deletes what is too old; returns how many."""


class FileCache:
    """The cache in a file of SQLite."""

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
        now = self._clock()
        rows = [(key, _bytes(vector), now) for key, vector in vectors.items()]
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)

    def forget(self, keys: Sequence[str]) -> None:
        with self._open() as database:
            database.executemany("DELETE FROM vectors WHERE key = ?", [(key,) for key in keys])

    def prune(self) -> int:
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


class RedisCache:
    """The cache in a Redis, which lets go of what is too old by itself.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``, as redis-py takes it; it may hold a password.

    Raises:
        ConfigurationError: the URL is none, or redis-py is not installed.
    """

    def __init__(self, url: SecretStr, days: float = 30.0) -> None:
        self._keep_sec = round(days * _DAY_SEC)
        try:
            import redis
        except ImportError:
            raise ConfigurationError(
                "EMBEDDING_REDIS_URL is set, and the package redis is not installed.",
                hint="pip install 'clipfarm_assets[redis]'",
            ) from None
        try:
            self._redis: Any = redis.Redis.from_url(
                url.get_secret_value(), socket_timeout=_SILENCE_SEC, socket_connect_timeout=_SILENCE_SEC
            )
        except ValueError:  # its text may hold the URL
            raise ConfigurationError(
                "EMBEDDING_REDIS_URL is no address of a Redis.", hint="Such as redis://:password@host:6379/0."
            ) from None
        self._refusal = redis.RedisError

    def get(self, keys: Sequence[str]) -> dict[str, Vector]:
        found: dict[str, Vector] = {}
        with self._asked():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                some = keys[start : start + _KEYS_AT_ONCE]
                blobs = self._redis.mget([_PREFIX + key for key in some])
                found |= {k: np.frombuffer(b, "<f4") for k, b in zip(some, blobs, strict=True) if b and not len(b) % 4}
        return found

    def put(self, vectors: Mapping[str, Vector]) -> None:
        with self._asked(), self._redis.pipeline(transaction=True) as together:
            for key, vector in vectors.items():
                together.set(_PREFIX + key, _bytes(vector), ex=self._keep_sec)
            together.execute()

    def forget(self, keys: Sequence[str]) -> None:
        with self._asked():
            for start in range(0, len(keys), _KEYS_AT_ONCE):
                self._redis.delete(*(_PREFIX + key for key in keys[start : start + _KEYS_AT_ONCE]))

    def prune(self) -> int:
        return 0

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except self._refusal as error:
            where = self._redis.connection_pool.connection_kwargs
            place = where.get("path") or f"{where.get('host')}:{where.get('port')}"
            raise ProviderError(
                f"The cache of vectors in Redis at {place} cannot be used: {type(error).__name__}.",
                hint="Check EMBEDDING_REDIS_URL and the server behind it; without it a local file is the cache.",
            ) from None


def _bytes(vector: Vector) -> bytes:
    return np.ascontiguousarray(vector, "<f4").tobytes()
