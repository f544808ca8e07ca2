"""What the commands refuse, mask and escape; what they do with a whole deployment is in ``journeys``."""

import io
import os
import pty
import re
import shlex
import shutil
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from obstore.exceptions import GenericError
from rich.console import Console

from clipfarm_assets.attempts import limits_of
from clipfarm_assets.cli import home, ledger, main, run
from clipfarm_assets.errors import ClipfarmError, ConfigurationError, SourceUnavailable, StoreAccessDenied, StoreError
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.media.download import FetchOptions
from clipfarm_assets.media.raw import Sources, extract_transcripts
from clipfarm_assets.metadata.read import read_metadata
from clipfarm_assets.metadata.tables import videos_from_table
from clipfarm_assets.outcomes import Item
from clipfarm_assets.settings import Settings, setting_variable
from clipfarm_assets.store.failures import store_error
from clipfarm_assets.store.object_store import ObjectStore

PROJECT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty project, and this process in it without any setting."""
    for name in [*map(setting_variable, Settings.model_fields), "DAGSTER_HOME", home.STORAGE]:
        monkeypatch.setenv(name, "")  # so that what the commands set is taken back
        monkeypatch.delenv(name)
    folder = tmp_path / "my project"
    folder.mkdir()
    (folder / "dagster.yaml").touch()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "300")
    return folder


def clipfarm(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of the command, run in this process."""
    monkeypatch.setattr(sys, "argv", ["clipfarm", *arguments])
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main.app()
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> tuple[int, str, str]:
    """What a command prints that ends with the error."""

    def fail() -> None:
        raise error

    cli = typer.Typer(pretty_exceptions_enable=False)
    cli.command()(fail)
    monkeypatch.setattr(main, "cli", cli)
    return clipfarm(monkeypatch)


def test_config_masks_the_users_of_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPFARM_DB", "postgresql://ann:hunter2@db.example.org/clips")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://ann:p@ss@api.example.org/v1")
    code, out, _ = clipfarm(monkeypatch, "config")
    assert code == 0
    assert "postgresql://***@db.example.org/clips" in out
    assert "https://***@api.example.org/v1" in out
    assert not re.search("hunter2|p@ss|ann:", out)


def test_config_shows_brackets_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPFARM_VIDEO_MODEL", "[/red]a[bold]b")
    code, out, err = clipfarm(monkeypatch, "config")
    assert code == 0, err
    assert "[/red]a[bold]b" in out


def test_an_error_shows_brackets_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = failing(monkeypatch, ClipfarmError("No [/x] here.", hint="See [bold]y."))
    assert (code, err) == (2, "error: No [/x] here.\nSee [bold]y.\n")


def test_an_error_of_the_system_ends_in_two_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = failing(monkeypatch, PermissionError(13, "Permission denied", "/a/[b]"))
    assert code == 2
    assert err.splitlines()[0] == "error: /a/[b]: Permission denied."
    assert len(err.splitlines()) == 2


def test_a_stop_by_the_user_says_that_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    code, _, err = failing(monkeypatch, KeyboardInterrupt())
    assert code == 130
    assert err == "stopped; finished videos are kept, the rest resumes at the next run\n"


def test_a_folder_inside_the_project_is_told_where_the_project_is(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = project / "data"
    inside.mkdir()
    monkeypatch.chdir(inside)
    code, out, err = clipfarm(monkeypatch, "env")
    assert (code, out) == (2, "")
    assert f"cd '{project}'" in err
    monkeypatch.setenv("DAGSTER_HOME", str(project))
    assert clipfarm(monkeypatch, "env")[0] == 0


def test_env_quotes_for_the_shell(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = "it's $HOME"
    monkeypatch.setenv(home.STORAGE, storage)
    _, out, _ = clipfarm(monkeypatch, "env")
    assert shlex.split(out) == [
        "export", f"DAGSTER_HOME={project}", "export", f"{home.STORAGE}={project / storage}",
    ]  # fmt: skip


def test_a_taken_port_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"Port {port} .*--port"):
            main._check_port(port)
    main._check_port(port)
    with pytest.raises(ConfigurationError, match="--port"):
        main._check_port(70_000)


def test_two_runs_do_not_work_at_once() -> None:
    for _ in range(2):  # the lock is free again after its block
        with home.only_run():
            with pytest.raises(ClipfarmError, match=rf"Another `clipfarm run` \(pid {os.getpid()}\) is working here"):
                with home.only_run():
                    pass


def test_databases_that_cannot_be_used_are_named_instead_of_a_traceback(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "dagster.yaml").write_bytes((PROJECT / "dagster.yaml").read_bytes())
    (project / "data/dagster/history/runs.db").mkdir(parents=True)  # where the file should be
    code, _, err = clipfarm(monkeypatch, "ledger")
    assert code == 2
    assert f"Dagster's databases in {project}/data/dagster do not answer: unable to open database file." in err
    assert "the disk is full" not in err
    full = shutil.disk_usage(project)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    assert "unable to open database file; the disk is full." in clipfarm(monkeypatch, "ledger")[2]


def rows(count: int) -> pa.Table:
    """Failures in the ledger, texts in brackets that look like markup."""
    names = ("video_id", "stage", "status", "error", "retry_count", "model_name", "duration", "processed_at")
    row = dict.fromkeys(names) | {"stage": "raw_video", "status": "fail", "error": "[/bad] x", "retry_count": 1}
    return pa.Table.from_pylist([row | {"video_id": f"[red]{n}"} for n in range(count)])


def test_the_ledger_shows_brackets_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    ledger._print(rows(1))
    out = capsys.readouterr().out
    assert "[red]0" in out
    assert "[/bad] x" in out


def test_a_narrow_terminal_shows_each_error_below_its_row_and_breaks_it_at_its_edge(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = "unsupported_media: [Errno 1094995529] Invalid data found when processing input: 'source.mp4'"
    monkeypatch.setenv("COLUMNS", "80")
    ledger._print(pa.Table.from_pylist([rows(1).to_pylist()[0] | {"video_id": "a-rather-long-id", "error": error}]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["video_id", "stage", "status", "retry_count"]
    assert lines[2].split() == ["a-rather-long-id", "raw_video", "fail", "1"]
    assert len(lines) == 5
    assert " ".join(line.strip() for line in lines[3:]) == error


@pytest.mark.parametrize(("count", "shown"), [(20, 20), (23, 20)])
def test_a_run_shows_twenty_errors_and_counts_the_rest(count: int, shown: int) -> None:
    console = Console(file=io.StringIO(), width=300)
    run.print_outcome(console, rows(count), Workshop(Settings(fusion_strategies=("concat",))))
    out = console.file.getvalue()  # type: ignore[attr-defined]
    assert out.count("raw_video: fail: [/bad] x") == shown
    assert ("… and 3 more: `clipfarm ledger --failed`" in out) == (count > shown)


@pytest.mark.parametrize("bucket", ["My_Bucket", "ab", "user:hunter2@bucket", "-x-", "a" * 64])
def test_a_bucket_that_cannot_be_is_named_by_its_setting(bucket: str) -> None:
    with pytest.raises(ConfigurationError, match="CLIPFARM_STORE") as caught:
        _ = Workshop(Settings(store=f"s3://{bucket}/prefix")).store
    assert "hunter2" not in str(caught.value)
    workshop = Workshop(Settings(metadata=f"s3://{bucket}/folder/m.csv"))
    with pytest.raises(ConfigurationError, match="CLIPFARM_METADATA"):
        workshop.open_store(f"s3://{bucket}/folder")
    with pytest.raises(StoreError, match="The address names an S3 bucket that cannot be"):
        workshop.open_store(f"s3://{bucket}/of-a-row")


def test_a_wrong_endpoint_or_profile_is_an_error_of_the_store(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "user:hunter2@not a url")
    with pytest.raises(StoreError, match="endpoint") as caught:
        _ = Workshop(Settings(store=s3_url)).store
    assert "hunter2" not in repr(caught.value)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(StoreAccessDenied, match="AWS_PROFILE"):
        _ = Workshop(Settings(store=s3_url)).store


def test_a_password_in_the_endpoint_is_not_shown(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "ftp://ann:hunter2@127.0.0.1:9")  # no HTTP: refused without tries
    with pytest.raises(StoreError, match=r"://\*\*\*@127\.0\.0\.1") as caught:
        Workshop(Settings(store=s3_url)).store.get("k")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(("code", "said"), [(13, "permission denied"), (1, "permission denied"), (30, "read-only")])
def test_a_local_store_that_may_not_be_written_speaks_of_its_folder(
    code: int, said: str, local_store: ObjectStore
) -> None:
    text = f"Generic LocalFileSystem error: Unable to open file /s/k.bin#1: {os.strerror(code)} (os error {code})"
    error = store_error("write k.bin", local_store.url, local_store.root, GenericError(text))
    assert isinstance(error, StoreAccessDenied)
    assert said in str(error)
    assert str(local_store.root) in error.hint
    assert "AWS" not in str(error)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said_to_be_one(local_store: ObjectStore) -> None:
    assert local_store.root is not None
    local_store.root.chmod(0o555)
    with pytest.raises(StoreAccessDenied, match="permission denied"):
        local_store.put("k", b"x")


def test_no_error_shows_a_temporary_name(local_store: ObjectStore) -> None:
    local_store.put("file", b"x")
    with pytest.raises(StoreError, match="Not a directory") as caught:
        local_store.put("file/k", b"x")
    assert "#" not in str(caught.value)


def test_a_sidecar_that_is_missing_points_to_its_own_column(local_store: ObjectStore, project: Path) -> None:
    row = {"video_id": "v", "url": "v.mp4", "transcript_path": "v.srt"}
    (project / "m.csv").write_text(",".join(row) + "\n" + ",".join(row.values()) + "\n")
    [video] = videos_from_table(read_metadata(project / "m.csv").videos)
    limits = limits_of(Settings(_env_file=None))
    [(_, made)] = extract_transcripts([Item(video, "hash", {})], Sources(local_store, FetchOptions(project)), limits)
    assert isinstance(made, SourceUnavailable)
    assert made.what == "There is no file v.srt."
    assert made.hint.startswith("Check the row's transcript_path")


_BAR = """
import os
from tqdm import tqdm
from clipfarm_assets.graph import progress
progress.use_terminal()
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # as Dagster does for a step
with tqdm(total=2, desc="a-stage", file=progress.stream, disable=progress.stream is None) as bar:
    bar.update()
"""


def test_a_bar_shows_on_the_terminal_although_stderr_is_redirected() -> None:
    master, slave = pty.openpty()
    process = subprocess.run([sys.executable, "-c", _BAR], stderr=slave, timeout=30, check=True)
    os.close(slave)
    assert process.returncode == 0
    assert b"a-stage" in os.read(master, 4096)
    os.close(master)


def test_no_bar_is_drawn_where_there_is_no_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", _BAR], capture_output=True, timeout=30, check=True)
    assert done.stderr == b""
