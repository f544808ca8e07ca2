"""A full disk, under the store and under Dagster's databases: named, charged to no video, and over when it is freed."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clipfarm_assets_tests.torture.audit import Audit
from clipfarm_assets_tests.torture.bench import Bench
from clipfarm_assets_tests.torture.evidence import runs
from clipfarm_assets_tests.torture.home import Home, until
from clipfarm_assets_tests.torture.kills import finish_by_daemon, run_to_the_end

_SIZE = "96m"
_PATIENCE_SEC = 300.0
_FULL_FOR_SEC = 15.0


def disk_full(bench: Bench) -> None:
    """Everything on one disk under the command line; then the store, and the databases, under the daemon."""
    if subprocess.run(["mount", "-t", "tmpfs"], capture_output=True, check=False).returncode or os.geteuid():
        bench.say("NOT TESTED: a small disk needs the right to mount one")
        return
    _by_command_line(bench)
    if bench.moments > 1:
        _by_daemon(bench)


def _by_command_line(bench: Bench) -> None:
    with bench.home("command-line") as home, _disk(home.csv.parent) as disk:
        audit = Audit(home)
        process = home.start("clipfarm", "run")
        bench.wait_for_a_moment(home)
        ballast = _fill(disk)
        process.wait(_PATIENCE_SEC)
        said = home.log("clipfarm")
        audit.require("a full disk", f"`clipfarm run` says so: {said[-800:]}", _is_named(said))
        audit.require("a full disk", f"`clipfarm run` fails: {process.returncode}", process.returncode in (1, 2))
        ballast.unlink()
        audit.killed_workers()  # what it was at work with could not be written down
        bench.moment(audit, "store and databases full under `clipfarm run`, then freed")
        _no_harm_is_done(audit, "store and databases full")
        run_to_the_end(home, audit)
        bench.end(audit)


def _by_daemon(bench: Bench) -> None:
    with bench.home("daemon") as home, _disk(home.store) as store, _disk(home.databases_folder) as databases:
        audit = Audit(home)
        home.start_daemon()
        bench.wait_for_a_worker(home, audit)
        bench.wait_for_a_moment(home)
        ballast = _fill(store)
        named = until(lambda: "StoreFull" in _stalls(home), _PATIENCE_SEC, 0.5)
        audit.require("the store is full", "a run is stopped by StoreFull", named)
        bench.moment(audit, "the store full under the daemon")
        _no_harm_is_done(audit, "the store is full")
        ballast.unlink()
        bench.wait_for_a_worker(home, audit)
        bench.wait_for_a_moment(home)
        ballast = _fill(databases)
        until(lambda: _is_named(home.log("dagster-daemon")), _FULL_FOR_SEC)
        ballast.unlink()
        audit.killed_workers()  # what was at work could not be written down
        bench.moment(audit, "the databases full under the daemon for some seconds, then freed")
        audit.require(
            "the databases are full", "the daemon's log says so", _is_named(home.log("dagster-daemon", 10**7))
        )
        # The thread of a code server that watches its runs, and ends the server, dies when it cannot write.
        finish_by_daemon(home, audit, may_stay=("code server", "helper"))
        _no_harm_is_done(audit, "the databases were full")
        bench.end(audit)


def _stalls(home: Home) -> set[str]:
    return {run.tags.get("clipfarm/stalled", "") for run in runs(home.databases_folder)}


def _is_named(said: str) -> bool:
    text = " ".join(said.split())
    return any(words in text for words in ("no space left", "No space left", "disk is full", "StoreFull"))


def _no_harm_is_done(audit: Audit, where: str) -> None:
    audit.require(where, f"nothing is half-written: {audit.half_written()[:2]}", not audit.half_written())
    charged = {pair for pair, tries in audit.log().tries.items() if tries}
    audit.require(where, f"no video is charged a try: {sorted(charged)[:4]}", not charged)


@contextmanager
def _disk(folder: Path) -> Iterator[Path]:
    """A small file system of its own in place of the folder, with what the folder holds."""
    folder.mkdir(parents=True, exist_ok=True)
    aside = folder.with_name(f"{folder.name}-aside")
    subprocess.run(["cp", "-a", str(folder), str(aside)], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(folder)], check=True)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(disk: Path) -> Path:
    """Fills the disk to the last byte."""
    path = disk / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (1024**2, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return path
