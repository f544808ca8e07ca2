"""How far the search index is behind what the stages have done."""

from datetime import datetime
from typing import NamedTuple

import dagster as dg

from clipfarm_assets.graph.clips import SCORED_CLIPS
from clipfarm_assets.graph.discovery import DISCOVERY_EMBEDDING, ENRICHED_METADATA
from clipfarm_assets.graph.events import outcomes_after
from clipfarm_assets.graph.fan_in import seen_by

_READ = ("video_metadata", ENRICHED_METADATA.name, DISCOVERY_EMBEDDING.name, SCORED_CLIPS.name)
_MADE = ("search_documents", "search_index")


class Lag(NamedTuple):
    """What the index has not taken in: how many outcomes, and when the oldest of them was noted; None for none."""

    outcomes: int
    since: datetime | None

    def seconds(self, now: datetime) -> float:
        """How long the oldest has waited."""
        return max(0.0, (now - self.since).total_seconds()) if self.since else 0.0


def index_lag(instance: dg.DagsterInstance) -> Lag:
    """What the stages have done since the index was last made; all of it where it never was."""
    return Lag(*outcomes_after(instance, _READ, min(seen_by(instance, name) for name in _MADE)))
