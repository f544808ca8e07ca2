"""How far the search index is behind what the stages have done.

Dagster's event log knows it. The sensor of the fan-in, and the index when it is made, leave it in the database too, for
the HTTP server, which does not read the log; when they last did so says whether the graph is alive.
"""

from datetime import datetime, timedelta
from typing import NamedTuple

import dagster as dg

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.measurements import measurements, put
from clipfarm_assets.graph.clips import SCORED_CLIPS
from clipfarm_assets.graph.discovery import DISCOVERY_EMBEDDING, ENRICHED_METADATA
from clipfarm_assets.graph.events import outcomes_after
from clipfarm_assets.graph.fan_in import seen_by
from clipfarm_assets.measures import INDEX_WAITING, INDEX_WAITING_SINCE, series

_READ = ("video_metadata", ENRICHED_METADATA.name, DISCOVERY_EMBEDDING.name, SCORED_CLIPS.name)
_DOCUMENTS, _INDEX = "search_documents", "search_index"
_SINCE, _WAITING = series(INDEX_WAITING_SINCE), series(INDEX_WAITING)
_SIGN_OF_LIFE = timedelta(minutes=1)


class Lag(NamedTuple):
    """What the index has not taken in: how many outcomes, and when the oldest of them was noted; None for none."""

    outcomes: int
    since: datetime | None

    def seconds(self, now: datetime) -> float:
        """How long the oldest has waited."""
        return max(0.0, (now - self.since).total_seconds()) if self.since else 0.0


def index_lag(instance: dg.DagsterInstance, index_has_seen: int | None = None) -> Lag:
    """What the stages have done since the index was last made; all of it where it never was.

    Args:
        index_has_seen: the newest event that the index knows of, where its own event is not in the log yet.
    """
    index = seen_by(instance, _INDEX) if index_has_seen is None else index_has_seen
    return Lag(*outcomes_after(instance, _READ, min(index, seen_by(instance, _DOCUMENTS))))


def leave_lag(lag: Lag, database: Database, now: datetime) -> None:
    """Writes the lag down for the HTTP server, at least every minute.

    Raises:
        DatabaseUnavailable: nothing was written.
    """
    since = lag.since.timestamp() if lag.since else 0.0
    with database.read() as session:
        before = measurements(session).get(_SINCE)
    if before is not None and before.value == since and now - before.at < _SIGN_OF_LIFE:
        return
    with database.write() as session:
        put(session, {_SINCE: since, _WAITING: float(lag.outcomes)}, now)
