"""Where every video stands in every stage, read from the metadata table and Dagster's event log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from clipfarm_assets.graph.delta import NO_EVENTS, Rule, Verdict, Work, work_of
from clipfarm_assets.graph.events import VideoEvents, read_events
from clipfarm_assets.graph.in_flight import VIDEOS, videos_in_flight
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.metadata.tables import MetadataTables, videos_from_table
from clipfarm_assets.statuses import Status


@dataclass(frozen=True)
class State:
    """A snapshot of the whole platform.

    Attributes:
        videos: the latest row of every video that the metadata has ever named.
        partitions: the keys of the `videos` partition set.
        events: the newest events by stage and video.
        verdicts: of every video that the stages handle, by video and stage.
        in_flight: videos that an unfinished run may be working on.
    """

    metadata: MetadataTables
    videos: Sequence[Video]
    partitions: frozenset[str]
    events: Mapping[str, Mapping[str, VideoEvents]]
    verdicts: Mapping[str, Mapping[str, Verdict]]
    in_flight: frozenset[str]

    @property
    def new(self) -> list[str]:
        """Videos that have a row and no partition yet."""
        return [v.video_id for v in self.videos if v.video_id in self.verdicts and v.video_id not in self.partitions]

    @property
    def removable(self) -> list[str]:
        """Videos marked removed of which something is left."""
        return [v.video_id for v in self.videos if v.removed and v.video_id not in self.in_flight and self._leaves(v)]

    def work(self, stages: Sequence[Stage]) -> list[Work]:
        """What a run could usefully do now, for videos that no run is working on."""
        found = (work_of(video_id, stages, verdicts) for video_id, verdicts in self.verdicts.items())
        return [work for work in found if work is not None and work.video_id not in self.in_flight]

    def next_due(self) -> datetime | None:
        """The earliest moment at which a failed video may be tried again."""
        waiting = [v.due_at for of_video in self.verdicts.values() for v in of_video.values() if v.due_at and not v.due]
        return min(waiting, default=None)

    def _leaves(self, video: Video) -> bool:
        outcomes = (seen.get(video.video_id, NO_EVENTS).outcome for seen in self.events.values())
        kept = any(outcome is not None and outcome.status is not Status.REMOVED for outcome in outcomes)
        return kept or video.video_id in self.partitions


def read_state(
    instance: dg.DagsterInstance, workshop: Workshop, stages: Sequence[Stage], now: datetime | None = None
) -> State:
    """Reads everything; seconds for 100,000 videos."""
    metadata = workshop.metadata()
    videos = list(videos_from_table(metadata.videos))
    events = {stage.name: read_events(instance, stage.name) for stage in stages}
    versions = {stage.name: stage.versions(workshop.settings, lambda: workshop.models) for stage in stages}
    rule = Rule(versions, workshop.settings, now or datetime.now(UTC), workshop.store_id)
    verdicts = {
        video.video_id: rule.judge(video, stages, events)
        for video in videos
        if not video.removed and video.presence == "present"
    }
    return State(
        metadata=metadata,
        videos=videos,
        partitions=frozenset(instance.get_dynamic_partitions(VIDEOS)),
        events=events,
        verdicts=verdicts,
        in_flight=frozenset(videos_in_flight(instance)),
    )
