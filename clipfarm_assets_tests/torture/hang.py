"""A run worker that hangs: its time limit ends the run, its videos are taken up, and it must not matter if it wakes."""

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import psutil

from clipfarm_assets_tests.torture.audit import Audit
from clipfarm_assets_tests.torture.bench import Bench
from clipfarm_assets_tests.torture.evidence import Run, local_objects, prove, runs
from clipfarm_assets_tests.torture.home import Home, until
from clipfarm_assets_tests.torture.kills import finish_by_daemon

LIMIT_SEC = 300  # a healthy run of a chunk takes a fraction of it, on a busy machine too
_PATIENCE_SEC = LIMIT_SEC + 300.0
_TAKEN_UP_WITHIN_SEC = 60.0


def stopped(bench: Bench) -> None:
    """SIGSTOP of a run worker past its run's time limit: one wakes up later, another is killed by the platform."""
    with bench.home() as home:
        home.env["CLIPFARM_RUN_TIMEOUT_SEC"] = str(LIMIT_SEC)
        audit = Audit(home)
        home.start_daemon()
        for wakes in (True, False)[: bench.moments]:
            worker = _stop_a_worker(bench, home, audit)
            audit.require("a stop", "a run worker comes", worker)
            if worker is not None:
                _hang(bench, home, audit, worker, wakes=wakes)
        finish_by_daemon(home, audit)
        bench.end(audit)


def _hang(bench: Bench, home: Home, audit: Audit, worker: psutil.Process, *, wakes: bool) -> None:
    """Sees one stopped worker to its end."""
    audit.killed_workers()
    at_work = audit.log().at_work
    bench.moment(audit, f"a worker stopped with {len(at_work)} at work")
    what = "killed by the platform at its time limit"
    if wakes:
        _end_its_run(home, worker.pid)
        until(lambda: at_work <= set(prove(local_objects(home.store)).whole), _TAKEN_UP_WITHIN_SEC, 0.5)
        taken = at_work & set(prove(local_objects(home.store)).whole)
        worker.send_signal(signal.SIGCONT)
        what = f"woken after {len(taken)} of its {len(at_work)} were made by another"
    gone = until(lambda: not home.lives(worker), _PATIENCE_SEC)
    audit.require(what, "the stopped worker is gone", gone)
    ended = until(lambda: _run_of(home, worker.pid).status == "FAILURE", _PATIENCE_SEC, 0.5)
    audit.require(what, "its run is ended", ended)
    bench.moment(audit, what)


def _stop_a_worker(bench: Bench, home: Home, audit: Audit) -> psutil.Process | None:
    """Stops a run worker while it has videos at work, but not while it holds a database: nothing could go on then."""
    bench.wait_for_a_worker(home, audit)
    deadline = time.monotonic() + _PATIENCE_SEC
    while time.monotonic() < deadline:
        time.sleep(bench.dice.uniform(0.02, 0.2))
        workers = [p for p in home.role("run worker") if _run_of(home, p.pid).status == "STARTED"]
        if not workers:
            bench.wait_for_a_worker(home, audit)
            continue
        worker = bench.dice.choice(workers)
        worker.suspend()
        if audit.log().at_work and not _is_locked(home) and _run_of(home, worker.pid).status == "STARTED":
            return worker
        worker.resume()
    return None


def _run_of(home: Home, pid: int) -> Run:
    """The chunk run that the process works on."""
    found = [r for r in runs(home.databases_folder) if r.tags.get("clipfarm/process", "").split(":")[1:2] == [str(pid)]]
    return found[-1] if found else Run("", "", 0.0, 0.0, {})


def _end_its_run(home: Home, pid: int) -> None:
    """As another machine's daemon would: it sees no worker of this run."""
    with home.instance() as instance:
        run = instance.get_run_by_id(_run_of(home, pid).run_id)
        assert run is not None
        instance.report_run_failed(run, "Ended by the torture, as if by another machine.")


def _is_locked(home: Home) -> bool:
    folder = home.databases_folder / "history"
    return any(_holds(path) for path in (folder / "runs.db", *folder.glob("runs/*.db")))


def _holds(path: Path) -> bool:
    with closing(sqlite3.connect(path, timeout=2, isolation_level=None)) as connection:
        try:
            connection.execute("begin immediate")
            connection.execute("rollback")
        except sqlite3.OperationalError:
            return True
    return False
