"""What every door of the API has in common: problems, the token, origins, health, media by range."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from clipfarm_assets.database.connect import open_database
from clipfarm_assets.errors import DatabaseUnavailable
from clipfarm_assets.http.app import Backend, create_app
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.settings import load_settings
from clipfarm_assets.store.object_store import ObjectStore

CONTENT = bytes(range(256)) * 40
VIDEO = "/media/videos/v1"


class Body(BaseModel):
    count: int


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # no .env, no project
    return tmp_path


def client(store: ObjectStore, folder: Path, **given: object) -> TestClient:
    router = APIRouter()

    @router.post("/numbers")
    def number(body: Body) -> int:
        return body.count

    @router.get("/outage")
    def outage() -> None:
        raise DatabaseUnavailable("The database does not answer.")

    here = load_settings(**given)
    database = open_database(f"sqlite:///{folder}/clipfarm.db")
    known = {"v1": Video("v1", "v1.mp4")}
    return TestClient(create_app(Backend(here, store, database, known.get), router), raise_server_exceptions=False)


@pytest.fixture
def api(store: ObjectStore, folder: Path) -> Iterator[TestClient]:
    store.put("clipfarm/raw/video/v1.mp4", CONTENT)
    with client(store, folder) as found:
        yield found


def test_a_wrong_field_is_named(api: TestClient) -> None:
    answer = api.post("/numbers", json={"count": "many"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] == "count"
    assert answer.json()["detail"] == "Wrong: count."


@pytest.mark.parametrize("body", [b"{", b"", b"[]", b"\xff\xfe"])
def test_a_body_that_is_none_is_a_problem_too(api: TestClient, body: bytes) -> None:
    answer = api.post("/numbers", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.json()["status"] == answer.status_code


def test_an_outage_says_when_to_come_back(api: TestClient) -> None:
    answer = api.get("/outage")
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert "The database does not answer." in answer.json()["detail"]
    assert int(answer.headers["retry-after"]) > 0


def test_an_unknown_path_or_video_is_a_problem(api: TestClient) -> None:
    for path in ("/nowhere", "/media/videos/other"):
        answer = api.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert api.get("/media/videos/other").json()["detail"] == "There is no video 'other'."


def test_a_video_is_sought_by_range(api: TestClient) -> None:
    whole = api.get(VIDEO)
    assert (whole.status_code, whole.content) == (200, CONTENT)
    assert (whole.headers["accept-ranges"], whole.headers["content-type"]) == ("bytes", "video/mp4")
    part = api.get(VIDEO, headers={"Range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, CONTENT[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(CONTENT)}"
    assert api.get(VIDEO, headers={"Range": "bytes=-10"}).content == CONTENT[-10:]
    assert api.get(VIDEO, headers={"Range": "bytes=9000-"}).content == CONTENT[9000:]
    outside = api.get(VIDEO, headers={"Range": f"bytes={len(CONTENT)}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(CONTENT)}")
    head = api.head(VIDEO, headers={"Range": "bytes=0-0"})
    assert (head.status_code, head.headers["content-length"], head.content) == (206, "1", b"")


def test_a_range_of_an_older_version_is_answered_with_the_whole(api: TestClient, store: ObjectStore) -> None:
    etag = api.head(VIDEO).headers["etag"]
    assert api.get(VIDEO, headers={"If-None-Match": etag}).status_code == 304
    assert api.get(VIDEO, headers={"Range": "bytes=0-9", "If-Range": etag}).status_code == 206
    store.put("clipfarm/raw/video/v1.mp4", CONTENT[::-1])
    later = api.get(VIDEO, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (later.status_code, later.content) == (200, CONTENT[::-1])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    header=st.one_of(
        st.from_regex(re.compile(r"bytes=[0-9]{0,6}-[0-9]{0,6}"), fullmatch=True),
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
    )
)
def test_no_range_header_breaks_anything(local_store: ObjectStore, folder: Path, header: str) -> None:
    local_store.put("clipfarm/raw/video/v1.mp4", CONTENT)
    answer = client(local_store, folder).get(VIDEO, headers={"Range": header})
    if answer.status_code == 206:
        first, last, size = map(int, re.findall(r"\d+", answer.headers["content-range"]))
        assert (answer.content, size) == (CONTENT[first : last + 1], len(CONTENT))
    else:
        assert answer.status_code in (200, 416)
        assert answer.status_code == 416 or answer.content == CONTENT


def test_a_token_is_needed_where_one_is_set(local_store: ObjectStore, folder: Path) -> None:
    local_store.put("clipfarm/raw/video/v1.mp4", CONTENT)
    api = client(local_store, folder, http_token="let me in")
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic let me in"}):
        answer = api.get(VIDEO, headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "let me in" not in answer.text
    assert api.get(VIDEO, headers={"Authorization": "Bearer let me in"}).content == CONTENT
    assert api.get("/healthz").status_code == 200


def test_pages_of_other_origins_are_let_in_only_where_configured(local_store: ObjectStore, folder: Path) -> None:
    origin = {"Origin": "https://clips.example"}
    assert "access-control-allow-origin" not in client(local_store, folder).get("/healthz", headers=origin).headers
    api = client(local_store, folder, http_origins="https://clips.example, https://b.example")
    assert api.get("/healthz", headers=origin).headers["access-control-allow-origin"] == "https://clips.example"
    assert "access-control-allow-origin" not in api.get("/healthz", headers={"Origin": "https://evil.example"}).headers


def test_readiness_says_what_does_not_answer(api: TestClient, local_store: ObjectStore, folder: Path) -> None:
    assert api.get("/readyz").json() == {"status": "ok", "database": "ok", "store": "ok"}
    (folder / "clipfarm.db").unlink(missing_ok=True)
    (folder / "clipfarm.db").mkdir()
    answer = client(local_store, folder).get("/readyz")
    assert (answer.status_code, answer.json()["store"]) == (503, "ok")
    assert "does not answer" in answer.json()["database"]
