"""Two of everything by mistake: daemons on one instance, command lines, and a command line beside a daemon."""

import time

from clipfarm_assets_tests.torture.audit import Audit
from clipfarm_assets_tests.torture.bench import Bench
from clipfarm_assets_tests.torture.kills import finish_by_daemon, run_to_the_end

_END_SEC = 900.0


def two_daemons(bench: Bench) -> None:
    """Nothing is begun twice: what one works on, the other leaves alone, or says that it does."""
    with bench.home("command-lines") as home:
        audit = Audit(home)
        first = home.start("clipfarm", "run")
        bench.wait_for_a_moment(home)
        second = home.command("clipfarm", "run", seconds=_END_SEC)
        refused = second.code == 2 and f"Another `clipfarm run` (pid {first.pid})" in second.err
        audit.require("two command lines", f"the second says that there is another: {second.err[-300:]}", refused)
        bench.moment(audit, "a second `clipfarm run` refused")
        first.wait(_END_SEC)
        run_to_the_end(home, audit)
        bench.end(audit)
    with bench.home("daemons") as home:
        audit = Audit(home)
        for _ in range(2):
            home.start_daemon()
        for beside in range(min(bench.moments, 3)):
            bench.wait_for_a_worker(home, audit)
            bench.wait_for_a_moment(home)
            process = home.start("clipfarm", "run")
            time.sleep(bench.dice.uniform(0, 5))
            bench.moment(audit, f"two daemons, {len(home.role('run worker'))} workers and a `clipfarm run`")
            process.wait(_END_SEC)
            audit.require(f"run {beside}", f"clipfarm run ended with {process.returncode}", process.returncode == 0)
        finish_by_daemon(home, audit)
        bench.end(audit)
