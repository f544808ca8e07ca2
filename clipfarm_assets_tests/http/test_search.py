"""Search over HTTP, as a page and as somebody hostile use it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from fastapi import APIRouter
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from clipfarm_assets.database.clip_tables import ClipExport
from clipfarm_assets.database.connect import open_database
from clipfarm_assets.database.migrate import migrate
from clipfarm_assets.http.app import Backend, create_app
from clipfarm_assets.http.clips import clips
from clipfarm_assets.http.metrics import measure, metrics
from clipfarm_assets.http.people import people
from clipfarm_assets.http.search import discovery
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import open_store
from clipfarm_assets_tests.discovery.making import CLIP, NOW, World, text_encoder

EXPORT = "0d6c6a0a-2f6b-4b0e-9d5e-6f2b8f2a1c11"
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
HOSTILE = (
    '"', "'", "' OR 1=1 --", "'; DROP TABLE votes; --", "title:ace AND (", "a OR b NOT c", "~*?^[]{}()\\", "%", "_",
    "%00", "\0", "a\0b", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "𝕍𝕒𝕝𝕠𝕣𝕒𝕟𝕥", "🎮", "é" * 1_000,
    " ", "\t\n", "array_has(tag_keys, 'x')", "key IN ('video/ace')", "{{7*7}}", "../../etc/passwd", "-1", "NaN", "null",
)  # fmt: skip


class Web:
    """The API over a world."""

    def __init__(self, world: World, *further: APIRouter) -> None:
        self.world = world
        backend = Backend(Settings(_env_file=None), world.store, world.database, world.video, discovery=world.room)
        self.app = create_app(backend, discovery, people, metrics, *further)
        measure(self.app)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def ask(self, method: str, path: str, status: int = 200, **given: Any) -> Any:
        answer = self.client.request(method, path, **given)
        assert answer.status_code == status, answer.text
        if status >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
        return answer.json() if answer.content else None

    def keys(self, **asked: Any) -> list[str]:
        return [f"{each['kind']}/{each['id']}" for each in self.ask("GET", "/search", params=asked)["items"]]


def made(folder: Path) -> World:
    database = open_database(f"sqlite:///{folder}/clipfarm.db")
    migrate(database)
    world = World(folder, open_store((folder / "store").as_uri()), database, text_encoder())
    world.add_clip()
    world.run()
    return world


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """For tests that only read."""
    yield Web(made(tmp_path_factory.mktemp("shared")))


@pytest.fixture
def web(tmp_path: Path) -> Web:
    return Web(made(tmp_path))


def test_a_page_finds_by_words_by_meaning_and_by_both(shared: Web) -> None:
    assert shared.keys(q="valoratn ace", mode="text") == ["video/ace"]
    assert shared.keys(q="baking a loaf", mode="semantic", kind="video")[0] == "video/bread"
    assert shared.keys(q="sourdough")[0] == "video/bread"
    assert shared.keys(q="crisp crust", kind="clip") == [f"clip/{CLIP}"]
    assert shared.keys(language="ja") == ["video/hanami"]


def test_a_page_follows_the_page_before_and_the_last_says_so(shared: Web) -> None:
    seen, path = [], "/search?limit=2&sort=recent"
    while path:
        page = shared.ask("GET", path)
        seen += [item["id"] for item in page["items"]]
        path = page["next"]
    assert sorted(seen) == sorted(["ace", "bread", "hanami", CLIP]) and page["total"] == 4


def test_suggestions_complete_words_of_titles_people_and_games(shared: Web) -> None:
    texts = [each["text"] for each in shared.ask("GET", "/search/suggest", params={"q": "valo"})["items"]]
    assert texts[0] == "Valorant" and "Valorant ace on Haven" in texts
    assert shared.ask("GET", "/search/suggest", params={"q": "花"})["items"]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"limit": 0}, "limit"), ({"limit": 101}, "limit"), ({"offset": 10_001}, "offset"), ({"offset": -1}, "offset"),
        ({"mode": "guess"}, "mode"), ({"sort": "best"}, "sort"), ({"kind": "song"}, "kind"),
        ({"min_votes": 0}, "min_votes"), ({"created_from": "2026-01-01T00:00:00"}, "created_from"),
        ({"created_to": "0001-01-01T00:00:00+14:00"}, "created_to"),
        ({"q": "x" * 1_001}, "q"), ({"color": "red"}, "color"), ({"game_id": "x" * 201}, "game_id"),
    ],
)  # fmt: skip
def test_a_wrong_question_is_answered_with_the_field_at_fault(shared: Web, asked: dict[str, Any], field: str) -> None:
    assert field in [each["field"] for each in shared.ask("GET", "/search", 422, params=asked)["errors"]]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("name", ["q", "game_id", "tags", "language"])
def test_hostile_text_gets_an_answer_or_a_422(shared: Web, name: str, text: str) -> None:
    for path in ("/search", "/search/suggest"):
        asked = {name: text} if path == "/search" else {"q": text}
        assert shared.client.get(path, params=asked).status_code in (200, 422), text
    assert shared.client.post("/videos/ace/vote", json={"user_id": text, "value": 2}).status_code == 422


def test_half_of_a_surrogate_pair_is_refused_before_it_reaches_the_database(shared: Web) -> None:
    body = b'{"user_id": "\\ud800", "value": 1}'
    answer = shared.client.post("/videos/ace/vote", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422


def test_votes_comments_and_favourites_are_counted_once_a_user_and_sort(web: Web) -> None:
    for value in (1, 1, -1, 1):
        counts = web.ask("POST", "/videos/ace/vote", json={"user_id": "ada", "value": value})
    assert counts["votes"] == 1
    web.ask("POST", "/videos/ace/vote", json={"user_id": "bea", "value": 1})
    web.ask("POST", f"/clips/{CLIP}/vote", json={"user_id": "bea", "value": -1})
    web.ask("POST", "/videos/ace/comments", 201, json={"user_id": "bea", "text": "What a shot."})
    web.ask("POST", "/videos/ace/favourite", json={"user_id": "bea"})
    top = web.ask("GET", "/search", params={"sort": "popular"})["items"][0]
    assert (top["id"], top["votes"], top["comments"], top["favourites"]) == ("ace", 2, 1, 1)
    assert web.keys(min_votes=2) == ["video/ace"]


def test_another_title_is_found_at_once_and_alone_is_made_anew(web: Web) -> None:
    before, asked = web.world.rows_of_index(), len(web.world.provider.asked)
    changed = web.ask("PATCH", "/videos/hanami", json={"title": "Cherry blossoms by night", "tags": ["spring"]})
    assert changed["title"] == "Cherry blossoms by night" and changed["tags"] == ["spring"]
    assert web.keys(q="cherry", mode="text") == ["video/hanami"] and web.keys(tags="Spring") == ["video/hanami"]
    after = web.world.rows_of_index()
    assert {key for key in after if after[key] != before[key]} == {"video/hanami"}
    assert sum("Cherry" in text for text in web.world.provider.asked[asked:]) == 1


def test_a_deleted_video_is_nowhere(tmp_path: Path) -> None:
    web = Web(made(tmp_path), clips)
    clip = web.ask("GET", f"/viral-clip/clips/{CLIP}")
    job = web.ask("POST", f"/viral-clip/clips/{CLIP}/exports", 201)["job"]
    with web.world.database.write() as session:
        session.add(
            ClipExport(
                id=EXPORT, clip_id=CLIP, version="1", status="ready", aspect_ratio="9:16", subtitles_burned=False,
                start_time_sec=0.0, end_time_sec=9.0, created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
    for path in (f"/viral-clip/clip-batches/{clip['clip_batch_id']}/clips", f"/jobs/{job['id']}"):
        web.ask("GET", path)
    web.ask("DELETE", "/videos/bread", 204)
    for path in (f"/viral-clip/clips/{CLIP}", f"/viral-clip/clip-batches/{clip['clip_batch_id']}/clips",
                 f"/jobs/{job['id']}", f"/media/clips/{CLIP}/thumbnail", f"/media/exports/{EXPORT}/video",
                 f"/media/exports/{EXPORT}/subtitles", "/viral-clip/videos/bread/clip-batches"):  # fmt: skip
        assert "There is no" in web.ask("GET", path, 404)["detail"]
    web.ask("PATCH", f"/viral-clip/clips/{CLIP}", 404, json={"title": "Mine"})
    assert {*web.keys()} == {"video/ace", "video/hanami"} and web.keys(q="sourdough", mode="text") == []
    for method, path in (("GET", "/videos/bread"), ("GET", "/videos/bread/similar"), ("DELETE", "/videos/bread"),
                         ("GET", f"/clips/{CLIP}/similar"), ("GET", "/media/videos/bread")):  # fmt: skip
        web.ask(method, path, 404)
    web.ask("POST", "/videos/bread/vote", 404, json={"user_id": "ada", "value": 1})


def test_prometheus_reads_what_was_asked_and_what_the_index_holds(web: Web) -> None:
    web.keys(q="ace")
    web.keys(q="nothing has this word", mode="text")
    text = web.client.get("/metrics").text
    for line in (
        'clipfarm_search_query_duration_seconds_count{kind="hybrid"} 1.0',
        'clipfarm_search_zero_results_total{kind="text"} 1.0',
        "clipfarm_search_index_documents 4.0",
        'clipfarm_embedding_backlog_items{modality="discovery"} 0.0',
        'http_requests_total{method="GET",route="/search",status="200"} 2.0',
    ):
        assert line in text.splitlines(), text


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_breaks_the_search(web: Web, mode: GenerationMode) -> None:
    """What the document allows and what it does not, with ids that are made up and with ids that are there."""
    document, called = schemathesis.openapi.from_asgi("/openapi.json", web.app), 0
    for found in document.get_all_operations():
        operation = found.ok()
        with suppress(Unsatisfiable):  # an operation that takes nothing cannot be asked wrongly
            settings(
                max_examples=10, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
            )(given(case=operation.as_strategy(generation_mode=mode))(_call))()
            called += 1
    assert called >= 10


def _call(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)
    known = {"video_id": "ace", "clip_id": CLIP}
    if case.path_parameters and case.method != "DELETE":
        case.path_parameters = {**case.path_parameters, **{n: v for n, v in known.items() if n in case.path_parameters}}
        case.call_and_validate(checks=CHECKS)
