"""One run, many videos, a true outcome for each.

A per-video asset handles every video of its run in one step. The step books what is current without making it again,
makes the rest, and logs a materialization for each video that is finished and an observation, with status and error,
for each that failed. Where any failed it raises at its own end, so that Dagster shows exactly those as Failed. Stages
after it are then skipped in this run, and taken up by the next tick for the videos that are ready.

Killed at any moment, a run has lost nothing: artifacts prove their own identity in the store, and the next run books
those whose event was not yet written.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import dagster as dg
from tqdm import tqdm

from clipfarm_assets.errors import ClipfarmError, MissingRawObject, RateLimited, VideoError
from clipfarm_assets.graph import in_flight, progress
from clipfarm_assets.graph.delta import NO_EVENTS
from clipfarm_assets.graph.events import EventGroup, RunEnded, VideoEvents, forget_cached_status, read_events
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Chunk, Workshop
from clipfarm_assets.graph.presentation import failure_table, outcome_metadata
from clipfarm_assets.graph.provenance import Provenance
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.outcomes import Item, MakeMany, Result
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Identity, Made, Versions

_PROOF_THREADS = 16
_STARTED_TOGETHER = 8
_MOST_STARTED_TOGETHER = 64
_QUICK_SEC = 0.5
_LOGGED_FAILURES = 20
_ERROR_LENGTH = 2000
_ALREADY_THERE = "already there"


class ProcessDied(VideoError):
    """Nobody knows why: killed, out of memory, or a crash in a decoder."""

    hint = "Look at the machine's memory, and at the file."


class UpstreamFailed(VideoError):
    """The stage before failed for this video; nothing is tried here."""

    status = Status.UPSTREAM_FAILED


def run_chunk(
    context: dg.AssetExecutionContext, stage: Stage, workshop: Workshop, chunk: Chunk, make: MakeMany
) -> None:
    """Runs one stage over the videos of this run; the whole body of a per-video asset."""
    in_flight.own_tags(context)[in_flight.DEFER_EVENTS] = "true"  # on the in-memory run: the step speaks for itself
    in_flight.mark_process(context)
    video_ids = in_flight.run_videos(context.instance, context.run)
    if not video_ids:
        raise dg.Failure(
            "No videos were chosen: materialize with partitions, or name videos in the `chunk` resource's config.",
            allow_retries=False,
        )
    if taken := in_flight.asked_for_before(context.instance, context.run):
        raise dg.Failure(  # two daemons, or a daemon and a command line: what one begins the other must not
            f"{len(taken)} of these videos are in a run that was asked for earlier, such as {min(taken)}. Nothing is "
            "done twice: the next tick asks for what that run leaves.",
            allow_retries=False,
        )
    step = _Step(context, stage, workshop, planned=not in_flight.chunk_videos(context.run), force=chunk.force)
    try:
        failures = step.run(video_ids, make)
    except RunEnded:
        raise
    except ClipfarmError as error:
        in_flight.mark_stalled(context, error)
        raise
    finally:
        step.events.close()
        made = {status: count for status, count in step.counts.items() if status != _ALREADY_THERE}
        workshop.measures.videos(stage.name, made)
        workshop.measures.flush()
        if step.events.written:  # a look at the UI makes Dagster count all partitions after each of these
            forget_cached_status(context.instance, stage.name)
    context.log.info(f"{stage.name}: {step.summary()}")
    if failures:
        raise _failure(stage, failures, len(video_ids))


def emit_own_events(context: dg.AssetExecutionContext) -> None:
    """Called first by every asset that leaves its events to Dagster: the tag of a chunk step holds for the process."""
    in_flight.own_tags(context).pop(in_flight.DEFER_EVENTS, None)
    in_flight.mark_process(context)


@dataclass(frozen=True)
class _Sorted:
    """What is to be done about the videos of a chunk."""

    current: list[tuple[Item, Identity]]
    todo: list[Item]
    refused: list[tuple[Item, VideoError]]


class _Step:
    """One stage's work on one chunk."""

    def __init__(
        self, context: dg.AssetExecutionContext, stage: Stage, workshop: Workshop, *, planned: bool, force: bool
    ) -> None:
        self.context = context
        self.stage = stage
        self.workshop = workshop
        self.planned = planned
        self.force = force
        self.versions = stage.versions(workshop.settings, lambda: workshop.models)
        self.events = EventGroup(context, stage.name)
        self.provenance = Provenance(context)
        self.counts: dict[str, int] = {}
        self.suspects = 0
        self.logged = 0
        self._seen: dict[str, VideoEvents] = {}
        self._upstream_seen: dict[str, dict[str, VideoEvents]] = {}

    def run(self, video_ids: Sequence[str], make: MakeMany) -> dict[str, Outcome]:
        """Handles every video; returns the outcomes of those that failed."""
        failures: dict[str, Outcome] = {}
        work = self._sort(video_ids)
        for item, identity in work.current:
            if self.planned or self._unbooked(item):
                self._book(item, identity, 0.0)
            self._count(_ALREADY_THERE)
        for item, error in work.refused:
            failures[item.video.video_id] = self._refuse(item, error)
        apart = "alone" if len(work.todo) == 1 else "suspects"
        todo = [item for item in work.todo if not self._has_killed_its_runs(item, failures, apart)]
        self.events.flush()
        if todo:
            self._make(todo, make, failures)
        return failures

    def _make(self, todo: Sequence[Item], make: MakeMany, failures: dict[str, Outcome]) -> None:
        started: dict[str, Item] = {}
        try:
            for item, result, seconds in self._timed(make(self._starting(todo, started)), len(todo)):
                if isinstance(result, VideoError):
                    failures[item.video.video_id] = self._refuse(item, result, seconds)
                else:
                    self._book(item, self._store(item, result), seconds, result.picture)
                    self._count(result.status)
                del started[item.video.video_id]
        finally:  # an error of the platform is no fault of the videos that it stopped
            for item in started.values():
                text = "The run stopped before this video was finished."
                self._observe(item, Status.PENDING, text, self._tries(item))

    def _starting(self, todo: Sequence[Item], started: dict[str, Item]) -> Iterator[Item]:
        """Hands out the videos, a few of which are said to be in work, so that few are suspect if the process dies.

        Where that is done in no time it is said of more at once: suspects are then those of the last second or so.
        """
        first, size = 0, _STARTED_TOGETHER
        while group := todo[first : first + size]:
            started.update((item.video.video_id, item) for item in group)
            self.events.started(item.video.video_id for item in group)
            since = time.monotonic()
            yield from group
            first += size
            quick = time.monotonic() - since < _QUICK_SEC and not self.suspects
            size = min(2 * size, _MOST_STARTED_TOGETHER) if quick else _STARTED_TOGETHER

    def _has_killed_its_runs(self, item: Item, failures: dict[str, Outcome], apart: str) -> bool:
        """Notes that the last process that worked on the video died; True where that was the last of its tries.

        The death of a process says little about one of several videos in work: it costs a try only where the video was
        alone. In company it sends the video apart.
        """
        seen = self._seen.get(item.video.video_id, NO_EVENTS)
        if not seen.died:
            return False
        self.suspects += 1
        alone = seen.outcome is not None and seen.outcome.apart == "alone"
        error = ProcessDied("The process died while it worked on this video.")
        outcome = self._refuse(item, error, costs_try=alone, apart=apart)
        if outcome.status is Status.FAIL_EXHAUSTED:
            failures[item.video.video_id] = outcome
        return outcome.status is Status.FAIL_EXHAUSTED

    def summary(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.items()) or "nothing to do"

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def _sort(self, video_ids: Sequence[str]) -> _Sorted:
        videos = self.workshop.videos(list(video_ids))
        self._seen = read_events(self.context.instance, self.stage.name, video_ids)
        self._upstream_seen = {
            upstream.name: read_events(self.context.instance, upstream.name, video_ids)
            for upstream in self.stage.upstream
        }
        work = _Sorted([], [], [])
        known = [videos[video_id] for video_id in video_ids if video_id in videos and not videos[video_id].removed]
        if gone := sorted(set(video_ids) - {video.video_id for video in known}):
            self.context.log.warning(f"Left out, removed or without a metadata row: {', '.join(gone)}")
        with ThreadPoolExecutor(_PROOF_THREADS) as pool:
            for item, identity_or_error in pool.map(self._look, known):
                if isinstance(identity_or_error, VideoError):
                    work.refused.append((item, identity_or_error))
                elif identity_or_error is not None:
                    work.current.append((item, identity_or_error))
                else:
                    work.todo.append(item)
        return work

    def _look(self, video: Video) -> tuple[Item, Identity | VideoError | None]:
        """What the stage reads for the video, and what it already has for just that, or why it cannot start."""
        artifacts, error = self.workshop.artifacts, None
        inputs: dict[str, Identity] = {}
        data_versions: dict[str, str] = {}
        for upstream in self.stage.upstream:
            outcome = self._upstream_seen[upstream.name].get(video.video_id, NO_EVENTS).outcome
            if outcome is not None and not outcome.status.materialized:
                return Item(video, {}, ""), UpstreamFailed(f"{upstream.name} has not succeeded: {outcome.status}.")
            identity = artifacts.present(upstream.key(video.video_id))
            if outcome is None or identity is None:
                error = error or MissingRawObject(f"{upstream.name} has nothing for this video.")
            else:
                inputs[upstream.name] = identity
            known = identity or outcome
            data_versions[upstream.name] = (known.data_version if known else None) or ""
        source_hash = self.stage.source_hash(video, data_versions)
        item = Item(video, inputs, source_hash)
        if error is not None or self.force:
            return item, error
        proof = artifacts.prove(
            self.stage.key(video.video_id), source_hash, self.versions, model_as_needed=self.stage.model_as_needed
        )
        return item, proof if proof is not None and proof.status.meaning.terminal else None

    def _timed(self, results: Iterator[Result], total: int) -> Iterator[tuple[Item, Made | VideoError, float]]:
        """The results with the wall seconds that each took, under a progress bar."""
        bar = tqdm(
            total=total,
            desc=self.stage.name,
            unit="video",
            file=progress.stream,
            disable=progress.stream is None,
            leave=False,
        )
        with bar:
            while True:
                started = time.monotonic()
                pair = next(results, None)
                if pair is None:
                    return
                item, result = pair
                waited = time.monotonic() - started  # several are worked on side by side, so a worker's own count
                yield item, result, waited if result.seconds is None else result.seconds
                bar.update()

    def _store(self, item: Item, made: Made) -> Identity:
        versions = self.versions if made.by_model else Versions(self.versions.code_version)
        return self.workshop.artifacts.put(
            self.stage.key(item.video.video_id), made, stage=self.stage.name, video_id=item.video.video_id,
            source_hash=item.source_hash, versions=versions,
        )  # fmt: skip

    def _unbooked(self, item: Item) -> bool:
        """The log does not say yet, as its last word, what the store proves."""
        seen = self._seen.get(item.video.video_id, NO_EVENTS)
        return (
            seen.outcome is None
            or not seen.outcome.status.materialized
            or not self._speaks_of(item, seen.outcome)
            or seen.outcome.store_id != self.workshop.store_id
            or seen.planned_id > seen.outcome_id
        )

    def _speaks_of(self, item: Item, outcome: Outcome) -> bool:
        return outcome.same_input(item.source_hash, self.versions, model_as_needed=self.stage.model_as_needed)

    def _book(self, item: Item, identity: Identity, seconds: float, picture: bytes | None = None) -> None:
        outcome = Outcome(
            status=identity.status, source_hash=item.source_hash, versions=identity.versions,
            processed_at=identity.made_at,
            run_id=self.context.run.run_id, store_id=self.workshop.store_id, data_version=identity.data_version,
            artifact_key=identity.key, etag=identity.etag, embedding_dim=identity.embedding_dim,
            error=None if identity.status.meaning.terminal else _why(identity), duration_sec=round(seconds, 3),
        )  # fmt: skip
        event = dg.AssetMaterialization(
            self.context.asset_key,
            partition=item.video.video_id,
            metadata=outcome_metadata(outcome, identity.details, self.workshop.store, picture),
            tags=self.provenance.tags(item, identity, self._upstream_seen),
        )
        self.events.materialized(event, outcome)

    def _refuse(
        self, item: Item, error: VideoError, seconds: float = 0.0, *, costs_try: bool | None = None, apart: str = ""
    ) -> Outcome:
        """Records a failure; the last of the tries exhausts them."""
        costs_try = error.status.meaning.costs_try if costs_try is None else costs_try
        tries = self._tries(item) + costs_try
        status, text = error.status, str(error)[:_ERROR_LENGTH]
        if not status.meaning.terminal and costs_try and tries >= self.workshop.settings.max_tries:
            status, text = Status.FAIL_EXHAUSTED, f"{status}: {text}"
        self._count(status)
        if self.logged < _LOGGED_FAILURES:  # a line of Dagster's log costs ten times the observation
            self.context.log.warning(f"{self.stage.name}: {item.video.video_id}: {status}: {text}")
            self.logged += 1
        wait = error.retry_after_sec if isinstance(error, RateLimited) else 0.0
        return self._observe(item, status, text, tries, seconds, wait, apart)

    def _tries(self, item: Item) -> int:
        """Tries that failed with this input before this step."""
        before = self._seen.get(item.video.video_id, NO_EVENTS).outcome
        return before.retry_count if before is not None and self._speaks_of(item, before) else 0

    def _observe(
        self,
        item: Item,
        status: Status,
        text: str,
        tries: int = 0,
        seconds: float = 0.0,
        wait: float = 0.0,
        apart: str = "",
    ) -> Outcome:
        outcome = Outcome(
            status=status, source_hash=item.source_hash, versions=self.versions,
            processed_at=datetime.now(UTC).isoformat(timespec="microseconds"), run_id=self.context.run.run_id,
            store_id=self.workshop.store_id, error=text, retry_count=tries, retry_after_sec=wait,
            duration_sec=round(seconds, 3), apart=apart,
        )  # fmt: skip
        self._seen[item.video.video_id] = replace(
            self._seen.get(item.video.video_id, NO_EVENTS), outcome=outcome, started_id=0
        )
        event = dg.AssetObservation(
            self.context.asset_key,
            partition=item.video.video_id,
            metadata=outcome_metadata(outcome, {}, self.workshop.store),
        )
        self.events.observed(event, outcome)
        return outcome


def _why(identity: Identity) -> str | None:
    """Why what was made is not the last word, where the stage says so."""
    why = identity.details.get("why")
    return why if isinstance(why, str) else None


def _failure(stage: Stage, failures: Mapping[str, Outcome], total: int) -> dg.Failure:
    return dg.Failure(
        f"{stage.name}: {len(failures)} of {total} videos failed; the others are finished.",
        metadata={"failures": dg.MetadataValue.md(failure_table(failures))},
        allow_retries=False,
    )
