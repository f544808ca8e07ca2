"""Where every video stands in every stage, read from the metadata table and Dagster's event log."""

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from clipfarm_assets.graph.agenda import NOTHING, Agenda, Left, agenda_of, is_made, judge
from clipfarm_assets.graph.delta import Rule, Verdict
from clipfarm_assets.graph.events import VideoEvents, read_events
from clipfarm_assets.graph.in_flight import VIDEOS, videos_in_flight
from clipfarm_assets.graph.outcome import one_of_versions
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.metadata.tables import MetadataTables, videos_from_table


@dataclass(frozen=True)
class State:
    """A snapshot of the whole platform.

    Attributes:
        videos: the latest row of every video that the metadata has ever named.
        events: the newest events by stage and video.
        verdicts: of every video that the stages handle, by video and stage.
        agenda: what there is to do.
    """

    metadata: MetadataTables
    videos: Sequence[Video]
    events: Mapping[str, Mapping[str, VideoEvents]]
    verdicts: Mapping[str, Mapping[str, Verdict]]
    agenda: Agenda


def read_state(
    instance: dg.DagsterInstance, workshop: Workshop, stages: Sequence[Stage], now: datetime | None = None
) -> State:
    """Reads everything: seconds, and a gigabyte of memory, for 100,000 videos."""
    rule = rule_of(workshop, stages, now or datetime.now(UTC))
    with no_garbage():
        metadata = workshop.metadata()
        videos = list(videos_from_table(metadata.videos))
        events = {stage.name: read_events(instance, stage.name) for stage in stages}
        verdicts: dict[str, dict[str, Verdict]] = {}
        left: dict[str, Left] = {}
        for video in videos:
            of_video, leaves = judge(video, stages, events, rule)
            if of_video:
                verdicts[video.video_id] = of_video
            if leaves != NOTHING:
                left[video.video_id] = leaves
        agenda = agenda_of(
            left,
            made=[video.video_id for video in videos if is_made(video)],
            removed=[video.video_id for video in videos if video.removed],
            partitions=frozenset(instance.get_dynamic_partitions(VIDEOS)),
            in_flight=frozenset(videos_in_flight(instance)),
        )
    return State(metadata, videos, events, verdicts, agenda)


def rule_of(workshop: Workshop, stages: Sequence[Stage], now: datetime) -> Rule:
    """The delta rule with the code, models, settings and store of this process."""
    now_made_by = {stage.name: stage.versions(workshop.settings, lambda: workshop.models) for stage in stages}
    versions = {
        name: one_of_versions(each.code_version, each.model_name, each.model_version, each.preprocess_version)
        for name, each in now_made_by.items()
    }
    return Rule(versions, workshop.settings, now, workshop.store_id)


@contextmanager
def no_garbage() -> Iterator[None]:
    """Keeps Python's collector from going through millions of new objects again and again, none of them garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
