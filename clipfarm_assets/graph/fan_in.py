"""Whether manifests, fused vectors, ledger and search index have seen all that the stages have done."""

import dagster as dg

from clipfarm_assets.graph.events import newest_outcome_id
from clipfarm_assets.graph.jobs import FAN_IN
from clipfarm_assets.graph.stages import STAGES

SEEN = "newest_event"  # the metadata entry by which a fan-in asset says what it has seen


def newest_input(instance: dg.DagsterInstance) -> int:
    """The storage id of the newest event that the fan-in must take into account."""
    return newest_outcome_id(instance, (*(stage.name for stage in STAGES), "video_metadata"))


def oldest_seen(instance: dg.DagsterInstance) -> int:
    """The newest event that every asset of the fan-in had seen when it was last made; 0 where one never was.

    What counts is what an asset saw when it began: an event that came while it worked is not in it.
    """
    return min(seen_by(instance, name) for name in FAN_IN)


def seen_by(instance: dg.DagsterInstance, name: str) -> int:
    """The newest event that one of these assets had seen when it was last made; 0 where it never was."""
    event = instance.get_latest_materialization_event(dg.AssetKey(name))
    materialization = event.asset_materialization if event else None
    entry = materialization.metadata.get(SEEN) if materialization else None
    return entry.value if isinstance(entry, dg.IntMetadataValue) and entry.value else 0
