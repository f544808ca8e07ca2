"""The tags from which Dagster tells what is stale, as a plain asset's own events carry them."""

from collections.abc import Mapping
from functools import cached_property

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    extract_data_version_from_entry,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from clipfarm_assets.graph.events import VideoEvents
from clipfarm_assets.outcomes import Item
from clipfarm_assets.store.artifacts import Identity

METADATA = dg.AssetKey("video_metadata")
_INITIAL = "INITIAL"  # Dagster's version of what has none


class Provenance:
    """Tells, for one step, what each of its videos was made from."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._instance = context.instance
        self._run_id = context.run.run_id
        key = context.asset_key
        self._code_version = context.assets_def.code_versions_by_key[key]
        self._parents = [dep.asset_key for dep in context.assets_def.specs_by_key[key].deps]

    def tags(self, item: Item, identity: Identity, seen: Mapping[str, Mapping[str, VideoEvents]]) -> dict[str, str]:
        """The tags of one video's materialization; ``seen`` holds the events of the stages before, by name."""
        tags = {
            CODE_VERSION_TAG: self._code_version or self._run_id,
            DATA_VERSION_TAG: identity.data_version,
            DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        }
        for parent in self._parents:
            version, pointer = self._metadata
            if parent != METADATA:
                name = parent.to_user_string()
                version, pointer = item.inputs[name].data_version, seen[name][item.video.video_id].materialization_id
            tags[get_input_data_version_tag(parent)] = version
            tags[get_input_event_pointer_tag(parent)] = str(pointer) if pointer else NULL_EVENT_POINTER
        return tags

    @cached_property
    def _metadata(self) -> tuple[str, int]:
        """Data version and storage id of the metadata table, which has no partitions."""
        record = self._instance.get_latest_data_version_record(METADATA)
        version = extract_data_version_from_entry(record.event_log_entry) if record else None
        return (version.value, record.storage_id) if version and record else (_INITIAL, 0)
