"""Dagster's SQLite storage, for runs over very many partitions.

When a run over a range of partitions is made, as by a backfill from the UI, Dagster plans each partition of each asset
with an event of its own, each in a transaction and over connections of its own: 10 ms of CPU and more, half an hour for
20,000 videos and six stages before the first of them is looked at. Dagster hands such events over in batches where it
is asked to; its own SQL storages then write them one by one all the same. This one writes a batch at once.

Dagster also makes an SQLAlchemy engine for each connection, and with it compiles every statement anew, which is a
quarter of the CPU of a small run. Here engines are kept; connections still come and go as Dagster has them.

``dagster.yaml`` names it. The tables are Dagster's own: with ``storage: sqlite`` everything works as well, but slower.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import groupby
from typing import Any

from dagster import EventLogEntry
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite import SqliteRunStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from sqlalchemy import Connection, Engine, NullPool, create_engine

from clipfarm_assets.graph.events import SqlWriter

_BATCH_SIZE = ("DAGSTER_EVENT_BATCH_SIZE", "500")  # where Dagster's instance looks for it


@lru_cache(maxsize=16)  # the index, the runs, and the runs' own databases of late
def _engine(url: str) -> Engine:
    return create_engine(url, poolclass=NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})


class BatchedSqliteEventLogStorage(SqliteEventLogStorage):
    """Writes the plans of a run together."""

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        if shard not in self._initialized_dbs:  # the first connection to a database also makes it
            with super()._connect(shard) as connection:
                yield connection
            return
        with self._db_lock, _engine(self.conn_string_for_shard(shard)).begin() as connection:
            yield connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores what Dagster hands over together, in its order."""
        for (run_id, is_plan), group in groupby(events, lambda event: (event.run_id, _is_plan(event))):
            if is_plan:
                writer = SqlWriter(self, run_id)
                try:
                    writer.write([(event, "") for event in group])
                finally:
                    writer.close()
            else:
                super().store_event_batch(list(group))


def _is_plan(event: EventLogEntry) -> bool:
    return event.dagster_event is not None and event.dagster_event.is_asset_materialization_planned


class KeptSqliteRunStorage(SqliteRunStorage):
    """Dagster's storage of runs over one engine."""

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        with _engine(self._conn_string).begin() as connection:
            yield connection


class BatchedSqliteStorage(DagsterSqliteStorage):
    """Dagster's SQLite storage with the event log and the runs above; configured alike."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        super().__init__(base_dir, inst_data)
        self._event_log_storage = BatchedSqliteEventLogStorage(self._event_log_storage._base_dir)
        self._run_storage = KeptSqliteRunStorage(self._run_storage._conn_string)
        os.environ.setdefault(*_BATCH_SIZE)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "BatchedSqliteStorage":
        return cls.from_local(inst_data=inst_data, **config_value)
