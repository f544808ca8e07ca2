"""The delta rule, without running anything: every field, version and upstream change against every stage."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from clipfarm_assets.graph.delta import Rule, Verdict, Work, chunks, next_try, work_of
from clipfarm_assets.graph.events import VideoEvents
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.stages import STAGE_BY_NAME, STAGES
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Versions

NOW = datetime(2026, 5, 1, tzinfo=UTC)
NAMES = tuple(stage.name for stage in STAGES)

OF_DISCOVERY = (
    *("tags", "game_id", "game_name", "broadcaster_id", "broadcaster_name", "creator_id", "creator_name"),
    *("channel_id", "channel_title"),
)
# Which stages a change of a field makes again by itself; every field that is not named makes none.
BY_FIELD = {
    "url": {"raw_video", "enriched_metadata"},
    "url_fingerprint": {"raw_video"},
    "transcript_path": {"raw_text"},
    "transcript_fingerprint": {"raw_text"},
    "language": {"raw_text", "scored_clips", "enriched_metadata"},
    "title": {"text_embedding", "segments", "scored_clips", "enriched_metadata"},
    "description": {"text_embedding", "scored_clips", "enriched_metadata"},
    "query": {"text_embedding"},
    "team": {"segments"},
    "user_id": {"segments"},
    "published_at": {"segments", "scored_clips", "enriched_metadata"},
    "video_type": {"scored_clips"},
    **{name: {"enriched_metadata"} for name in OF_DISCOVERY},
    "first_captured_at": {"segments", "enriched_metadata"},
}
CLIPS = ("scored_clips", "clip_thumbnails")
DISCOVERY = ("enriched_metadata", "discovery_embedding")  # of the row alone
# What is made again where a stage and everything after it gives other bytes.
WITH_ALL_AFTER = {
    "raw_video": set(NAMES) - set(DISCOVERY),
    "raw_audio": {"raw_audio", "audio_embedding", "scene_segments", "segments", "segment_embedding", *CLIPS},
    "raw_text": {"raw_text", "text_embedding", "segments", "segment_embedding", *CLIPS},
    "video_embedding": {"video_embedding"},
    "audio_embedding": {"audio_embedding"},
    "text_embedding": {"text_embedding"},
    "scene_segments": {"scene_segments", "segments", "segment_embedding", *CLIPS},
    "segments": {"segments", "segment_embedding"},
    "segment_embedding": {"segment_embedding"},
    "scored_clips": set(CLIPS),
    "clip_thumbnails": {"clip_thumbnails"},
    "enriched_metadata": set(DISCOVERY),
    "discovery_embedding": {"discovery_embedding"},
}
AFTER_RAW_AUDIO = tuple(name for name in NAMES if name in WITH_ALL_AFTER["raw_audio"])
OTHER_FIELDS = sorted({f.name for f in fields(Video)} - set(BY_FIELD) - {"video_id", "removed", "presence"})
VIDEO = Video("v1", "v1.mp4", "A title", "A description", "a query", captured_at="2026-01-01T00:00:00Z")
CHANGED: dict[type, object] = {str: "another", int: 9, float: 9.0, bool: True, dict: {"x": "y"}}


@dataclass
class World:
    """One video as it stands after a first run, in which every stage succeeded."""

    video: Video
    versions: dict[str, Versions]
    events: dict[str, dict[str, VideoEvents]]

    @property
    def rule(self) -> Rule:
        return Rule(self.versions, Settings(_env_file=None), NOW, "store")

    def verdicts(self) -> dict[str, Verdict]:
        return self.rule.judge(self.video, STAGES, self.events)

    def say(self, stage: str, status: Status, data_version: str | None, **more: object) -> None:
        """The stage's newest outcome speaks of the input as it is now."""
        verdict = self.verdicts()[stage]
        assert verdict.source_hash is not None
        when = str(more.pop("processed_at", NOW.isoformat()))
        outcome = Outcome(
            status, verdict.source_hash, self.versions[stage], when, "run", data_version, store_id="store", **more
        )  # type: ignore[arg-type]
        self.events[stage] = {
            self.video.video_id: VideoEvents(outcome, outcome_id=10, materialization_id=10, planned_id=5, started_id=5)
        }

    def settle(self, *, other_bytes: bool) -> set[str]:
        """Makes whatever is due until nothing is; what had to be made, as it would be by runs of everything due."""
        made: set[str] = set()
        for _ in STAGES:
            due = [name for name, verdict in self.verdicts().items() if verdict.due]
            for stage in due:
                self.say(stage, Status.SUCCESS, f"{stage}, {'other' if other_bytes else 'first'} bytes")
            made.update(due)
        assert not any(verdict.due for verdict in self.verdicts().values())
        return made


@pytest.fixture
def world() -> World:
    versions = {
        stage.name: Versions("1", "model", "revision", "settings") if stage.model else Versions("1") for stage in STAGES
    }
    made = World(VIDEO, versions, {name: {} for name in NAMES})
    assert made.settle(other_bytes=False) == set(NAMES)
    return made


def closure(stages: set[str], *, other_bytes: bool) -> set[str]:
    return {after for stage in stages for after in WITH_ALL_AFTER[stage]} if other_bytes else stages


def other(name: str) -> object:
    value = getattr(VIDEO, name)
    kind = next(f.type for f in fields(Video) if f.name == name)
    return CHANGED[type(value)] if value is not None else 9 if "int" in str(kind) else "another"


@pytest.mark.parametrize("other_bytes", [False, True], ids=["same bytes", "other bytes"])
@pytest.mark.parametrize("name", [*BY_FIELD, *OTHER_FIELDS])
def test_a_changed_field_makes_exactly_what_depends_on_it_again(world: World, name: str, other_bytes: bool) -> None:
    world.video = replace(world.video, **{name: other(name)})
    assert world.settle(other_bytes=other_bytes) == closure(BY_FIELD.get(name, set()), other_bytes=other_bytes)


@pytest.mark.parametrize("other_bytes", [False, True], ids=["same bytes", "other bytes"])
@pytest.mark.parametrize("part", ["code_version", "model_name", "model_version", "preprocess_version"])
@pytest.mark.parametrize("stage", NAMES)
def test_a_changed_version_makes_its_stage_and_what_its_bytes_reach_again(
    world: World, stage: str, part: str, other_bytes: bool
) -> None:
    world.versions[stage] = replace(world.versions[stage], **{part: "another"})
    assert world.settle(other_bytes=other_bytes) == closure({stage}, other_bytes=other_bytes)


def test_a_raised_code_version_of_a_stage_is_part_of_its_versions() -> None:
    from clipfarm_assets.graph.platform import resolve_models

    settings = Settings(_env_file=None, profile="stand-in")
    for stage in STAGES:
        raised = replace(stage, code_version="another").versions(settings, lambda: resolve_models(settings, None))
        assert raised.code_version == "another"


@pytest.mark.parametrize("stage", NAMES)
def test_a_run_takes_a_due_stage_together_with_what_it_leads_to(world: World, stage: str) -> None:
    world.versions[stage] = replace(world.versions[stage], code_version="2")
    work = work_of("v1", STAGES, world.verdicts())
    assert work == Work("v1", tuple(name for name in NAMES if name in WITH_ALL_AFTER[stage]), is_retry=False)


def test_nothing_is_due_where_nothing_changed(world: World) -> None:
    assert work_of("v1", STAGES, world.verdicts()) is None


def test_a_plan_newer_than_the_outcome_is_a_run_that_died_and_due(world: World) -> None:
    seen = world.events["raw_audio"]["v1"]
    world.events["raw_audio"]["v1"] = replace(seen, planned_id=11)
    assert [name for name, verdict in world.verdicts().items() if verdict.due] == ["raw_audio"]


def test_what_a_dead_step_was_at_work_on_runs_among_suspects_and_after_another_death_alone(world: World) -> None:
    seen = world.events["raw_audio"]["v1"]
    world.events["raw_audio"]["v1"] = replace(seen, planned_id=11, started_id=11)
    assert world.verdicts()["raw_audio"].suspect
    work = work_of("v1", STAGES, world.verdicts())
    assert work == Work("v1", AFTER_RAW_AUDIO, is_retry=False, apart="suspects")
    outcome = seen.outcome._replace(status=Status.FAIL, apart="suspects")
    world.events["raw_audio"]["v1"] = replace(seen, outcome=outcome, planned_id=11, started_id=11)
    again = work_of("v1", STAGES, world.verdicts())
    assert again is not None
    assert again.apart == "v1"
    others = [Work(f"w{n}", work.stages, False, "suspects" if n < 2 else "") for n in range(5)]
    assert sorted(len(chunk) for chunk in chunks([again, *others], 10)) == [1, 2, 3]


STATUSES_AND_LATER: Mapping[Status, tuple[bool, str]] = {  # of raw_audio: due at once?, and what audio_embedding says
    Status.SUCCESS: (False, "success"),
    Status.NO_AUDIO_TRACK: (False, "success"),
    Status.EMPTY_TRANSCRIPT: (False, "success"),
    Status.NOT_DESCRIBED: (False, "success"),
    Status.NOT_TRANSCRIBED: (False, "success"),
    Status.TURNED_OFF: (False, "success"),
    Status.FAIL: (False, "upstream_failed"),
    Status.FAIL_EXHAUSTED: (False, "upstream_failed"),
    Status.MISSING_RAW_OBJECT: (False, "upstream_failed"),
    Status.UPSTREAM_FAILED: (True, "pending"),
    Status.PENDING: (True, "pending"),
    Status.UNSUPPORTED_MEDIA: (False, "upstream_failed"),
    Status.SOURCE_REMOVED: (False, "upstream_failed"),
    Status.SOURCE_PRIVATE: (False, "upstream_failed"),
    Status.SOURCE_UNAVAILABLE: (False, "upstream_failed"),
    Status.SOURCE_FORBIDDEN: (False, "upstream_failed"),
    Status.SOURCE_UPCOMING: (False, "upstream_failed"),
    Status.RATE_LIMITED: (False, "upstream_failed"),
    Status.SOURCE_NETWORK: (False, "upstream_failed"),
    Status.SOURCE_TOO_LARGE: (False, "upstream_failed"),
    Status.SOURCE_FORMAT: (False, "upstream_failed"),
}


@pytest.mark.parametrize("status", STATUSES_AND_LATER)
def test_a_status_says_what_is_due_and_what_the_next_stage_waits_for(world: World, status: Status) -> None:
    data_version = "raw_audio, first bytes" if status.materialized else None
    world.say("raw_audio", status, data_version, retry_count=1)
    due, later = STATUSES_AND_LATER[status]
    verdicts = world.verdicts()
    assert (verdicts["raw_audio"].due, verdicts["audio_embedding"].status.value) == (due, later)


@pytest.mark.parametrize("status", [s for s in STATUSES_AND_LATER if s.meaning.partition and not s.meaning.terminal])
def test_a_status_that_is_not_terminal_is_due_when_its_pause_is_over(world: World, status: Status) -> None:
    world.say("raw_audio", status, "raw_audio, first bytes" if status.materialized else None, retry_count=1)
    verdict = world.verdicts()["raw_audio"]
    assert verdict.due_at is not None and verdict.due_at > NOW
    world_later = replace(world.rule, now=verdict.due_at).judge(world.video, STAGES, world.events)
    assert world_later["raw_audio"].due


@pytest.mark.parametrize("status", [s for s in STATUSES_AND_LATER if s.failed and s.meaning.terminal])
def test_a_terminal_failure_is_never_due_until_its_input_changes(world: World, status: Status) -> None:
    world.say("raw_audio", status, None, retry_count=3)
    ages_later = replace(world.rule, now=NOW + timedelta(days=3650))
    assert not any(verdict.due for verdict in ages_later.judge(world.video, STAGES, world.events).values())
    world.say("raw_video", Status.SUCCESS, "raw_video, other bytes")
    assert world.verdicts()["raw_audio"].due


def test_the_pause_grows_fivefold_with_every_try_that_costs_one() -> None:
    settings = Settings(_env_file=None, retry_pause_sec=60)

    def pause(status: Status, tries: int) -> float:
        outcome = Outcome(status, "", Versions("1"), NOW.isoformat(), "run", retry_count=tries, store_id="store")
        return (next_try(outcome, settings) - NOW).total_seconds()

    assert [pause(Status.FAIL, tries) for tries in (1, 2, 3)] == [60, 300, 1500]
    assert [pause(Status.RATE_LIMITED, 0), pause(Status.SOURCE_UPCOMING, 0)] == [900, 900]


def test_a_stage_that_rests_is_not_dragged_into_a_run_of_the_one_before(world: World) -> None:
    world.say("audio_embedding", Status.FAIL, None, retry_count=1)
    seen = world.events["raw_audio"]["v1"]
    world.events["raw_audio"]["v1"] = replace(seen, planned_id=11)
    others = tuple(name for name in AFTER_RAW_AUDIO if name != "audio_embedding")
    assert work_of("v1", STAGES, world.verdicts()) == Work("v1", others, is_retry=False)


def test_a_missing_raw_object_takes_the_stage_before_along(world: World) -> None:
    past = (NOW - timedelta(days=1)).isoformat()
    world.say("video_embedding", Status.MISSING_RAW_OBJECT, None, retry_count=1, processed_at=past)
    assert work_of("v1", STAGES, world.verdicts()) == Work("v1", ("raw_video", "video_embedding"), is_retry=True)


def test_chunks_keep_stages_and_retries_apart_and_no_chunk_is_larger_than_asked() -> None:
    work = [
        *(Work(f"a{n}", ("raw_video",), False) for n in range(5)),
        *(Work(f"b{n}", ("raw_video",), True) for n in range(2)),
        *(Work(f"c{n}", ("raw_text",), False) for n in range(1)),
    ]
    found = [[item.video_id for item in chunk] for chunk in chunks(work, 2)]
    assert found == [["a0", "a1"], ["a2", "a3"], ["a4"], ["b0", "b1"], ["c0"]]


def test_every_stage_is_in_the_tables_of_this_file() -> None:
    assert set(WITH_ALL_AFTER) == set(STAGE_BY_NAME)
