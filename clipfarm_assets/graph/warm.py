"""The agenda, kept between the looks of one process, so that a look costs what has changed and not what there is.

A video is judged again where its events or its metadata row changed, or a pause of its is over; all are where code,
models, settings, store or instance are others, the clock went back, or the log lost something. What is kept of a video
is what it leaves to be done, which is nothing for most: its events are read again when they are needed.
"""

import gc
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
from dagster._core.instance.ref import InstanceRef

from clipfarm_assets.graph.agenda import NOTHING, Agenda, Left, agenda_of, judge
from clipfarm_assets.graph.delta import Rule
from clipfarm_assets.graph.events import read_events
from clipfarm_assets.graph.in_flight import VIDEOS, videos_in_flight
from clipfarm_assets.graph.log_watch import LogWatch
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.state import no_garbage, rule_of
from clipfarm_assets.metadata.tables import changed_videos, select_videos, videos_from_table
from clipfarm_assets.settings import Settings

_TRUSTED_SEC = 300.0  # what shows by no sign is found by the look after this
_BLOCK = 5_000  # videos judged at a time, so that memory holds the events of few


@dataclass
class _Kept:
    """What the last look found.

    Attributes:
        ref: of the instance, None for one that lives in memory.
        rows: the `videos` table, and in ``rows_etag`` which one.
        left: what videos leave to be done, without those that leave nothing.
    """

    ref: InstanceRef | None
    rule: Rule
    stages: Sequence[Stage]
    watch: LogWatch
    rows: pa.Table | None = None
    rows_etag: object = None
    left: dict[str, Left] = field(default_factory=dict)
    made: Sequence[str] = ()
    removed: Sequence[str] = ()
    pulse: object = None
    looked_at: float = 0.0

    def suits(self, ref: InstanceRef | None, rule: Rule, stages: Sequence[Stage]) -> bool:
        """Whether it was found under the same conditions, and not later than the rule's now."""
        same = (self.rule.versions, self.rule.settings, self.rule.store_id) == (
            rule.versions, rule.settings, rule.store_id,
        )  # fmt: skip
        return ref is not None and ref == self.ref and same and self.stages == stages and self.rule.now <= rule.now


class WarmAgenda:
    """The agenda of the instance that was asked about last. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: _Kept | None = None

    def is_quiet(self, instance: dg.DagsterInstance, settings: Settings, now: datetime | None = None) -> bool:
        """Whether the next look would find what the last one found: nothing has happened and no pause is over."""
        with self._lock:
            kept, now = self._kept, now or datetime.now(UTC)
            if kept is None or kept.pulse is None or time.monotonic() - kept.looked_at > _TRUSTED_SEC:
                return False
            if kept.ref != _ref(instance) or kept.rule.settings != settings or now < kept.rule.now:
                return False
            if any(each.next_due and each.next_due <= now for each in kept.left.values()):
                return False
            return kept.watch.pulse(instance) == kept.pulse

    def look(
        self, instance: dg.DagsterInstance, workshop: Workshop, stages: Sequence[Stage], now: datetime | None = None
    ) -> Agenda:
        """What there is to do now: just what ``read_state`` would say.

        Raises:
            ClipfarmError: the metadata has not been read yet, or the store does not answer.
        """
        with self._lock, no_garbage():
            kept, self._kept = self._kept, None  # an error on the way leaves nothing half known
            ref, rule = _ref(instance), rule_of(workshop, stages, now or datetime.now(UTC))
            if kept is None or not kept.suits(ref, rule, stages):
                kept = _Kept(ref, rule, stages, LogWatch([stage.name for stage in stages]))
            pulse, looked_at = kept.watch.pulse(instance), time.monotonic()  # what comes from here on shows next time
            changed = _changed(kept, instance, workshop, rule.now)
            kept.rule = rule
            _judge_again(kept, instance, changed)
            agenda = agenda_of(
                kept.left, kept.made, kept.removed,
                partitions=frozenset(instance.get_dynamic_partitions(VIDEOS)),
                in_flight=frozenset(videos_in_flight(instance)),
            )  # fmt: skip
            kept.pulse, kept.looked_at = pulse, looked_at
            self._kept = kept
            return agenda


def _ref(instance: dg.DagsterInstance) -> InstanceRef | None:
    return instance.get_ref() if instance.is_persistent else None


def _changed(kept: _Kept, instance: dg.DagsterInstance, workshop: Workshop, now: datetime) -> set[str] | None:
    """The videos to be judged again; None for all."""
    by_row = _take_rows(kept, workshop)
    by_event = kept.watch.look(instance)
    if by_row is None or by_event is None:
        return None
    by_time = {video_id for video_id, left in kept.left.items() if left.next_due and left.next_due <= now}
    return by_row | by_event | by_time


def _take_rows(kept: _Kept, workshop: Workshop) -> set[str] | None:
    """Reads the metadata table where it is another; the videos whose row changed, None for all."""
    etag = workshop.videos_etag()
    if etag is not None and etag == kept.rows_etag:
        return set()
    before, rows = kept.rows, workshop.videos_table()
    kept.rows, kept.rows_etag = rows, etag
    present = pc.equal(rows["presence"], "present")
    kept.made = rows["video_id"].filter(pc.and_not(present, rows["removed"])).to_pylist()
    kept.removed = rows["video_id"].filter(rows["removed"]).to_pylist()
    if before is None:
        return None
    return changed_videos(before, rows, {"removed", "presence", *(name for s in kept.stages for name in s.fields)})


def _judge_again(kept: _Kept, instance: dg.DagsterInstance, video_ids: Collection[str] | None) -> None:
    rows = kept.rows
    assert rows is not None
    if video_ids is None:
        kept.left = {}
    else:
        rows = select_videos(rows, video_ids)
        for video_id in video_ids:  # its row may have gone
            kept.left.pop(video_id, None)
    for start in range(0, rows.num_rows, _BLOCK):
        videos = list(videos_from_table(rows.slice(start, _BLOCK)))
        ids = [video.video_id for video in videos]
        events = {stage.name: read_events(instance, stage.name, ids) for stage in kept.stages}
        for video in videos:
            _, left = judge(video, kept.stages, events, kept.rule)
            if left != NOTHING:
                kept.left[video.video_id] = left
        gc.collect(0)  # what queries leave in cycles, which nobody collects meanwhile
