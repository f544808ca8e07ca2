"""Reading and writing per-video events of Dagster's log in bulk: the one place that touches its private API.

Dagster commits every event on its own connection, about 16 ms each on SQLite. ``EventGroup`` writes many in one
transaction a database, through the storage's own statement builders, and files each outcome as a row of the event
tags table, so that ``read_outcomes`` has a whole asset in one indexed query without opening event bodies. Where the
storage is not an SQL one, both fall back to Dagster's public calls: slower, same answers.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.events import (
    AssetMaterializationPlannedData,
    AssetObservationData,
    DagsterEvent,
    DagsterEventType,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.dagster_run import FINISHED_STATUSES
from dagster._core.storage.event_log.schema import AssetEventTagsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import create_engine, func, select
from sqlalchemy.engine import Connection, Engine

from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.graph.outcome import Outcome, outcomes_from_json

OUTCOME = "clipfarm/outcome"  # the tag row, and the metadata entry, that carry the outcome
_MATERIALIZED = DagsterEventType.ASSET_MATERIALIZATION.value
_OBSERVED = DagsterEventType.ASSET_OBSERVATION.value
_PLANNED = DagsterEventType.ASSET_MATERIALIZATION_PLANNED.value
VIDEO_EVENTS = (_MATERIALIZED, _OBSERVED, _PLANNED)
_STARTED = "started"
_FLUSH_SEC = 1.0
_FLUSH_COUNT = 500
_KEYS_PER_QUERY = 5000


@dataclass(slots=True)
class VideoEvents:
    """The newest events of one video in one stage, by storage id (0 where there is none).

    Attributes:
        planned_id: a run meant to make it; Dagster plans whole ranges, and a stage that fails leaves the plans of those
            after it behind.
        started_id: the newest plan, where it is a step's own: it was about to work on the video.
    """

    outcome: Outcome | None = None
    outcome_id: int = 0
    materialization_id: int = 0
    planned_id: int = 0
    started_id: int = 0

    @property
    def died(self) -> bool:
        """The last step that worked on the video left no word, once no run is working on it any more."""
        return self.started_id > self.outcome_id


class RunEnded(ClipfarmError):
    """The run is over, though this process still works on it: it took too long, or seemed to be dead."""

    hint = "What it has made is kept; the next run takes up the rest."


class EventGroup:
    """Collects one step's events and writes them together, at the latest about a second after they happened.

    Raises:
        RunEnded: by whatever writes, where the run has been ended from outside. Nothing is written then.
    """

    def __init__(self, context: dg.AssetExecutionContext | dg.OpExecutionContext, stage: str) -> None:
        self._instance = context.instance
        self._run = context.run
        self._asset_key = dg.AssetKey(stage)
        self._step_key = str(context.op_handle)
        self._entries: list[tuple[EventLogEntry, str]] = []
        storage = context.instance.event_log_storage
        self._writer = SqlWriter(storage, self._run.run_id) if isinstance(storage, SqlEventLogStorage) else None
        self._flushed_at = time.monotonic()
        self.written = 0

    def started(self, video_ids: Iterable[str]) -> None:
        """Says, before the work begins, what it is on: what a killed run leaves of it shows as Failed."""
        for video_id in video_ids:
            data = AssetMaterializationPlannedData(self._asset_key, partition=video_id)
            self._add(_PLANNED, data, f"{video_id}: {_STARTED}", _STARTED)
        self.flush()

    def materialized(self, event: dg.AssetMaterialization, outcome: Outcome) -> None:
        """Takes up the event of a video that is finished."""
        message = f"{event.partition}: {outcome.status}"
        self._add(_MATERIALIZED, StepMaterializationData(event, []), message, outcome.to_json())

    def observed(self, event: dg.AssetObservation, outcome: Outcome) -> None:
        """Takes up the event of a video that failed."""
        self._add(_OBSERVED, AssetObservationData(event), f"{event.partition}: {outcome.status}", outcome.to_json())

    def flush(self) -> None:
        """Writes what is collected."""
        entries, self._entries = self._entries, []
        self._flushed_at = time.monotonic()
        if not entries:
            return
        self._check_run()
        self.written += len(entries)
        if self._writer is not None:
            self._writer.write(entries)
        else:
            for entry, _ in entries:
                self._instance.handle_new_event(entry)

    def close(self) -> None:
        """Writes what is collected, and lets go of the databases."""
        try:
            self.flush()
        finally:
            if self._writer is not None:
                self._writer.close()

    def _check_run(self) -> None:
        """A process that hung and wakes up is too late: others have taken up its videos, and its word would be last."""
        ended = dg.RunsFilter(run_ids=[self._run.run_id], statuses=FINISHED_STATUSES)
        if self._instance.get_runs_count(ended):
            raise RunEnded(f"The run {self._run.run_id} has been ended from outside.")

    def _add(self, kind: str, data: object, message: str, note: str) -> None:
        run = self._run
        event = DagsterEvent(
            event_type_value=kind, job_name=run.job_name, step_key=self._step_key, event_specific_data=data,  # type: ignore[arg-type]
            message=message,
        )  # fmt: skip
        entry = EventLogEntry(
            error_info=None, level=logging.DEBUG, user_message="", run_id=run.run_id, timestamp=time.time(),
            step_key=self._step_key, job_name=run.job_name, dagster_event=event,
        )  # fmt: skip
        self._entries.append((entry, note))
        if len(self._entries) >= _FLUSH_COUNT or time.monotonic() - self._flushed_at > _FLUSH_SEC:
            self.flush()


class SqlWriter:
    """Writes one run's events to the tables of an SQL storage, many in one transaction a database.

    On SQLite Dagster connects anew for each event and compiles each statement anew, and the closing of the last
    connection folds the write-ahead log into the database: together ten times the cost of the rows. Here connections
    stay open until ``close``.
    """

    def __init__(self, storage: SqlEventLogStorage, run_id: str) -> None:
        self._storage = storage
        self._run_id = run_id
        self._engines: dict[str, Engine] = {}

    def write(self, entries: Sequence[tuple[EventLogEntry, str]]) -> None:
        """Stores asset events of the run, each with its note, where it has one."""
        rows = [self._storage._event_to_row(entry) for entry, _ in entries]
        with self._index() as connection:
            ids = _inserted_ids(connection, rows)
            tagged = zip(entries, rows, ids, strict=True)
            tags = [tag for (entry, note), row, id_ in tagged for tag in self._tags(entry, note, row, id_)]
            if tags:
                connection.execute(AssetEventTagsTable.insert(), tags)
            for entry, event_id in _telling(zip((entry for entry, _ in entries), ids, strict=True)):
                self._storage._store_asset_event(connection, entry, event_id)
        if isinstance(self._storage, SqliteEventLogStorage):  # a database a run beside the index over all of them
            with self._sqlite(self._storage, self._run_id) as connection:
                connection.execute(SqlEventLogStorageTable.insert(), rows)

    def close(self) -> None:
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()

    def _index(self) -> AbstractContextManager[Connection]:
        if isinstance(self._storage, SqliteEventLogStorage):
            return self._sqlite(self._storage, INDEX_SHARD_NAME)
        return self._storage.index_transaction()

    def _sqlite(self, storage: SqliteEventLogStorage, shard: str) -> AbstractContextManager[Connection]:
        if shard not in self._engines:
            with storage.run_connection(shard):
                pass  # Dagster makes the database of a run at its first event
            url, wait = storage.conn_string_for_shard(shard), {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS}
            self._engines[shard] = create_engine(url, connect_args=wait)
        return self._engines[shard].begin()

    def _tags(
        self, entry: EventLogEntry, note: str, row: Mapping[str, object], event_id: int
    ) -> Iterator[dict[str, object]]:
        same = {"event_id": event_id, "asset_key": row["asset_key"], "event_timestamp": row["timestamp"]}
        noted = {OUTCOME: note} if note else {}
        for name, value in {**self._storage._tags_for_asset_event(entry), **noted}.items():
            yield {**same, "key": name, "value": value}


def _telling(stored: Iterable[tuple[EventLogEntry, int]]) -> Iterable[tuple[EventLogEntry, int]]:
    """Of each asset the newest materialization, else the newest event: what the asset's own row is to hold."""
    newest: dict[dg.AssetKey | None, tuple[EventLogEntry, int]] = {}
    for entry, event_id in stored:
        event = entry.get_dagster_event()
        before = newest.get(event.asset_key)
        if event.is_step_materialization or before is None or not before[0].get_dagster_event().is_step_materialization:
            newest[event.asset_key] = (entry, event_id)
    return newest.values()


def _inserted_ids(connection: Connection, rows: Sequence[Mapping[str, object]]) -> list[int]:
    """Inserts events; their storage ids in the order of the rows."""
    insert = SqlEventLogStorageTable.insert()
    if connection.dialect.insert_executemany_returning_sort_by_parameter_order:
        insert = insert.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True)
        return [int(id_) for id_ in connection.execute(insert, rows).scalars()]
    keys = [connection.execute(insert, row).inserted_primary_key for row in rows]
    return [int(key[0]) for key in keys if key is not None]


def forget_cached_status(instance: dg.DagsterInstance, stage: str) -> None:
    """Has Dagster count the stage's partitions anew at the next look.

    Its cache reads the newest materialization and the newest plan one after the other. What is materialized between
    the two, while plans are still being written, stays missing in the UI for good.
    """
    instance.wipe_asset_cached_status([dg.AssetKey(stage)])


def newest_outcome_id(instance: dg.DagsterInstance, assets: Sequence[str]) -> int:
    """The storage id of the newest materialization or observation of any of the assets."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        kinds = (_MATERIALIZED, _OBSERVED)
        newest = (record.storage_id for name in assets for kind in kinds for record in _records(instance, name, kind))
        return max(newest, default=0)
    log = SqlEventLogStorageTable.c
    query = select(func.max(log.id)).where(
        log.asset_key.in_([dg.AssetKey(name).to_string() for name in assets]),
        log.dagster_event_type.in_([_MATERIALIZED, _OBSERVED]),
    )
    with storage.index_connection() as connection:
        return int(connection.execute(query).scalar() or 0)


def outcomes_after(instance: dg.DagsterInstance, assets: Sequence[str], event_id: int) -> tuple[int, datetime | None]:
    """How many materializations and observations of the assets are newer than an event, and when the oldest came."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        kinds = (_MATERIALIZED, _OBSERVED)
        records = [record for name in assets for kind in kinds for record in _records(instance, name, kind)]
        times = [record.timestamp for record in records if record.storage_id > event_id]
        return len(times), datetime.fromtimestamp(min(times), UTC) if times else None
    log = SqlEventLogStorageTable.c
    query = select(func.count(), func.min(log.timestamp)).where(
        log.asset_key.in_([dg.AssetKey(name).to_string() for name in assets]),
        log.dagster_event_type.in_([_MATERIALIZED, _OBSERVED]),
        log.id > event_id,
    )
    with storage.index_connection() as connection:
        count, oldest = connection.execute(query).one()
    return int(count), oldest.replace(tzinfo=UTC) if oldest is not None else None


def materialized_since(instance: dg.DagsterInstance, asset: str, moment: datetime) -> int:
    """How many materializations of an asset are younger than a moment."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return sum(record.timestamp > moment.timestamp() for record in _records(instance, asset, _MATERIALIZED))
    log = SqlEventLogStorageTable.c
    query = select(func.count()).where(
        log.asset_key == dg.AssetKey(asset).to_string(), log.dagster_event_type == _MATERIALIZED,
        log.timestamp > moment.astimezone(UTC).replace(tzinfo=None),
    )  # fmt: skip
    with storage.index_connection() as connection:
        return int(connection.execute(query).scalar_one())


def read_events(
    instance: dg.DagsterInstance, stage: str, video_ids: Sequence[str] | None = None
) -> dict[str, VideoEvents]:
    """The newest outcome, materialization and plan of every video (or of those named) in one stage."""
    storage = instance.event_log_storage
    if not isinstance(storage, SqlEventLogStorage):
        return _read_publicly(instance, stage, video_ids)
    found: dict[str, VideoEvents] = {}
    groups: list[Sequence[str] | None] = [None]
    if video_ids is not None:  # databases limit the number of values in one query
        groups = [video_ids[i : i + _KEYS_PER_QUERY] for i in range(0, len(video_ids), _KEYS_PER_QUERY)]
    asset_key = dg.AssetKey(stage).to_string()
    with storage.index_connection() as connection:
        wiped = None if isinstance(storage, SqliteEventLogStorage) else wiped_at(connection, [asset_key])[0]
        for group in groups:
            _read_group(connection, asset_key, group, wiped, found)
    return found


def wiped_at(connection: Connection, asset_keys: Sequence[str]) -> list[datetime | None]:
    """When each asset was wiped last. SQLite drops the events of a wiped asset; other databases only note the time."""
    keys = AssetKeyTable.c
    rows = connection.execute(select(keys.asset_key, keys.wipe_timestamp).where(keys.asset_key.in_(asset_keys))).all()
    times = {key: time for key, time in rows}
    return [times.get(key) for key in asset_keys]


def _read_group(
    connection: Connection, asset_key: str, video_ids: Sequence[str] | None, wiped: datetime | None,
    found: dict[str, VideoEvents],
) -> None:  # fmt: skip
    log, tags = SqlEventLogStorageTable.c, AssetEventTagsTable.c
    newest = select(log.partition, log.dagster_event_type.label("kind"), func.max(log.id).label("id")).where(
        log.asset_key == asset_key, log.partition.is_not(None), log.dagster_event_type.in_(VIDEO_EVENTS)
    )  # an index holds all of it: no event's body is touched
    if video_ids is not None:
        newest = newest.where(log.partition.in_(video_ids))
    if wiped is not None:
        newest = newest.where(log.timestamp > wiped)
    of_each = newest.group_by(log.dagster_event_type, log.partition).subquery().c
    query = (
        select(of_each.partition, of_each.kind, of_each.id, tags.value, tags.id)
        .outerjoin(AssetEventTagsTable, (tags.event_id == of_each.id) & (tags.key == OUTCOME))
    )  # fmt: skip
    rows = connection.execute(query).all()
    if len({event_id for _, _, event_id, _, _ in rows}) < len(rows):
        # SQLite gives the ids of deleted events again, whose tags it keeps. Sorting all, always, there costs as much.
        rows = sorted(rows, key=lambda row: (row[2], row[4] or 0))
    texts = [value for _, kind, _, value, _ in rows if kind != _PLANNED and value and value != _STARTED]
    outcomes = iter(outcomes_from_json(texts))
    for video_id, kind, event_id, value, _ in rows:
        seen = found.get(video_id)
        if seen is None:
            seen = found[video_id] = VideoEvents()
        outcome = next(outcomes) if kind != _PLANNED and value and value != _STARTED else None
        _take(seen, kind, event_id, outcome, started=value == _STARTED)


def _take(seen: VideoEvents, kind: str, event_id: int, outcome: Outcome | None, *, started: bool) -> None:
    """Takes one more event into account; of one kind the newest comes last."""
    if kind == _PLANNED:
        seen.planned_id, seen.started_id = event_id, event_id if started else 0
        return
    if outcome is not None and event_id >= seen.outcome_id:
        seen.outcome, seen.outcome_id = outcome, event_id
    if kind == _MATERIALIZED:
        seen.materialization_id = event_id


def _read_publicly(instance: dg.DagsterInstance, stage: str, video_ids: Sequence[str] | None) -> dict[str, VideoEvents]:
    wanted = None if video_ids is None else set(video_ids)
    found: dict[str, VideoEvents] = {}
    records = [record for kind in VIDEO_EVENTS for record in _records(instance, stage, kind)]
    for record in sorted(records, key=lambda record: record.storage_id):
        event = record.event_log_entry.get_dagster_event()
        if event.partition is None or (wanted is not None and event.partition not in wanted):
            continue
        started = (event.message or "").endswith(f": {_STARTED}")
        seen = found.setdefault(event.partition, VideoEvents())
        _take(seen, event.event_type_value, record.storage_id, _outcome_in_body(event), started=started)
    return found


def _records(instance: dg.DagsterInstance, stage: str, kind: str) -> Iterator[dg.EventLogRecord]:
    cursor: int | None = None
    while True:
        records = instance.get_event_records(
            dg.EventRecordsFilter(DagsterEventType(kind), dg.AssetKey(stage), after_cursor=cursor),
            limit=1000,
            ascending=True,
        )
        yield from records
        if len(records) < 1000:
            return
        cursor = records[-1].storage_id


def _outcome_in_body(event: DagsterEvent) -> Outcome | None:
    metadata: Mapping[str, dg.MetadataValue] = {}
    if event.is_step_materialization:
        metadata = event.step_materialization_data.materialization.metadata
    elif event.is_asset_observation:
        metadata = event.asset_observation_data.asset_observation.metadata
    value = metadata.get(OUTCOME)
    fields = value.value if isinstance(value, dg.JsonMetadataValue) else None
    return Outcome.from_fields(fields) if isinstance(fields, Mapping) else None
