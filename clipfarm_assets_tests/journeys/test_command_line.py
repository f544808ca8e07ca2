"""The `clipfarm` command: what it does, prints, and exits with."""

import csv
import io
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from clipfarm_assets_tests.journeys.conftest import run_clipfarm
from clipfarm_assets_tests.journeys.deployment import Deployment, Finished, counts, ledger_statuses, materializations

Clipfarm = Callable[..., Finished]
OF_THE_FILE = (
    *("raw_video", "raw_audio", "raw_text", "video_embedding", "audio_embedding", "text_embedding"),
    *("scene_segments", "segments", "segment_embedding", "scored_clips", "clip_thumbnails"),
)
OF_THE_ROW = ("enriched_metadata", "discovery_embedding")
STAGES = (*OF_THE_FILE, *OF_THE_ROW)


def _of_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.slow
def test_a_second_run_finds_nothing_to_do_and_a_third_makes_what_can_now_be_made(
    here: Deployment, clipfarm: Clipfarm
) -> None:
    here.add_videos(["good", "bad"], without_file=["bad"])
    ran = clipfarm("run")
    assert ran.code == 0, ran
    assert "bad.mp4" in ran.out
    with here.instance() as instance:
        for stage in OF_THE_FILE:
            assert materializations(instance, stage) == {"good": 1}
        for stage in OF_THE_ROW:
            assert materializations(instance, stage) == {"good": 1, "bad": 1}
        assert counts(instance, "raw_video") == {"Materialized": 1, "Failed": 1}
        runs = instance.get_runs_count()
        again = clipfarm("run")
        assert again.code == 0, again
        assert "Nothing to do" in again.out
        assert instance.get_runs_count() == runs
    fused = pq.read_table(here.store / "clipfarm/fused/concat/fused_manifest.parquet").to_pylist()
    assert {row["video_id"]: row["status"] for row in fused}["good"] == "success"

    # What failed is taken up when its file appears, and nothing else is touched.
    before = {stage: here.made_at(stage)["good"] for stage in STAGES}
    here.add_files(["bad"])
    third = clipfarm("run")
    assert third.code == 0, third
    assert {stage: here.made_at(stage)["good"] for stage in STAGES} == before
    with here.instance() as instance:
        for stage in STAGES:
            assert materializations(instance, stage) == {"good": 1, "bad": 1}
            assert counts(instance, stage) == {"Materialized": 2}
            assert not {*ledger_statuses(instance, stage).values()} - {"success", "empty_transcript"}


def test_the_output_of_a_run_is_for_people_not_for_dagster(ran: tuple[Deployment, Finished]) -> None:
    _, first = ran
    for noise in ("Traceback", "STEP_START", "RUN_FAILURE", "Stack Trace", "DEBUG"):
        assert noise not in first.out + first.err


def test_the_ledger_filters_by_stage_status_and_video(ran: tuple[Deployment, Finished]) -> None:
    rows = _of_csv(run_clipfarm("ledger", "--format", "csv").out)
    assert len(rows) == 2 * len(STAGES)
    assert {row["stage"] for row in rows} == set(STAGES)
    rows = _of_csv(
        run_clipfarm("ledger", "--format", "csv", "--stage", "raw_video", "--status", "source_unavailable").out
    )
    assert [(row["video_id"], row["retry_count"]) for row in rows] == [("bad", "1")]
    assert "bad.mp4" in rows[0]["error"]
    rows = _of_csv(run_clipfarm("ledger", "--format", "csv", "--failed").out)
    assert {row["video_id"] for row in rows} == {"bad"}
    rows = _of_csv(run_clipfarm("ledger", "--format", "csv", "--video", "good").out)
    assert {row["status"] for row in rows} == {"success", "empty_transcript"}


def test_the_ledger_is_a_table_for_people_and_a_file_for_programs(
    ran: tuple[Deployment, Finished], tmp_path: Path
) -> None:
    shown = run_clipfarm("ledger", "--failed")
    assert shown.code == 0
    assert "source_unavailable" in shown.out
    assert "upstream_failed" in shown.out
    target = tmp_path / "ledger.parquet"
    assert run_clipfarm("ledger", "--format", "parquet", "--output", str(target)).code == 0
    assert pq.read_table(target).num_rows == 2 * len(STAGES)
    exported = pq.read_table(ran[0].store / "clipfarm/state/ledger.parquet")
    assert exported.num_rows == 2 * len(STAGES)


def test_config_masks_secrets_and_shows_what_is_set(
    here: Deployment, clipfarm: Clipfarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret-of-this-user")
    monkeypatch.setenv("CLIPFARM_CHUNK_SIZE", "77")
    done = clipfarm("config")
    assert done.code == 0
    assert "sk-a-secret" not in done.out + done.err
    assert "OPENAI_API_KEY" in done.out
    assert "77" in done.out


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLIPFARM_CHUNK_SIZE", "many"), ("CLIPFARM_PROFILE", "fastest"), ("CLIPFARM_STORE", "ftp://somewhere/else")],
)
@pytest.mark.parametrize("command", ["config", "run", "ledger"])
def test_a_wrong_value_is_an_error_of_two_lines_that_names_it(
    command: str, name: str, value: str, here: Deployment, clipfarm: Clipfarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    done = clipfarm(command)
    assert done.code == 2
    assert name in done.err
    _is_short(done)


def _is_short(done: Finished) -> None:
    assert "Traceback" not in done.out + done.err
    assert len(done.err.strip().splitlines()) <= 2, done.err


@pytest.mark.parametrize("arguments", [("ledger", "--stage", "raw_smell"), ("ledger", "--status", "so_so")])
def test_a_name_that_does_not_exist_is_an_error_that_lists_those_that_do(
    arguments: tuple[str, ...], here: Deployment, clipfarm: Clipfarm
) -> None:
    done = clipfarm(*arguments)
    assert done.code == 2
    assert arguments[-1] in done.err
    assert "raw_video" in done.err or "fail_exhausted" in done.err
    assert "Traceback" not in done.out + done.err


def test_a_csv_that_is_not_there_is_an_error_of_two_lines(here: Deployment, clipfarm: Clipfarm) -> None:
    here.csv.unlink()
    done = clipfarm("run")
    assert done.code == 2
    assert str(here.csv) in done.err.replace("\n", "")
    _is_short(done)


def test_the_ledger_before_the_first_run_says_what_to_do(here: Deployment, clipfarm: Clipfarm) -> None:
    done = clipfarm("ledger")
    assert done.code == 2
    _is_short(done)


def test_a_csv_that_cannot_be_read_fails_the_run_and_keeps_what_was_known(here: Deployment, clipfarm: Clipfarm) -> None:
    here.add_videos(["bad", "worse"], without_file=["bad", "worse"])
    assert clipfarm("run").code == 0
    here.csv.write_text("nothing,of,use\n1,2,3\n")
    done = clipfarm("run")
    assert done.code == 1, done
    assert "video_id" in done.out + done.err
    assert "Traceback" not in done.out + done.err
    assert len(_of_csv(clipfarm("ledger", "--format", "csv").out)) == 2 * len(STAGES)


def test_a_bad_row_stops_nobody_and_stands_in_the_ledger(here: Deployment, clipfarm: Clipfarm) -> None:
    here.add_rows(["../escape"])
    here.add_videos(["bad"], without_file=["bad"])
    assert clipfarm("run").code == 0
    rows = _of_csv(clipfarm("ledger", "--format", "csv", "--status", "quarantined").out)
    assert len(rows) == 1
    assert "line 2" in rows[0]["error"]


@pytest.mark.slow
def test_the_program_itself_exits_with_two_lines_and_no_traceback(deployment: Deployment) -> None:
    done = deployment.command("clipfarm", "run", CLIPFARM_CHUNK_SIZE="many")
    assert done.code == 2
    assert "CLIPFARM_CHUNK_SIZE" in done.err
    _is_short(done)
    deployment.add_videos(["bad"], without_file=["bad"])
    done = deployment.command("clipfarm", "run")
    assert done.code == 0, done
    again = deployment.command("clipfarm", "run")
    assert again.code == 0
    assert "Nothing to do" in again.out
