"""What a page or a program does with clips over HTTP."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from clipfarm_assets.clips.book import get_clip, reopen_batch
from clipfarm_assets.clips.jobs import get_job
from clipfarm_assets.clips.work import ExportedFile, finish_export, release, take_export
from clipfarm_assets.database.connect import Database
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.http.clip_api import PICTURE, Api

NOWHERE = "7bd7f0fa-22f3-44fb-8f93-29e666e276e3"  # the same in every process that collects the tests


@pytest.fixture
def api(database: Database, local_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.chdir(tmp_path)  # no .env, no project
    return Api(database, local_store)


def now() -> datetime:
    return datetime.now(UTC)


def test_a_batch_is_asked_for_with_all_that_the_contract_names_and_answered_at_once(api: Api) -> None:
    body = {
        "video_type": "podcast", "aspect_ratio": "1:1", "clip_length_preset": "30_60", "subtitle_enabled": False,
        "processing_timeframe_start": 5, "processing_timeframe_end": 90.5, "include_specific_moments": " the crane ",
    }  # fmt: skip
    found = api.post("/viral-clip/videos/v1/clip-batches", body)
    assert (found["batch"]["status"], found["batch"]["video_source_id"]) == ("draft", "v1")
    assert found["batch"]["config_json"] == {
        "video_type": "podcast", "aspect_ratio": "1:1", "clip_length_preset": "30_60", "subtitle_enabled": False,
        "processing_timeframe": {"start": 5, "end": 90.5}, "include_specific_moments": "the crane",
    }  # fmt: skip
    assert (found["job"]["status"], found["job"]["dagster_run_id"]) == ("queued", "run-1")
    assert api.get(f"/jobs/{found['job']['id']}") == found["job"]
    assert api.launches.asked == ["score_batch"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("video_type", "opera"),
        ("aspect_ratio", "4:3"),
        ("clip_length_preset", "0_31"),
        ("subtitle_enabled", "perhaps"),
        ("processing_timeframe_start", -1),
        ("processing_timeframe_end", 0),
        ("processing_timeframe_end", "NaN"),
        ("include_specific_moments", "x" * 2001),
        ("include_specific_moments", "a\0b"),
        ("lenght", "30_60"),
    ],
)
def test_a_wrong_value_is_refused_and_its_field_named_and_nothing_is_made(api: Api, field: str, value: object) -> None:
    problem = api.post("/viral-clip/videos/v1/clip-batches", {field: value}, 422)
    assert [each["field"] for each in problem["errors"]] == [field]
    assert api.get("/viral-clip/videos/v1/clip-batches")["total"] == 0


def test_a_timeframe_that_ends_before_it_starts_is_refused(api: Api) -> None:
    body = {"processing_timeframe_start": 20, "processing_timeframe_end": 10}
    problem = api.post("/viral-clip/videos/v1/clip-batches", body, 422)
    assert problem["errors"][0]["field"] == "processing_timeframe_end"


@pytest.mark.parametrize("video_id", ["v9", "..", "a b", "x" * 500, "%00"])
def test_an_unknown_video_has_no_batches(api: Api, video_id: str) -> None:
    path = f"/viral-clip/videos/{video_id}/clip-batches"
    assert api.client.post(path, json={}).status_code == 404
    assert api.client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [f"/viral-clip/clip-batches/{NOWHERE}/clips", f"/viral-clip/clips/{NOWHERE}", f"/jobs/{NOWHERE}",
     f"/media/clips/{NOWHERE}/thumbnail", f"/media/exports/{NOWHERE}/video"],
)  # fmt: skip
def test_what_is_not_there_is_a_404(api: Api, path: str) -> None:
    assert NOWHERE in api.get(path, 404)["detail"]


def test_batches_of_a_video_come_newest_first_by_pages(api: Api) -> None:
    ids = [api.new_batch() for _ in range(5)]
    api.new_batch("v2")
    seen, path = [], "/viral-clip/videos/v1/clip-batches?limit=2"
    while path:
        page = api.get(path)
        assert page["total"] == 5
        seen += [batch["id"] for batch in page["items"]]
        path = page["next"]
    assert seen == ids[::-1]
    for wrong in ("limit=0", "limit=501", "offset=-1", "limit=x"):
        problem = api.get(f"/viral-clip/videos/v1/clip-batches?{wrong}", 422)
        assert problem["errors"][0]["field"] == wrong.partition("=")[0]


def test_clips_come_best_first_with_grades_and_their_details_say_why(api: Api) -> None:
    found = api.scored()
    scores = [clip["viral_score"] for clip in found]
    assert len(found) >= 5 and scores == sorted(scores, reverse=True)
    detail = api.get(f"/viral-clip/clips/{found[0]['id']}")
    assert {name: detail[name] for name in found[0] if name not in ("thumbnail_path", "thumbnail_url")} == {
        name: value for name, value in found[0].items() if name not in ("thumbnail_path", "thumbnail_url")
    }
    assert detail["transcript_preview"] and detail["video_source_id"] == "v1"
    assert detail["score_parts"]["local"]["parts"]["hook"]["evidence"]
    assert detail["grade_trend"] is None and detail["score_parts"]["missing"]["local.trend"]
    picture = api.client.get(detail["thumbnail_url"], headers={"Range": "bytes=0-1"})
    assert (picture.status_code, picture.content) == (206, PICTURE[:2])
    assert picture.headers["content-type"] == "image/jpeg"


def test_what_a_person_changes_is_edited_and_survives_a_new_score(api: Api) -> None:
    batch_id = api.new_batch()
    clip, other = api.scored(batch_id)[:2]
    change = {"title": "  My   own title ", "start_time_sec": clip["start_time_sec"] + 0.5, "hashtags": ["#mine"]}
    changed = api.patch(f"/viral-clip/clips/{clip['id']}", change)
    assert (changed["title"], changed["status"], changed["hashtags"]) == ("My own title", "edited", ["#mine"])
    assert changed["duration_sec"] == pytest.approx(clip["duration_sec"] - 0.5)
    assert changed["thumbnail_url"] is None and api.launches.asked == ["score_batch"] * 2
    reopen_batch(api.database, batch_id, now())
    again = {each["id"]: each for each in api.scored(batch_id)}
    assert again[clip["id"]]["title"] == "My own title" and again[clip["id"]]["status"] == "edited"
    assert again[clip["id"]]["start_time_sec"] == change["start_time_sec"]
    assert again[other["id"]]["status"] == "candidate"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "x" * 61}, "title"),
        ({"start_time_sec": 1e6}, "start_time_sec"),
        ({"start_time_sec": 30, "end_time_sec": 20}, "end_time_sec"),
        ({"end_time_sec": 9_999}, "end_time_sec"),
        ({"viral_score": 10}, "viral_score"),
        ({"hashtags": ["a\0"]}, "hashtags.0"),
    ],
)
def test_a_change_that_cannot_be_names_its_field_and_changes_nothing(
    api: Api, change: dict[str, object], field: str
) -> None:
    clip = api.scored()[0]
    problem = api.patch(f"/viral-clip/clips/{clip['id']}", change, 422)
    assert [each["field"] for each in problem["errors"]] == [field]
    assert api.get(f"/viral-clip/clips/{clip['id']}")["title"] == clip["title"]


def test_a_final_batch_cannot_be_changed_any_more(api: Api) -> None:
    batch_id = api.new_batch()
    api.post(f"/viral-clip/clip-batches/{batch_id}/final", status=409)
    clip = api.scored(batch_id)[0]
    assert api.post(f"/viral-clip/clip-batches/{batch_id}/final", status=200)["status"] == "final"
    assert "final" in api.patch(f"/viral-clip/clips/{clip['id']}", {"title": "Late"}, 409)["detail"]


def test_where_dagster_cannot_be_reached_the_batch_stays_a_draft_and_the_answer_says_so(api: Api) -> None:
    api.launches.up = False
    found = api.post("/viral-clip/videos/v1/clip-batches", {})
    assert found["batch"]["status"] == "draft"
    assert found["job"]["dagster_run_id"] is None and "cannot be reached" in found["job"]["error_message"]
    api.scored(found["batch"]["id"])
    job = api.get(f"/jobs/{found['job']['id']}")
    assert (job["status"], job["progress"], job["error_message"]) == ("done", 1.0, None)


def test_an_export_is_followed_by_its_job_to_its_file(api: Api) -> None:
    clip = api.scored()[0]
    job = api.post(f"/viral-clip/clips/{clip['id']}/exports")["job"]
    assert (job["kind"], job["status"], job["export"]) == ("export_clip", "queued", None)
    plan = take_export(api.database, job["id"], "run", "video-1", now())
    assert plan is not None
    running = api.get(f"/jobs/{job['id']}")
    assert (running["status"], running["export"]["status"]) == ("running", "running")
    api.store.put("clip.mp4", b"0123456789")
    api.store.put("clip.srt", b"1\n")
    finish_export(api.database, plan, ExportedFile("clip.mp4", "clip.srt", 1080, 1920, 10, "0" * 64), now())
    done = api.get(f"/jobs/{job['id']}")
    assert (done["status"], done["progress"], done["export"]["status"]) == ("done", 1.0, "ready")
    part = api.client.get(done["export"]["video_url"], headers={"Range": "bytes=3-5"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"345", "video/mp4")
    assert api.client.get(done["export"]["subtitles_url"]).content == b"1\n"
    detail = api.get(f"/viral-clip/clips/{clip['id']}")
    assert detail["status"] == "exported" and detail["exports"][0]["id"] == plan.export_id


def test_the_same_export_is_made_once_and_another_one_after_a_change(api: Api) -> None:
    clip_id = api.scored()[0]["id"]

    def take() -> bool:
        job = api.post(f"/viral-clip/clips/{clip_id}/exports")["job"]
        plan = take_export(api.database, job["id"], "run", "video-1", now())
        assert plan is not None
        made = None if plan.is_made else ExportedFile("clip.mp4", None, 1080, 1920, 10, "0" * 64)
        finish_export(api.database, plan, made, now())
        return plan.is_made

    assert [take(), take()] == [False, True]
    api.patch(f"/viral-clip/clips/{clip_id}", {"title": "Another"})
    assert get_clip(api.database, clip_id).status == "edited"
    assert take()  # the title does not shape the file
    end = get_clip(api.database, clip_id).end_time_sec
    api.patch(f"/viral-clip/clips/{clip_id}", {"end_time_sec": end - 1})
    assert not take()
    assert len(api.get(f"/viral-clip/clips/{clip_id}")["exports"]) == 2


def test_an_export_whose_worker_died_waits_again_and_the_dead_one_cannot_end_it(api: Api) -> None:
    clip_id = api.scored()[0]["id"]
    job_id = api.post(f"/viral-clip/clips/{clip_id}/exports")["job"]["id"]
    dead = take_export(api.database, job_id, "dead", "video-1", now())
    assert dead is not None and take_export(api.database, job_id, "next", "video-1", now()) is None
    assert release(api.database, ["dead"], now()) == 1
    assert get_job(api.database, job_id).status == "queued"
    plan = take_export(api.database, job_id, "next", "video-1", now())
    finish_export(api.database, dead, ExportedFile("late.mp4", None, 1, 1, 1, ""), now())
    assert get_job(api.database, job_id).status == "running"
    assert plan is not None
    finish_export(api.database, plan, ExportedFile("clip.mp4", None, 1080, 1920, 10, ""), now())
    assert get_job(api.database, job_id).status == "done"


def test_the_documentation_has_an_example_of_every_body_and_every_answer_that_may_come(api: Api) -> None:
    document = api.get("/openapi.json")
    ours = {path: item for path, item in document["paths"].items() if path.startswith(("/viral-clip", "/jobs"))}
    assert set(ours) == {
        "/viral-clip/videos/{video_id}/clip-batches", "/viral-clip/clip-batches/{batch_id}/clips",
        "/viral-clip/clip-batches/{batch_id}/final", "/viral-clip/clips/{clip_id}",
        "/viral-clip/clips/{clip_id}/exports", "/jobs/{job_id}",
    }  # fmt: skip
    for item in ours.values():
        for operation in item.values():
            assert {"404", "422", "503"} <= set(operation["responses"]) and operation["description"]
    assert document["components"]["schemas"]["NewBatch"]["properties"]["clip_length_preset"]["examples"] == ["30_60"]
