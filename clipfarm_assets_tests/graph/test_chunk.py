"""What a step says of its videos while it works on them, where the making itself takes no time."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from clipfarm_assets.errors import SourceUnavailable
from clipfarm_assets.graph import chunk, raw
from clipfarm_assets.graph.events import EventGroup, read_events
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets_tests.graph.deployment import Deployment

VIDEOS = [f"v{number:02}" for number in range(60)]


def made_at_once(items: Iterable[Item], *_: object) -> Iterator[Result]:
    return ((item, Made(item.video.video_id.encode())) for item in items)


def failed_at_once(items: Iterable[Item], *_: object) -> Iterator[Result]:
    return ((item, SourceUnavailable("It is gone.")) for item in items)


@pytest.fixture
def sixty(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Rows whose videos are made at once."""
    monkeypatch.setattr(raw, "fetch_videos", made_at_once)
    deployment.rows = {video_id: {"url": "https://example.com/video.mp4"} for video_id in VIDEOS}
    deployment.read_metadata()
    return deployment


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many videos a step said to be in work, each time."""
    found: list[int] = []
    started = EventGroup.started

    def count(self: EventGroup, video_ids: Iterable[str]) -> None:
        group = list(video_ids)
        found.append(len(group))
        started(self, group)

    monkeypatch.setattr(EventGroup, "started", count)
    return found


def test_more_videos_are_said_to_be_in_work_where_they_take_no_time(
    sixty: Deployment, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "_QUICK_SEC", 60.0)  # whatever else the machine does
    assert sixty.materialize(["raw_video"], VIDEOS).success
    assert groups == [8, 16, 32, 4]


def test_few_are_suspect_where_videos_take_their_time(
    sixty: Deployment, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "_QUICK_SEC", 0.0)
    assert sixty.materialize(["raw_video"], VIDEOS).success
    assert groups == [8] * 7 + [4]


def test_few_are_suspect_again_after_a_death(
    sixty: Deployment, groups: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chunk, "_QUICK_SEC", 60.0)
    dead = sixty.instance.add_run(dg.DagsterRun(job_name="process_videos", status=dg.DagsterRunStatus.STARTED))
    step: Any = SimpleNamespace(instance=sixty.instance, run=dead, op_handle="raw_video")
    EventGroup(step, "raw_video").started(["v05"])
    sixty.instance.report_run_failed(dead)
    groups.clear()
    assert sixty.materialize(["raw_video"], VIDEOS).success
    assert groups == [8] * 7 + [4]


def test_of_many_failures_each_has_its_event_and_few_a_line_in_dagsters_log(
    sixty: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw, "fetch_videos", failed_at_once)
    result = sixty.materialize(["raw_video"], VIDEOS)
    assert not result.success
    outcomes = {video_id: seen.outcome for video_id, seen in read_events(sixty.instance, "raw_video").items()}
    assert set(outcomes) == set(VIDEOS)
    assert all(outcome and outcome.error and "It is gone." in outcome.error for outcome in outcomes.values())
    lines = [entry for entry in sixty.instance.all_logs(result.run_id) if "It is gone." in entry.user_message]
    assert len(lines) == 20
