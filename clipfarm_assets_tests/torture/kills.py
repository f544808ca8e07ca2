"""kill -9 of the command line and of every part of the daemon, and then the end of the work."""

from collections.abc import Collection

from clipfarm_assets_tests.torture.audit import Audit
from clipfarm_assets_tests.torture.bench import Bench, wait_until_done
from clipfarm_assets_tests.torture.evidence import unfinished_runs
from clipfarm_assets_tests.torture.home import Home, until

PARTS = ("run worker", "daemon", "code server", "everything")
_END_SEC = 900.0
_RUNS_TO_THE_END = 8


def cli(bench: Bench) -> None:
    """`clipfarm run`, its whole process group and only its main process in turn; then again until it is done."""
    with bench.home() as home:
        audit = Audit(home)
        while bench.done < bench.moments:
            bench.keep_busy(home, audit)
            process = home.start("clipfarm", "run")
            bench.wait_for_a_moment(home, process)
            ended = process.poll()
            whole = bench.done % 2 == 0
            home.kill(home.processes() if whole else [p for p in home.processes() if p.pid == process.pid])
            process.wait()
            audit.killed_workers()
            where = "ended by itself" if ended is not None else "its group killed" if whole else "its process killed"
            audit.require(where, f"clipfarm run ended with {ended}: {home.log('clipfarm', 500)}", ended in (None, 0))
            audit.orphans(where)
            bench.moment(audit, where)
        run_to_the_end(home, audit)
        bench.end(audit)


def run_to_the_end(home: Home, audit: Audit) -> None:
    """`clipfarm run` as often as a person would type it until there is nothing to do."""
    for _ in range(_RUNS_TO_THE_END):
        found = home.command("clipfarm", "run", seconds=_END_SEC)
        audit.require("the last runs", f"clipfarm run ended with {found.code}: {found.err[-500:]}", found.code == 0)
        if "Nothing to do" in found.out:
            return
    audit.require("the last runs", f"there is always something to do: {found.out[-500:]}", False)


def daemon(bench: Bench) -> None:
    """The run worker, the daemon, the code server and everything in turn, under the real daemon and its sensors."""
    with bench.home() as home:
        audit = Audit(home)
        home.start_daemon()
        while bench.done < bench.moments:
            part = PARTS[bench.done % len(PARTS)]
            bench.wait_for_a_worker(home, audit)
            bench.wait_for_a_moment(home)
            workers = home.role("run worker")
            victims = home.role(part)
            home.kill(victims)
            if {p.pid for p in workers} & {p.pid for p in victims} or part == "run worker":
                audit.killed_workers()
            where = f"{len(victims)} x {part} killed" if part != "everything" else f"all {len(victims)} killed"
            if part in ("daemon", "everything"):
                home.start_daemon()
            bench.moment(audit, f"{where}, {len(workers)} workers then")
        finish_by_daemon(home, audit)
        bench.end(audit)


def finish_by_daemon(home: Home, audit: Audit, seconds: float = _END_SEC, *, may_stay: Collection[str] = ()) -> None:
    """Waits until the daemon has done the rest by itself, then stops it; parts that ``may_stay`` are then killed."""
    done = wait_until_done(home, audit, seconds)
    audit.require("the end", f"the daemon has not done the rest: {home.log('dagster-daemon')}", done)
    until(lambda: not unfinished_runs(home.databases_folder), 30)
    left = home.stop()
    staying = [process for part in may_stay for process in home.role(part)]
    audit.require("the end", "the daemon cannot be stopped", set(left) <= set(staying))
    home.kill(staying)
