"""What is due: the one rule by which sensors, the command line and the ledger judge a video in a stage.

A stage is due for a video where it has no outcome, where what shaped the outcome has changed (fields, upstream data,
code, model, preprocessing), where it failed with tries left and its pause is over, or where a run meant to make it and
ended without a word. It waits while a stage before it is not finished.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from clipfarm_assets.graph.events import VideoEvents
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Versions

_LONGER_EACH_TRY = 5
_SOURCE_PAUSE_FACTOR = 15  # statuses that cost no try say that the source wants time
_UNTRIED = (Status.PENDING, Status.UPSTREAM_FAILED)
NO_EVENTS = VideoEvents()


class Verdict(NamedTuple):
    """Where a video stands in a stage.

    Attributes:
        source_hash: of the input as it is now; None while a stage before is not finished.
        due: a run would do something useful now.
        due_at: when a failed one may be tried again.
        outcome: the newest one, also where it speaks of an older input.
        suspect: the last process that worked on the video died.
    """

    status: Status
    source_hash: str | None = None
    due: bool = False
    due_at: datetime | None = None
    outcome: Outcome | None = None
    suspect: bool = False

    @property
    def finished(self) -> bool:
        """The stages after may go on: what lies in the store is what this input gives."""
        return self.status.materialized


@dataclass(frozen=True)
class Work:
    """One video's stages that one run takes together, in the graph's order.

    Attributes:
        is_retry: something of it has failed before.
        apart: a process died while it was in work. After the first death it runs among other suspects, after another
            alone; only a death of its own is a try.
    """

    video_id: str
    stages: tuple[str, ...]
    is_retry: bool
    apart: str = ""


@dataclass(frozen=True)
class Rule:
    """Code and models as they are now, by stage, the settings, the time, and the store in use."""

    versions: Mapping[str, Versions]
    settings: Settings
    now: datetime
    store_id: str

    def judge(
        self, video: Video, stages: Sequence[Stage], events: Mapping[str, Mapping[str, VideoEvents]]
    ) -> dict[str, Verdict]:
        """The verdicts of one video in every stage; ``stages`` come in the graph's order."""
        verdicts: dict[str, Verdict] = {}
        for stage in stages:
            verdicts[stage.name] = self._verdict(
                video, stage, events[stage.name].get(video.video_id, NO_EVENTS), verdicts
            )
        return verdicts

    def _verdict(self, video: Video, stage: Stage, seen: VideoEvents, before: Mapping[str, Verdict]) -> Verdict:
        outcome, versions = seen.outcome, self.versions[stage.name]
        if outcome is not None and outcome.store_id != self.store_id:
            outcome = None  # it speaks of another store, or of this one before it was emptied
        data_versions = {}
        for read in stage.upstream:
            upstream = before[read.name]
            if not upstream.finished or upstream.outcome is None or upstream.outcome.data_version is None:
                broken = upstream.status.failed or upstream.status is Status.UPSTREAM_FAILED
                return Verdict(Status.UPSTREAM_FAILED if broken else Status.PENDING, outcome=outcome)
            data_versions[read.name] = upstream.outcome.data_version
        source_hash, as_needed = stage.source_hash(video, data_versions), stage.model_as_needed
        if (
            outcome is None
            or outcome.status in _UNTRIED
            or not outcome.same_input(source_hash, versions, model_as_needed=as_needed)
        ):
            return Verdict(Status.PENDING, source_hash, due=True, outcome=outcome, suspect=seen.died)
        if outcome.status.meaning.terminal:
            # A plan newer than the outcome is a run that died, or was stopped by another stage, before it said a word.
            interrupted = outcome.status.materialized and seen.planned_id > seen.outcome_id
            suspect = interrupted and seen.died
            return Verdict(outcome.status, source_hash, interrupted, None, outcome, suspect)
        due_at = next_try(outcome, self.settings)
        due = self.now >= due_at or seen.died
        return Verdict(outcome.status, source_hash, due=due, due_at=due_at, outcome=outcome, suspect=seen.died)


def next_try(outcome: Outcome, settings: Settings) -> datetime:
    """When a failed outcome may be tried again: after a pause that grows with every try, or longer where so asked."""
    pause = settings.retry_pause_sec
    if outcome.status.meaning.costs_try:
        pause *= _LONGER_EACH_TRY ** max(outcome.retry_count - 1, 0)
    else:
        pause *= _SOURCE_PAUSE_FACTOR
    pause = max(pause, outcome.retry_after_sec)
    return datetime.fromisoformat(outcome.processed_at).astimezone(UTC) + timedelta(seconds=pause)


def work_of(video_id: str, stages: Sequence[Stage], verdicts: Mapping[str, Verdict]) -> Work | None:
    """What a run should do for the video: what is due, and what that leads to."""
    taken: list[str] = []
    lost: set[str] = set()
    for stage in stages:
        verdict = verdicts[stage.name]
        leads_here = any(read.name in taken for read in stage.upstream)
        if verdict.due or (leads_here and _follows(verdict, stage, taken, verdicts)):
            taken.append(stage.name)
            if verdict.status is Status.MISSING_RAW_OBJECT:
                lost.update(read.name for read in stage.upstream)
    if not taken:
        return None
    taken.extend(lost.difference(taken))
    retried = any(verdicts[name].due and verdicts[name].status.failed for name in taken)
    ordered = tuple(stage.name for stage in stages if stage.name in taken)
    suspects = [verdicts[name].outcome for name in taken if verdicts[name].suspect]
    apart = "suspects" if suspects else ""
    if any(outcome is not None and outcome.apart for outcome in suspects):
        apart = video_id
    return Work(video_id, ordered, retried, apart)


def _follows(verdict: Verdict, stage: Stage, taken: Sequence[str], verdicts: Mapping[str, Verdict]) -> bool:
    """A stage joins the run of those before it where nothing else holds it back."""
    ready = all(read.name in taken or verdicts[read.name].finished for read in stage.upstream)
    resting = verdict.source_hash is not None and verdict.status.failed
    return ready and not resting


def chunks(work: Iterable[Work], size: int) -> Iterator[list[Work]]:
    """Groups videos that need the same stages; retries stay among themselves, so that they stop nobody else."""
    groups: dict[tuple[tuple[str, ...], bool, str], list[Work]] = {}
    for item in work:
        groups.setdefault((item.stages, item.is_retry, item.apart), []).append(item)
    for group in groups.values():
        for start in range(0, len(group), size):
            yield group[start : start + size]
