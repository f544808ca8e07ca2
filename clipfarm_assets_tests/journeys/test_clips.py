"""Clips over HTTP, from a POST to a file that a player seeks in; web server, daemon and API as processes."""

import io
import shutil
from contextlib import ExitStack
from typing import Any

import av
import dagster as dg
import pytest
import requests

from clipfarm_assets_tests.journeys.deployment import PROJECT, Deployment, Graph, Web, free_port, until

pytestmark = pytest.mark.slow

TALK = "podcast-habits"
RAW = "raw_video,raw_audio,raw_text,scene_segments"
SENSORS = ("new_metadata", "due_videos", "fan_in_due")  # the video is made already; what is left is of its clips


class Api:
    """The HTTP API as a page sees it."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self.root}/healthz", timeout=30).ok
        except requests.RequestException:
            return False

    def get(self, path: str, status: int = 200) -> Any:
        return self._checked(requests.get(self.root + path, timeout=60), status)

    def post(self, path: str, **body: Any) -> Any:
        return self._checked(requests.post(self.root + path, json=body, timeout=60), 201)

    def ended(self, job: dict[str, Any]) -> dict[str, Any] | None:
        """The job as it is, once it has ended."""
        found: dict[str, Any] = self.get(f"/jobs/{job['id']}")
        return found if found["status"] in ("done", "failed") else None

    def _checked(self, answer: requests.Response, status: int) -> Any:
        assert answer.status_code == status, answer.text
        return answer.json()


@pytest.fixture
def made(here: Deployment, graph: Graph) -> Deployment:
    """A sample that went through the graph as far as clips need it."""
    for path in (PROJECT / "data" / "samples").glob(f"{TALK}.*"):
        shutil.copy(path, here.csv.parent)
    head = "video_id,url,title,captured_at,language,transcript_path,video_type"
    row = f"{TALK},{TALK}.mp4,Small habits,2026-01-01T00:00:00Z,en,{TALK}.json,podcast"
    here.csv.write_text(f"{head}\n{row}\n")
    assert graph.materialize("video_metadata").success
    assert graph.materialize(RAW, TALK).success
    return here


def test_a_batch_that_is_posted_becomes_clips_and_an_export_that_can_be_sought_in_with_and_without_the_web_server(
    made: Deployment,
) -> None:
    web, api, workspace = Web(free_port()), Api(free_port()), str(made.folder / "workspace.yaml")
    made.env["CLIPFARM_DAGSTER_URL"] = f"http://127.0.0.1:{web.port}"
    asked = f"/viral-clip/videos/{TALK}/clip-batches"
    with ExitStack() as programs, ExitStack() as web_server:
        serve_log = programs.enter_context(made.program("clipfarm", "serve", "--port", api.root.rpartition(":")[2]))
        server = ("dagster-webserver", "-w", workspace, "-h", "127.0.0.1", "-p", str(web.port))
        web_log = web_server.enter_context(made.program(*server))
        until(web.is_up, "the web server", 300, web_log)
        until(api.is_up, "the API", 300, serve_log)
        for name in SENSORS:
            web.set_sensor(name, on=False)

        found = api.post(asked, clip_length_preset="0_30", aspect_ratio="1:1", video_type="podcast")
        batch, job = found["batch"], found["job"]
        assert (batch["status"], job["status"]) == ("draft", "queued")  # nothing makes it yet: there is no daemon
        with made.instance() as instance:
            run = instance.get_run_by_id(job["dagster_run_id"])
            assert run is not None and (run.job_name, run.status) == ("make_clips", dg.DagsterRunStatus.QUEUED)

        daemon_log = programs.enter_context(made.program("dagster-daemon", "run", "-w", workspace))

        def followed(job: dict[str, Any], what: str) -> dict[str, Any]:
            logs = lambda: "\n".join(log() for log in (serve_log, web_log, daemon_log))  # noqa: E731
            return until(lambda: api.ended(job), what, 300, logs)

        job = followed(job, "the batch")
        assert (job["status"], job["progress"], job["error_message"]) == ("done", 1.0, None)
        [batch] = api.get(asked)["items"]
        clips = api.get(f"/viral-clip/clip-batches/{batch['id']}/clips")["items"]
        assert batch["status"] == "ready" and len(clips) >= 2
        assert all(10 <= clip["duration_sec"] <= 30 and clip["viral_score"] is not None for clip in clips)

        clip = min(clips, key=lambda clip: clip["duration_sec"])
        job = followed(api.post(f"/viral-clip/clips/{clip['id']}/exports")["job"], "the export")
        assert job["status"] == "done", job
        _can_be_sought_in(api.root + job["export"]["video_url"], job["export"], clip)
        assert " --> " in requests.get(api.root + job["export"]["subtitles_url"], timeout=60).text
        assert api.get(f"/viral-clip/clips/{clip['id']}")["status"] == "exported"

        web_server.close()
        found = api.post(asked)
        assert (found["batch"]["status"], found["job"]["dagster_run_id"]) == ("draft", None)
        assert "it cannot be reached" in found["job"]["error_message"]
        job = followed(found["job"], "the batch that Dagster was not told of")
        assert (job["status"], job["error_message"]) == ("done", None)
        assert [each["status"] for each in api.get(asked)["items"]] == ["ready", "ready"]
        assert api.get(f"/viral-clip/clip-batches/{batch['id']}/clips")["total"] == len(clips)


def _can_be_sought_in(url: str, export: dict[str, Any], clip: dict[str, Any]) -> None:
    whole = requests.get(url, timeout=60)
    assert (whole.status_code, len(whole.content)) == (200, export["size_bytes"])
    middle = len(whole.content) // 2
    part = requests.get(url, headers={"Range": f"bytes={middle}-{middle + 99}"}, timeout=60)
    assert (part.status_code, part.content) == (206, whole.content[middle : middle + 100])
    assert part.headers["Content-Range"] == f"bytes {middle}-{middle + 99}/{len(whole.content)}"
    with av.open(io.BytesIO(whole.content), "r") as media:
        assert media.streams.video[0].width == media.streams.video[0].height == export["width"]
        assert float(media.duration or 0) / 1e6 == pytest.approx(clip["duration_sec"], abs=0.1)
