"""The whole graph in one process, without the daemon: what the sensors would ask for, done now.

The command line's `clipfarm run` reads the metadata, handles whatever is due, and ends with the fan-in. It goes by the
same delta rule and leaves the same events as runs that a sensor starts.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.graph.clip_sensor import due_jobs, trend_requests
from clipfarm_assets.graph.clip_work import due_trends
from clipfarm_assets.graph.delta import Work, chunks
from clipfarm_assets.graph.events import newest_outcome_id
from clipfarm_assets.graph.fan_in import newest_input, oldest_seen
from clipfarm_assets.graph.imports import changed_imports
from clipfarm_assets.graph.in_flight import PROCESS, report_dead_runs, this_process
from clipfarm_assets.graph.jobs import (
    chunk_config,
    chunk_request,
    cluster_teams,
    fan_in,
    import_segments,
    process_videos,
    read_metadata_job,
)
from clipfarm_assets.graph.metadata import changed_files, csv_change
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.removal import forget_videos
from clipfarm_assets.graph.stages import STAGES
from clipfarm_assets.graph.state import State, read_state
from clipfarm_assets.graph.teams import add_teams, due_teams, team_key
from clipfarm_assets.graph.videos import add_videos


@dataclass
class Report:
    """What one `clipfarm run` did."""

    runs: int = 0
    failed: int = 0
    errors: list[str] = field(default_factory=list)  # of steps that failed for another reason than their videos


class Runner:
    """Runs jobs of the graph in this process, one after another."""

    def __init__(
        self,
        definitions: dg.Definitions,
        instance: dg.DagsterInstance,
        workshop: Workshop,
        say: Callable[[str], None] = print,
        log_level: str = "CRITICAL",
    ) -> None:
        self._definitions = definitions
        self._instance = instance
        self._workshop = workshop
        self._say = say
        self._loggers = {"loggers": {"console": {"config": {"log_level": log_level}}}}
        self.report = Report()

    def run(self, *, verify: bool = False) -> State:
        """Does everything that is due; returns where every video stands then.

        With ``verify`` every video is taken through every stage: steps leave alone what the store proves, and make
        again what is lost or broken there.
        """
        report_dead_runs(self._instance)
        self._read_metadata()
        agenda = self._state().agenda
        if agenda.removable:
            self._say(f"removing {len(agenda.removable)} videos")
            self._execute(forget_videos.name, chunk_config(agenda.removable))
        add_videos(self._instance, agenda.new)
        done: set[Work] = set()
        while work := [item for item in self._work(verify) if item not in done]:
            for chunk in chunks(work, self._workshop.settings.chunk_size):
                if self.report.errors:  # the platform does not work: the next run takes up the rest
                    return self._state()
                self._say(f"{len(chunk)} videos: {', '.join(chunk[0].stages)}")
                request = chunk_request(chunk)
                self._execute(process_videos.name, request.run_config, request.asset_selection, request.tags)
            done.update(work)  # a video that asks for the same again has got nowhere: its pause comes first
        if self._is_stale():
            self._fan_in()
        self._cluster()
        self._make_clips()
        if not self.report.errors and self._is_stale():  # trends that the new vectors have brought
            self._fan_in()
        return self._state()

    def _fan_in(self) -> None:
        self._say("manifests, fused vectors, ledger, search index")
        self._execute(fan_in.name, {})

    def _cluster(self) -> None:
        """The runs of teams with something to be done; one that fails stops no other."""
        try:
            if changed_imports(self._workshop) is not None:
                self._say("reading described segments")
                self._execute(import_segments.name, {})
            due = due_teams(self._instance, self._workshop, labels=True)
            add_teams(self._instance, due)
            for team, why in due.items():
                self._say(f"team {team}: {why}")
                self._execute(cluster_teams.name, {}, partition_key=team_key(team))
        except ClipfarmError as error:  # the videos are finished, and that is to be told
            self.report.errors.append(str(error))

    def _make_clips(self) -> None:
        """Batches and exports that people have asked for, those whose worker died, and trends that can be known now."""
        try:
            for request in trend_requests(due_trends(self._instance, self._workshop)[0], self._workshop):
                self._say("clips without a trend")
                self._execute(process_videos.name, request.run_config, request.asset_selection, request.tags)
            for job_name, why in due_jobs(self._instance, self._workshop).items():
                self._say(why)
                self._execute(job_name, {})
        except ClipfarmError as error:
            self.report.errors.append(str(error))

    def _work(self, verify: bool) -> list[Work]:
        state = self._state()
        due = list(state.agenda.work)
        if not verify:
            return due
        names = tuple(stage.name for stage in STAGES)
        finished = (v for v, of in state.verdicts.items() if all(verdict.finished for verdict in of.values()))
        return due + [Work(v, names, is_retry=False) for v in finished if v not in state.agenda.in_flight]

    def _state(self) -> State:
        return read_state(self._instance, self._workshop, STAGES)

    def _read_metadata(self) -> None:
        """Reads the CSV unless neither it nor a file that it names has changed since."""
        unread = csv_change(self._workshop) or changed_files(self._workshop)
        if unread or not newest_outcome_id(self._instance, ["video_metadata"]):
            self._say("reading the metadata")
            self._execute(read_metadata_job.name, {})
        if self.report.errors and self._workshop.tables() is None:
            raise ClipfarmError(f"The metadata could not be read. {self.report.errors[-1]}", hint="Mend the CSV.")

    def _is_stale(self) -> bool:
        return newest_input(self._instance) > oldest_seen(self._instance)

    def _execute(
        self,
        job_name: str,
        run_config: Mapping[str, Any],
        assets: Sequence[dg.AssetKey] | None = None,
        tags: Mapping[str, str] | None = None,
        partition_key: str | None = None,
    ) -> None:
        job = self._definitions.resolve_job_def(job_name)
        result = job.execute_in_process(
            run_config={**run_config, **self._loggers}, instance=self._instance, asset_selection=assets,
            raise_on_error=False, partition_key=partition_key,
            tags={**(tags or {}), PROCESS: this_process()},
        )  # fmt: skip
        self.report.runs += 1
        if not result.success:
            failed = result.get_step_failure_events()
            if any(_name(event) == "DagsterExecutionInterruptedError" for event in failed):
                raise KeyboardInterrupt
            self.report.failed += 1
            self.report.errors += [_reason(e) for e in failed if e.step_failure_data.user_failure_data is None]


def _name(event: dg.DagsterEvent) -> str:
    """The class of the error behind a failed step."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.cls_name if error else None) or ""


def _reason(event: dg.DagsterEvent) -> str:
    """Why a step failed, in one line: the error's own words, without the wrapping of the executor."""
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    text = re.sub(r"^clipfarm_assets\.errors\.\w+: ", "", error.message.strip()) if error else ""
    return f"{event.step_key}: {text.splitlines()[0] if text else 'failed'}"
