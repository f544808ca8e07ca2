"""What makes clustering run by itself: every half hour for every team, and sooner where segments are new."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.storage.tags import PARTITION_NAME_TAG

from clipfarm_assets.graph.events import newest_outcome_id
from clipfarm_assets.graph.imports import IMPORTED_SEGMENTS, changed_imports
from clipfarm_assets.graph.in_flight import unfinished_runs
from clipfarm_assets.graph.jobs import TAGS, cluster_teams, import_segments, process_videos
from clipfarm_assets.graph.platform import Platform, Workshop
from clipfarm_assets.graph.segments import SEGMENT_EMBEDDING, SEGMENTS
from clipfarm_assets.graph.teams import add_teams, due_teams, enabled, known_teams, new_teams, team_key
from clipfarm_assets.settings import Settings
from clipfarm_assets.tasks.book import revisions

_LONGEST_WAIT_SEC = 1800.0
_SEGMENT_ASSETS = (SEGMENTS.name, SEGMENT_EMBEDDING.name, IMPORTED_SEGMENTS, "video_metadata")


def clustering_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """The schedule of a deployment, every `CLUSTERING_INTERVAL` minutes."""
    minutes = settings.clustering_interval_minutes
    cron = f"*/{minutes} * * * *" if minutes < 60 else f"0 */{minutes // 60} * * *"

    @dg.schedule(
        cron_schedule="0 0 * * *" if minutes == 1440 else "0 * * * *" if minutes == 60 else cron,
        job=cluster_teams, default_status=dg.DefaultScheduleStatus.RUNNING, name="cluster_every_team",
        description=f"Asks for a run of every enabled team, every {minutes} minutes.",
    )  # fmt: skip
    def every_team(
        context: dg.ScheduleEvaluationContext, platform: Platform
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        workshop, running = platform.open(), _running_teams(context.instance)
        names = [team for team in known_teams(workshop) if enabled(workshop.settings, team)]
        waiting = [team for team in names if team_key(team) not in running]
        add_teams(context.instance, waiting)
        for team in waiting:
            yield _request(team, "the schedule", run_key=team_key(team))
        if not waiting:
            yield dg.SkipReason("There are no teams with clustering on, or their runs are still at work.")

    return every_team


@dataclass
class _Memory:
    """What the sensor keeps between its ticks.

    Attributes:
        judged: the pulse at the last whole look; empty where a team was busy then.
        seen: the pulse at the last tick, and when it moved to that, and since when it has been moving.
    """

    judged: str = ""
    seen: str = ""
    moved_at: float = 0.0
    since: float = 0.0

    @classmethod
    def read(cls, cursor: str | None) -> "_Memory":
        try:
            fields: Any = json.loads(cursor or "{}")
            return cls(**fields)
        except (ValueError, TypeError):
            return cls()

    def write(self) -> str:
        return json.dumps(asdict(self))


@dg.sensor(
    job=cluster_teams, minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the runs of teams that have new segments, or Tasks that a person has changed.",
)  # fmt: skip
def new_segments(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Waits until the videos' runs are over; what is due is then judged from the database and the event log."""
    workshop, instance, memory = platform.open(), context.instance, _Memory.read(context.cursor)
    now, pulse = datetime.now(UTC).timestamp(), _pulse(instance, workshop)
    if pulse == memory.judged:
        return dg.SensorResult(skip_reason="Nothing has happened to the segments.", cursor=memory.write())
    if pulse != memory.seen:
        memory.seen, memory.moved_at, memory.since = pulse, now, memory.since or now
    if reason := _why_wait(instance, memory, workshop.settings.fan_in_quiet_sec, now):
        return dg.SensorResult(skip_reason=reason, cursor=memory.write())
    due, running = due_teams(instance, workshop), _running_teams(instance)
    ready = [team for team in due if team_key(team) not in running]
    # A run that does something moves the pulse; one that fails is asked for again by the schedule.
    memory.judged, memory.since = pulse if len(ready) == len(due) else "", 0.0
    if not ready:
        reason = f"{len(due)} teams are being clustered." if due else "No team has new segments."
        return dg.SensorResult(skip_reason=reason, cursor=memory.write())
    requests = [_request(team, due[team]) for team in ready]
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=new_teams(instance, ready), cursor=memory.write()
    )


@dg.sensor(
    job=import_segments, minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for the import of described segments when a file of their folder has changed.",
)  # fmt: skip
def new_imports(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult:
    """Only looks at names, sizes and times."""
    changed = changed_imports(platform.open())
    if changed is None:
        return dg.SensorResult(skip_reason="No file of segments has changed.")
    if any(run.job_name == import_segments.name for run in unfinished_runs(context.instance)):
        return dg.SensorResult(skip_reason="The segments are being read.")
    # a run key a state of the folder: a run that dies is asked for again when a file changes, or by a person
    return dg.SensorResult(run_requests=[dg.RunRequest(run_key=changed)])


def _request(team: str, why: str, run_key: str | None = None) -> dg.RunRequest:
    key = team_key(team)
    return dg.RunRequest(run_key, partition_key=key, tags={**TAGS, PARTITION_NAME_TAG: key, "clipfarm/why": why})


def _pulse(instance: dg.DagsterInstance, workshop: Workshop) -> str:
    """Changes with every event of segments, every change of Tasks, and the teams that take part."""
    with workshop.database.read() as session:
        of_tasks = sorted(revisions(session).items())
    on = workshop.settings.video_segment_clustering_enabled
    return f"{newest_outcome_id(instance, _SEGMENT_ASSETS)} {of_tasks} {on}"


def _why_wait(instance: dg.DagsterInstance, memory: _Memory, quiet_sec: float, now: float) -> str | None:
    """Why nothing is asked for yet; after half an hour neither runs nor news hold it back."""
    if now - memory.since > _LONGEST_WAIT_SEC:
        return None
    if any(run.job_name in (process_videos.name, import_segments.name) for run in unfinished_runs(instance)):
        return "Segments are being made."
    return "Waiting for quiet." if now - memory.moved_at < quiet_sec else None


def _running_teams(instance: dg.DagsterInstance) -> set[str]:
    runs = [run for run in unfinished_runs(instance) if run.job_name == cluster_teams.name]
    return {run.tags.get(PARTITION_NAME_TAG, "") for run in runs}


CADENCE = (new_segments, new_imports)
