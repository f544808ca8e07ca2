"""Which videos' events have changed since the last look, without reading the others: private API, as in ``events``.

New events have higher ids, and that is most of it. The rest is what a log does besides growing:

- Events vanish with a deleted run, and with a wiped asset. What is left no longer adds up to what was counted, and
  everything passes for changed.
- SQLite gives the ids of vanished events again, though only those from the end of the log: the last event counted must
  still be the same one.
- Databases with concurrent writers give out ids before they commit, so that an event can appear below one that is
  already there. The newest events are therefore compared one by one and counted only when they are far from the end;
  what comes later still does not add up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg
from dagster._core.storage.event_log.schema import DynamicPartitionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.engine import Connection

from clipfarm_assets.graph.events import VIDEO_EVENTS, wiped_at
from clipfarm_assets.graph.in_flight import VIDEOS

_NEWEST = 10_000  # compared one by one: more than what writers have in hand at once
_LOG = SqlEventLogStorageTable.c

Event = tuple[object, ...]  # video, asset, run, time: tells an event from another that was given its id


@dataclass(frozen=True)
class _Counted:
    """What the log holds of the assets up to, and with, an event of theirs."""

    last_id: int = 0
    last: Event = ()
    count: int = 0
    sum_of_ids: int = 0


@dataclass
class LogWatch:
    """Follows the events of some assets in one instance's log: each look says what has changed since the one before."""

    assets: Sequence[str]
    _counted: _Counted = _Counted()
    _recent: dict[int, Event] = field(default_factory=dict)
    _wiped: Sequence[object] | None = None

    def pulse(self, instance: dg.DagsterInstance) -> tuple[object, ...] | None:
        """Another answer: something has happened to the log, the runs or the partitions. None where nobody can say.

        The same answer: nothing has, but for an event that came late or went without its run.
        """
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage):
            return None
        partitions = DynamicPartitionsTable.c.partitions_def_name
        with storage.index_connection() as connection:
            last = connection.execute(select(_LOG.id, _LOG.run_id, _LOG.timestamp).order_by(_LOG.id.desc()).limit(1))
            recent = select(func.count()).where(*self._ours, _LOG.id > self._counted.last_id)
            return (
                last.one_or_none(),
                connection.execute(recent).scalar(),
                wiped_at(connection, self._keys),
                connection.execute(select(func.count()).where(partitions == VIDEOS)).scalar(),
                instance.get_runs_count(),
            )

    def look(self, instance: dg.DagsterInstance) -> set[str] | None:
        """The videos with other events than at the last look; None where any may have: at first, and after a loss."""
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage):
            return None
        with storage.index_connection() as connection:
            wiped, before = wiped_at(connection, self._keys), self._recent
            self._recent = self._events_after(connection, self._counted.last_id)
            as_before = (
                wiped == self._wiped
                and before.items() <= self._recent.items()
                and self._count(connection, self._counted.last_id) == self._counted
            )
            self._wiped = wiped
            if not as_before:
                newest_id = connection.execute(select(func.max(_LOG.id))).scalar() or 0
                self._counted = self._count(connection, newest_id - _NEWEST)
                self._recent = self._events_after(connection, self._counted.last_id)
                return None
        changed = {str(event[0]) for id_, event in self._recent.items() if id_ not in before and event[0] is not None}
        self._count_in()
        return changed

    @property
    def _keys(self) -> list[str]:
        return [dg.AssetKey(name).to_string() for name in self.assets]

    @property
    def _ours(self) -> tuple[ColumnElement[bool], ...]:
        return _LOG.asset_key.in_(self._keys), _LOG.dagster_event_type.in_(VIDEO_EVENTS)

    def _events_after(self, connection: Connection, event_id: int) -> dict[int, Event]:
        columns = (_LOG.partition, _LOG.asset_key, _LOG.run_id, _LOG.timestamp)
        rows = connection.execute(select(_LOG.id, *columns).where(*self._ours, _LOG.id > event_id).order_by(_LOG.id))
        return {id_: tuple(event) for id_, *event in rows.all()}

    def _count(self, connection: Connection, up_to_id: int) -> _Counted:
        totals = select(func.max(_LOG.id), func.count(), func.sum(_LOG.id)).where(*self._ours, _LOG.id <= up_to_id)
        last_id, count, sum_of_ids = connection.execute(totals).one()
        if not count:
            return _Counted()
        last = select(_LOG.partition, _LOG.asset_key, _LOG.run_id, _LOG.timestamp).where(_LOG.id == last_id)
        event = connection.execute(last).one_or_none()
        return _Counted(last_id, tuple(event or ()), count, int(sum_of_ids))

    def _count_in(self) -> None:
        """Takes those events into the count that are no longer near the end of the log."""
        bound = max(self._recent, default=0) - _NEWEST
        far = {id_: event for id_, event in self._recent.items() if id_ <= bound}
        if far:
            last_id, before = max(far), self._counted
            self._counted = _Counted(last_id, far[last_id], before.count + len(far), before.sum_of_ids + sum(far))
            self._recent = {id_: event for id_, event in self._recent.items() if id_ > bound}
