"""`clipfarm clips` as a person types it, over a batch that has been made; the web server of Dagster is down."""

import io
import json
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from clipfarm_assets.cli import home, main
from clipfarm_assets.clips.book import create_batch, default_batch_id, get_batch, list_batches, list_clips
from clipfarm_assets.clips.inputs import default_config
from clipfarm_assets.clips.jobs import get_job
from clipfarm_assets.clips.scoring import score_batch
from clipfarm_assets.clips.work import ExportedFile, finish_export, take_export
from clipfarm_assets.database.connect import Database
from clipfarm_assets.graph.metadata import parse
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.settings import Settings, load_settings, setting_variable
from clipfarm_assets_tests.clips.videos import inputs

TALK = inputs().video_id


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A project in the current folder, with a talk whose default batch is made; its database."""
    for name in [*map(setting_variable, Settings.model_fields), "DAGSTER_HOME", home.STORAGE]:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    (tmp_path / "dagster.yaml").touch()
    (tmp_path / "rows.csv").write_text(f"video_id,url,title\n{TALK},talk.mp4,A talk\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("CLIPFARM_METADATA", "rows.csv")
    monkeypatch.setenv("CLIPFARM_DAGSTER_URL", "http://127.0.0.1:9")
    workshop = Workshop(load_settings())
    workshop.save_tables(parse(workshop))
    config = default_config(Video(TALK, "talk.mp4"))
    create_batch(workshop.database, TALK, config, now(), batch_id=default_batch_id(TALK))
    make(workshop.database)
    return workshop.database


def now() -> datetime:
    return datetime.now(UTC)


def make(database: Database, batch_id: str = default_batch_id(TALK)) -> None:
    """What a worker of the graph does."""
    assert score_batch(database, batch_id, "worker", inputs(), None, now) is not None


def clips(*arguments: str, code: int = 0) -> str:
    """What the command prints; its error where it is to fail."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setattr(sys, "argv", ["clipfarm", "clips", *arguments])
        with redirect_stderr(io.StringIO()) as err:
            try:
                main.app()
                ended: object = 0
            except SystemExit as stop:
                ended = stop.code or 0
    assert ended == code, (arguments, out.getvalue(), err.getvalue())
    return err.getvalue() if code else out.getvalue()


def as_json(*arguments: str) -> Any:
    return json.loads(clips(*arguments, "--format", "json"))


def id_after(what: str, printed: str) -> str:
    found = re.search(rf"^{what} ([0-9a-f-]{{36}})$", printed, re.MULTILINE)
    assert found, printed
    return found[1]


def test_a_batch_its_clips_and_their_evidence_are_shown_best_first(database: Database) -> None:
    [batch] = as_json("list", TALK)
    assert (batch["id"], batch["status"]) == (default_batch_id(TALK), "ready")
    line = next(line for line in clips("list", TALK).splitlines() if batch["id"][:8] in line)
    assert "auto_0_60, 9:16, talking_head" in line and " ready " in line
    found = as_json("show", batch["id"][:8])
    scores = [clip["viral_score"] for clip in found]
    assert len(found) >= 5 and scores == sorted(scores, reverse=True)
    shown = clips("show", batch["id"])
    assert [line.split()[0] for line in shown.splitlines()[2:]] == [clip["id"][:8] for clip in found]
    assert f"{len(found)} clips" in shown and found[0]["title"] in shown and f" {scores[0]:.1f} " in shown
    best = found[0]["score_parts"]["local"]["parts"]["hook"]["evidence"][0]
    for printed in (clips("show", batch["id"], "--evidence"), clips("clip", found[0]["id"][:8])):
        assert best["what"] in printed and f"{best['points']:+.1f}" in printed
        assert "No language model is configured." in printed
    assert as_json("clip", found[0]["id"]) == {**found[0], "exports": []}


def test_a_new_batch_asks_for_what_was_typed_and_waits_for_whoever_makes_it(database: Database) -> None:
    typed = ("--type", "podcast", "--ratio", "1:1", "--length", "0_30", "--no-subtitles", "--from", "5", "--to", "60.5")
    printed = clips("new", TALK, *typed, "--moments", " the [crane] ")
    assert "it cannot be reached" in printed and "`clipfarm run` does it now" in printed
    batch = get_batch(database, id_after("batch", printed))
    assert batch.config_json == {
        "video_type": "podcast", "aspect_ratio": "1:1", "clip_length_preset": "0_30", "subtitle_enabled": False,
        "processing_timeframe": {"start": 5, "end": 60.5}, "include_specific_moments": "the [crane]",
    }  # fmt: skip
    assert "0_30, 1:1, podcast, 5-60.5 s, the [crane]" in clips("list", TALK)
    job_id = id_after("job", printed)
    assert "score_batch: queued, 0%" in clips("job", job_id[:13]) and "cannot be reached" in clips("job", job_id)
    make(database, batch.id)
    assert clips("job", job_id) == "score_batch: done, 100%\nThe specific moments were not looked for: " + (
        "that needs a language model, and none is configured.\n"
    )
    assert "specific moments were not looked for" in clips("show", batch.id)
    assert all(clip["start_time_sec"] >= 5 and clip["end_time_sec"] <= 60.5 for clip in as_json("show", batch.id))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("new", "nobody"), "There is no video nobody"),
        (("new", TALK, "--length", "0_31"), "clip_length_preset"),
        (("new", TALK, "--type", "opera"), "video_type"),
        (("new", TALK, "--from", "20", "--to", "10"), "start must lie before end"),
        (("new", TALK, "--from", "-1"), "processing_timeframe"),
        (("show", "zz"), "There is no batch zz"),
        (("clip", "zz"), "There is no clip zz"),
        (("clip", ""), "Several ids begin with"),
        (("job", "%"), "There is no job %"),
        (("export", "zz"), "There is no clip zz"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_nothing_is_made(
    database: Database, typed: tuple[str, ...], said: str
) -> None:
    assert said in clips(*typed, code=2)
    assert len(list_batches(database, TALK)) == 1


def test_a_batch_is_scored_again_and_after_a_person_is_done_with_it_no_more(database: Database) -> None:
    batch_id = default_batch_id(TALK)
    before = [clip.id for clip in list_clips(database, batch_id)]
    id_after("job", clips("again", batch_id[:8]))
    assert get_batch(database, batch_id).status == "draft"
    assert "only one that is ready" in clips("final", batch_id, code=2)
    make(database)
    assert [clip.id for clip in list_clips(database, batch_id)] == before
    assert clips("final", batch_id[:8]) == f"{batch_id} is final\n"
    assert "final" in clips("again", batch_id, code=2)


def test_an_export_is_asked_for_followed_and_its_file_told(database: Database, tmp_path: Path) -> None:
    clip = list_clips(database, default_batch_id(TALK))[0]
    job_id = id_after("job", clips("export", clip.id[:8]))
    assert get_job(database, job_id).kind == "export_clip"
    plan = take_export(database, job_id, "run-7", "video-1", now())
    assert plan is not None
    assert clips("job", job_id) == "export_clip: running, 0%\nDagster run run-7\n"
    finish_export(database, plan, ExportedFile("clips/a.mp4", "clips/a.srt", 1080, 1920, 10, "0" * 64), now())
    where = str(tmp_path / "data" / "store" / "clips" / "a.mp4")
    assert where in clips("job", job_id) and where in clips("clip", clip.id)
    assert as_json("job", job_id)["status"] == "done"
    [export] = as_json("clip", clip.id)["exports"]
    assert (export["status"], export["video_path"]) == ("ready", "clips/a.mp4")
    assert re.search(rf"{clip.id[:8]} .* exported ", clips("show", default_batch_id(TALK)))
