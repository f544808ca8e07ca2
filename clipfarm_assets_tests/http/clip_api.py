"""The API over a deployment of two videos, and what a worker of the graph does beside it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fastapi.testclient import TestClient

from clipfarm_assets.clips.book import set_thumbnail
from clipfarm_assets.clips.scoring import score_batch
from clipfarm_assets.clips.work import Launched
from clipfarm_assets.database.connect import Database
from clipfarm_assets.http.app import Backend, create_app
from clipfarm_assets.http.clips import clips
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.settings import load_settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Artifacts, Made, Versions
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.clips.videos import inputs

VIDEOS: Mapping[str, Video] = {name: Video(name, f"{name}.mp4") for name in ("v1", "v2")}
PICTURE = b"\xff\xd8 a picture"


class Launches:
    """Stands in for Dagster's web server: notes what it is asked for."""

    def __init__(self, *, up: bool = True) -> None:
        self.up = up
        self.asked: list[str] = []

    def __call__(self, kind: str) -> Launched:
        if not self.up:
            return Launched(None, "Dagster cannot be reached. Its sensor takes it up later.")
        self.asked.append(kind)
        return Launched(f"run-{len(self.asked)}", None)


class Api:
    """A client of the API."""

    def __init__(self, database: Database, store: ObjectStore, launches: Launches | None = None, **settings: Any):
        self.database, self.store, self.launches = database, store, launches or Launches()
        backend = Backend(load_settings(**settings), store, database, VIDEOS.get, self.launches)
        self.app = create_app(backend, clips)
        self.client = TestClient(self.app, raise_server_exceptions=False)
        put_video(store, "v1")

    def get(self, path: str, status: int = 200, **given: Any) -> Any:
        return self._checked(self.client.get(path, **given), status)

    def post(self, path: str, body: Any = None, status: int = 201) -> Any:
        return self._checked(self.client.post(path, json=body), status)

    def patch(self, path: str, body: Any, status: int = 200) -> Any:
        return self._checked(self.client.patch(path, json=body), status)

    def new_batch(self, video_id: str = "v1", **body: Any) -> str:
        found: str = self.post(f"/viral-clip/videos/{video_id}/clip-batches", body)["batch"]["id"]
        return found

    def scored(self, batch_id: str | None = None) -> list[Any]:
        """The clips of a batch that a worker has made, with thumbnails."""
        batch_id = batch_id or self.new_batch()
        report = score_batch(self.database, batch_id, "worker", inputs(), None, lambda: datetime.now(UTC))
        assert report is not None and report.status == "ready"
        found: list[Any] = self.get(f"/viral-clip/clip-batches/{batch_id}/clips")["items"]
        for clip in found:
            self.store.put(f"pictures/{clip['id']}", PICTURE)
            times = clip["start_time_sec"], clip["end_time_sec"]
            set_thumbnail(self.database, clip["id"], *times, f"pictures/{clip['id']}")
        return found

    def _checked(self, answer: Any, status: int) -> Any:
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["status"] == status
        return answer.json()


def put_video(store: ObjectStore, video_id: str) -> None:
    """A raw video whose length is known."""
    made = Made(b"not looked into", Status.SUCCESS, {"duration_sec": inputs().duration_sec})
    key = f"clipfarm/raw/video/{video_id}.mp4"
    Artifacts(store).put(key, made, stage="raw_video", video_id=video_id, source_hash="", versions=Versions(""))
