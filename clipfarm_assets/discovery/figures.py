"""What the stored counts come to: how far each modality's vectors are."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from clipfarm_assets.database.measurements import Measured
from clipfarm_assets.measures import LEDGER_VIDEOS, Series
from clipfarm_assets.statuses import Status

_MODALITIES = {"video": "video_embedding", "audio": "audio_embedding", "text": "text_embedding"}
_NOT_HANDLED = {Status.REMOVED, Status.MISSING_FROM_METADATA, Status.QUARANTINED}


class Coverage(NamedTuple):
    """How many items there are that are not removed, and for how many of them the last word is said."""

    items: int
    done: int

    @property
    def share(self) -> float:
        """1 where there are no items."""
        return self.done / self.items if self.items else 1.0

    @property
    def backlog(self) -> int:
        """Items that still wait, or have failed."""
        return self.items - self.done


def coverage_by_modality(stored: Mapping[Series, Measured]) -> Iterator[tuple[str, Coverage]]:
    """Of video, audio and text, as of the last ledger; nothing before the first one."""
    by_stage: dict[str, dict[Status, int]] = {}
    for each, measured in stored.items():
        if each.name == LEDGER_VIDEOS:
            labels = dict(each.labels)
            by_stage.setdefault(labels["stage"], {})[Status(labels["status"])] = int(measured.value)
    for modality, stage in _MODALITIES.items():
        if stage in by_stage:
            handled = {status: n for status, n in by_stage[stage].items() if status not in _NOT_HANDLED}
            yield modality, Coverage(sum(handled.values()), sum(n for s, n in handled.items() if s.materialized))
