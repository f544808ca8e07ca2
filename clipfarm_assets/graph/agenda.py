"""What is left to do, a video at a time: the one way from verdicts to what sensors and `clipfarm run` act upon."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from clipfarm_assets.graph.delta import NO_EVENTS, Rule, Verdict, Work, work_of
from clipfarm_assets.graph.events import VideoEvents
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.statuses import Status


class Left(NamedTuple):
    """What one video leaves to be done.

    Attributes:
        work: what a run could usefully do now.
        next_due: the earliest moment at which a failed stage may be tried again.
        remains: the video is marked removed, and some stage's last word is not that it is gone.
    """

    work: Work | None = None
    next_due: datetime | None = None
    remains: bool = False


NOTHING = Left()


@dataclass(frozen=True)
class Agenda:
    """What there is to do about all videos.

    Attributes:
        work: what a run could usefully do now, for videos that no run is working on, in the order of the ids.
        new: videos that have a row and no partition yet.
        removable: videos marked removed of which something is left.
        next_due: the earliest moment at which a failed video may be tried again.
        in_flight: videos that an unfinished run may be working on.
    """

    work: Sequence[Work]
    new: Sequence[str]
    removable: Sequence[str]
    next_due: datetime | None
    in_flight: frozenset[str]


def is_made(video: Video) -> bool:
    """Whether the stages handle the video at all."""
    return not video.removed and video.presence == "present"


def left_of(
    video: Video, verdicts: Mapping[str, Verdict], seen: Sequence[VideoEvents], stages: Sequence[Stage]
) -> Left:
    """What the video leaves to be done; ``verdicts`` are empty where the stages do not handle it."""
    if video.removed:
        outcomes = [of_stage.outcome for of_stage in seen]
        return Left(remains=any(each is not None and each.status is not Status.REMOVED for each in outcomes))
    if not any(verdict.due or verdict.due_at for verdict in verdicts.values()):
        return NOTHING
    waiting = [verdict.due_at for verdict in verdicts.values() if verdict.due_at and not verdict.due]
    return Left(work_of(video.video_id, stages, verdicts), min(waiting, default=None))


def judge(
    video: Video, stages: Sequence[Stage], events: Mapping[str, Mapping[str, VideoEvents]], rule: Rule
) -> tuple[dict[str, Verdict], Left]:
    """The video's verdicts, none where the stages do not handle it, and what they leave to be done."""
    verdicts = rule.judge(video, stages, events) if is_made(video) else {}
    seen = [events[stage.name].get(video.video_id, NO_EVENTS) for stage in stages] if video.removed else ()
    return verdicts, left_of(video, verdicts, seen, stages)


def agenda_of(
    left: Mapping[str, Left],
    made: Collection[str],
    removed: Collection[str],
    partitions: Collection[str],
    in_flight: frozenset[str],
) -> Agenda:
    """Puts together what single videos leave.

    Args:
        left: by video; videos that leave nothing may be absent.
        made: the videos that the stages handle, in the order of their ids.
        removed: those that are marked as removed, likewise.
        partitions: the keys of the `videos` partition set.
        in_flight: videos that an unfinished run may be working on.
    """
    gone = [v for v in removed if v not in in_flight and (v in partitions or left.get(v, NOTHING).remains)]
    work = [left[v].work for v in sorted(left) if v not in in_flight]
    return Agenda(
        work=[each for each in work if each is not None],
        new=[video_id for video_id in made if video_id not in partitions],
        removable=gone,
        next_due=min((each.next_due for each in left.values() if each.next_due), default=None),
        in_flight=in_flight,
    )
