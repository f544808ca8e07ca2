"""Batches live in the database: nothing is lost or doubled, whoever dies, and what a person did stays."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from clipfarm_assets.clips import book, jobs, work
from clipfarm_assets.clips.book import Edit
from clipfarm_assets.clips.model import BatchConfig, LengthPreset, clip_id
from clipfarm_assets.database.clip_tables import Clip, ClipBatch, Job
from clipfarm_assets.database.connect import Database
from clipfarm_assets.errors import ClipError, ClipMissing, DatabaseChanged

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + book.LEASE + timedelta(seconds=1)


def clip(batch_id: str, start: int, end: int, score: float | None = 5.0, title: str = "A title") -> Clip:
    return Clip(
        id=clip_id(batch_id, start * 1000, end * 1000), clip_batch_id=batch_id, start_time_sec=start, end_time_sec=end,
        duration_sec=end - start, title=title, description="", viral_score=score, grade_hook=None, grade_flow="B",
        grade_value="A", grade_trend=None, score_parts={}, language="en", status="candidate", thumbnail_path=None,
        transcript_preview="", hashtags=[], created_at=NOW, updated_at=NOW,
    )  # fmt: skip


def ready(database: Database, *spans: tuple[int, int], batch_id: str = "b1") -> list[str]:
    """A batch with these clips; their ids."""
    book.create_batch(database, "v1", BatchConfig(), NOW, batch_id=batch_id)
    return score_again(database, *spans, batch_id=batch_id)


def score_again(database: Database, *spans: tuple[int, int], batch_id: str = "b1", title: str = "A title") -> list[str]:
    if book.get_batch(database, batch_id).status != "draft":
        book.reopen_batch(database, batch_id, NOW)
    assert book.take_batch(database, batch_id, "w", NOW)
    clips = [clip(batch_id, *span, title=title) for span in spans]
    ids = [each.id for each in clips]
    book.finish_batch(database, batch_id, "w", clips, NOW)
    return ids


def test_a_new_batch_waits_with_its_job(database: Database) -> None:
    batch, job = book.create_batch(database, "v1", BatchConfig(include_specific_moments=" the crash "), NOW)
    assert (batch.status, job.status, job.clip_batch_id) == ("draft", "queued", batch.id)
    assert batch.config_json["include_specific_moments"] == "the crash"
    assert [each.id for each in book.due_batches(database, NOW)] == [batch.id]


def test_the_same_id_again_is_the_same_batch_and_another_wish_under_it_is_refused(database: Database) -> None:
    first = book.create_batch(database, "v1", BatchConfig(), NOW, batch_id=book.default_batch_id("v1"))
    again = book.create_batch(database, "v1", BatchConfig(), LATER, batch_id=book.default_batch_id("v1"))
    assert [row.id for row in first] == [row.id for row in again]
    with pytest.raises(ClipError, match="another configuration"):
        other = BatchConfig(clip_length_preset=LengthPreset.UP_TO_30)
        book.create_batch(database, "v1", other, NOW, batch_id=first[0].id)


def test_fifty_at_once_lose_nothing_and_double_nothing(database: Database) -> None:
    """Every second one asks for the same batch."""
    ids = ["same" if number % 2 else f"own-{number}" for number in range(50)]
    failed: list[BaseException] = []

    def create(batch_id: str) -> None:
        try:
            book.create_batch(database, "v1", BatchConfig(), NOW, batch_id=batch_id)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=create, args=(batch_id,)) for batch_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        batches = session.scalars(select(ClipBatch.id)).all()
        assert session.scalar(select(func.count()).select_from(Job)) == 26
    assert failed == [] and sorted(batches) == sorted(set(ids))


def test_of_many_takers_one_gets_the_batch(database: Database) -> None:
    batch, _ = book.create_batch(database, "v1", BatchConfig(), NOW)
    got: list[str] = []

    def take(owner: str) -> None:
        if book.take_batch(database, batch.id, owner, NOW):
            got.append(owner)

    threads = [threading.Thread(target=take, args=(f"w{number}",)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1 and book.get_batch(database, batch.id).owner == got[0]


def test_the_batch_of_a_dead_worker_is_taken_when_its_lease_is_over_and_it_cannot_write_any_more(
    database: Database,
) -> None:
    batch, job = book.create_batch(database, "v1", BatchConfig(), NOW)
    assert book.take_batch(database, batch.id, "dead", NOW)
    assert book.due_batches(database, NOW) == [] and book.take_batch(database, batch.id, "next", NOW) is None
    assert [each.id for each in book.due_batches(database, LATER)] == [batch.id]
    assert book.take_batch(database, batch.id, "next", LATER)
    with pytest.raises(DatabaseChanged):
        book.finish_batch(database, batch.id, "dead", [clip(batch.id, 0, 20)], LATER)
    assert book.list_clips(database, batch.id) == []
    book.finish_batch(database, batch.id, "next", [clip(batch.id, 0, 20)], LATER)
    assert book.get_batch(database, batch.id).status == "ready"
    assert jobs.get_job(database, job.id).status == "done"


def test_a_lease_that_is_renewed_lasts(database: Database) -> None:
    batch, _ = book.create_batch(database, "v1", BatchConfig(), NOW)
    book.take_batch(database, batch.id, "w", NOW)
    book.renew_lease(database, batch.id, "w", NOW + timedelta(minutes=10))
    assert book.due_batches(database, LATER) == []


def test_a_batch_that_kills_its_worker_three_times_fails_and_can_be_asked_for_again(database: Database) -> None:
    batch, job = book.create_batch(database, "v1", BatchConfig(), NOW)
    at = NOW
    for _ in range(book.MAX_TRIES):
        assert book.take_batch(database, batch.id, "w", at)
        at += book.LEASE + timedelta(seconds=1)
    assert book.take_batch(database, batch.id, "w", at) is None
    found = book.get_batch(database, batch.id)
    assert found.status == "failed" and "died 3 times" in (found.error_message or "")
    assert jobs.get_job(database, job.id).status == "failed" and book.due_batches(database, at) == []
    again, new_job = book.reopen_batch(database, batch.id, at)
    assert (again.status, again.error_message, new_job.status) == ("draft", None, "queued") and new_job.id != job.id
    assert book.take_batch(database, batch.id, "w", at)


def test_what_is_given_back_costs_no_try(database: Database) -> None:
    batch, _ = book.create_batch(database, "v1", BatchConfig(), NOW)
    for _ in range(book.MAX_TRIES + 1):
        assert book.take_batch(database, batch.id, "w", NOW)
        book.give_back(database, batch.id, "w", "The store does not answer.", NOW)
    assert book.get_batch(database, batch.id).error_message == "The store does not answer."
    assert book.take_batch(database, batch.id, "w", NOW)


def test_clips_come_best_first_and_without_a_score_last(database: Database) -> None:
    book.create_batch(database, "v1", BatchConfig(), NOW, batch_id="b1")
    book.take_batch(database, "b1", "w", NOW)
    clips = [clip("b1", 0, 20, 3.0), clip("b1", 20, 40, None), clip("b1", 40, 60, 9.1), clip("b1", 60, 80, 3.0)]
    book.finish_batch(database, "b1", "w", clips, NOW)
    found = [(each.viral_score, each.start_time_sec) for each in book.list_clips(database, "b1")]
    assert found == [(9.1, 40), (3.0, 0), (3.0, 60), (None, 20)]
    with pytest.raises(ClipMissing):
        book.list_clips(database, "b2")


def test_batches_come_newest_first_and_only_the_videos_own(database: Database) -> None:
    for number, video in enumerate(["v1", "v2", "v1"]):
        book.create_batch(database, video, BatchConfig(), NOW + timedelta(seconds=number), batch_id=f"b{number}")
    assert [each.id for each in book.list_batches(database, "v1")] == ["b2", "b0"]
    assert [each.id for each in book.list_batches(database, "v1", most=1, skip=1)] == ["b0"]


def test_scoring_again_keeps_ids_and_what_a_person_did_and_removes_what_is_gone(database: Database) -> None:
    first, second, third, fourth = ready(database, (0, 20), (20, 40), (40, 60), (60, 80))
    book.edit_clip(database, second, Edit(title="Mine", start_sec=21.5), NOW)
    with database.write() as session:
        session.get_one(Clip, third).status = "exported"
    book.set_thumbnail(database, first, 0, 20, "key")
    score_again(database, (0, 20), (20, 40), (45, 70), (80, 100), title="New")
    found = {each.id: each for each in book.list_clips(database, "b1")}
    assert set(found) == {first, second, third, clip_id("b1", 80_000, 100_000)}  # 45-70 covers the exported 40-60
    assert (found[first].title, found[first].thumbnail_path) == ("New", "key")
    mine = found[second]
    assert (mine.title, mine.start_time_sec, mine.duration_sec, mine.status) == ("Mine", 21.5, 18.5, "edited")
    assert (found[third].title, found[third].status) == ("A title", "exported") and fourth not in found


def test_asking_again_while_a_batch_waits_makes_no_second_job(database: Database) -> None:
    batch, job = book.create_batch(database, "v1", BatchConfig(), NOW)
    assert book.reopen_batch(database, batch.id, NOW)[1].id == job.id
    jobs.follow_job(database, job.id, NOW, status="failed", error_message="The run failed to start.")
    again, another = book.reopen_batch(database, batch.id, NOW)
    assert (again.status, another.status) == ("draft", "queued") and another.id != job.id


def test_a_clip_that_waits_for_its_export_is_not_taken_away(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    job = jobs.create_export_job(database, only, NOW)
    score_again(database, (100, 120))
    assert {each.id for each in book.list_clips(database, "b1")} == {only, clip_id("b1", 100_000, 120_000)}
    assert jobs.get_job(database, job.id).status == "queued"


def test_an_export_that_kills_its_worker_three_times_fails_and_can_be_asked_for_again(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    job = jobs.create_export_job(database, only, NOW)
    for number in range(book.MAX_TRIES):
        assert [each.job_id for each in work.waiting_exports(database)] == [job.id]
        assert work.take_export(database, job.id, f"run-{number}", "video-1", NOW)
        assert work.release(database, [f"run-{number}"], NOW) == 1
    [export] = work.list_exports(database, only)
    found = jobs.get_job(database, job.id)
    assert (found.status, export.status, work.waiting_exports(database)) == ("failed", "failed", [])
    assert "died 3 times" in (found.error_message or "") and found.error_message == export.error_message
    again = jobs.create_export_job(database, only, NOW)
    plan = work.take_export(database, again.id, "run-9", "video-1", NOW)
    assert plan is not None
    work.finish_export(database, plan, work.ExportedFile("clip.mp4", None, 1080, 1920, 10, ""), NOW)
    assert jobs.get_job(database, again.id).status == "done" and jobs.get_job(database, job.id).status == "failed"


def test_an_export_that_the_platform_stopped_costs_no_try(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    job = jobs.create_export_job(database, only, NOW)
    for _ in range(book.MAX_TRIES + 1):
        plan = work.take_export(database, job.id, "run", "video-1", NOW)
        assert plan is not None
        work.give_back_export(database, plan, "The store does not answer.", NOW)
        assert work.release(database, ["run"], NOW) == 0
    found, [export] = jobs.get_job(database, job.id), work.list_exports(database, only)
    assert (found.status, found.error_message, found.tries) == ("queued", "The store does not answer.", 0)
    assert export.status == "queued"


def test_batches_never_touch_each_others_clips(database: Database) -> None:
    ready(database, (0, 20), batch_id="b1")
    other = ready(database, (0, 20), (20, 40), batch_id="b2")
    score_again(database, (50, 70), batch_id="b1")
    assert [each.id for each in book.list_clips(database, "b2")] == other


def test_an_edit_that_changes_no_title_and_no_time_is_none(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    changed = book.edit_clip(database, only, Edit(title="A  title", description="New", start_sec=0.0), NOW)
    assert (changed.status, changed.description) == ("candidate", "New")


def test_moved_edges_want_a_new_thumbnail(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    assert book.set_thumbnail(database, only, 0, 20, "old")
    assert book.edit_clip(database, only, Edit(end_sec=19.0), NOW).thumbnail_path is None
    assert not book.set_thumbnail(database, only, 0, 20, "of the span before")
    assert book.get_clip(database, only).thumbnail_path is None


@pytest.mark.parametrize(
    "edit",
    [
        Edit(title=""), Edit(title="x" * 61), Edit(start_sec=-1.0), Edit(start_sec=20.0), Edit(end_sec=0.0),
        Edit(end_sec=100.5), Edit(end_sec=float("nan")), Edit(description="x" * 5001),
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_changes_nothing(database: Database, edit: Edit) -> None:
    (only,) = ready(database, (0, 20))
    with pytest.raises(ClipError):
        book.edit_clip(database, only, edit, NOW, video_duration_sec=100.0)
    found = book.get_clip(database, only)
    assert (found.title, found.start_time_sec, found.end_time_sec, found.status) == ("A title", 0, 20, "candidate")


def test_a_final_batch_refuses_every_change(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    assert book.set_final(database, "b1", NOW).status == "final"
    assert book.set_final(database, "b1", NOW).status == "final"
    for change in (
        lambda: book.edit_clip(database, only, Edit(title="Another"), NOW),
        lambda: book.reopen_batch(database, "b1", NOW),
    ):
        with pytest.raises(ClipError, match="final"):
            change()
    assert book.take_batch(database, "b1", "w", NOW) is None


def test_only_a_ready_batch_becomes_final(database: Database) -> None:
    batch, _ = book.create_batch(database, "v1", BatchConfig(), NOW)
    with pytest.raises(ClipError, match="draft"):
        book.set_final(database, batch.id, NOW)
    with pytest.raises(ClipMissing):
        book.set_final(database, "none", NOW)


def test_a_job_is_followed_to_its_end_and_stays_there(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    job = jobs.create_export_job(database, only, NOW)
    jobs.follow_job(database, job.id, NOW, status="running", progress=0.5, dagster_run_id="r1")
    assert jobs.follow_job(database, job.id, NOW, progress=0.2).progress == 0.5
    done = jobs.follow_job(database, job.id, LATER, status="failed", error_message="No space left.")
    assert (done.status, done.error_message, done.finished_at, done.started_at) == (
        "failed",
        "No space left.",
        LATER,
        NOW,
    )
    assert jobs.follow_job(database, job.id, LATER, status="running", progress=1.0).status == "failed"
    with pytest.raises(ClipMissing):
        jobs.get_job(database, "none")


def test_a_forgotten_video_leaves_nothing_behind(database: Database) -> None:
    (only,) = ready(database, (0, 20))
    jobs.create_export_job(database, only, NOW)
    book.create_batch(database, "v2", BatchConfig(), NOW, batch_id="other")
    assert book.forget_video(database, "v1") == 1
    assert book.forget_video(database, "v1") == 0
    with database.read() as session:
        assert [each.id for each in session.scalars(select(ClipBatch))] == ["other"]
        assert session.scalars(select(Clip)).all() == []
        assert [each.clip_batch_id for each in session.scalars(select(Job))] == ["other"]
