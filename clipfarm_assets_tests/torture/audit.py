"""What must hold after every kill, and at the end."""

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from clipfarm_assets_tests.journeys.deployment import statuses
from clipfarm_assets_tests.torture.evidence import (
    STAGES,
    Log,
    Objects,
    Pair,
    Stamp,
    local_objects,
    prove,
    read_log,
    unfinished_runs,
)
from clipfarm_assets_tests.torture.home import Home, until

GOOD = frozenset({"success", "empty_transcript", "no_audio_track"})
_TORN_PUT = re.compile(r"#\d+$")
_SHOWN = 4
_PATIENCE_SEC = 300.0  # for the ledger to be printed
_LONG_AGO = 10**9


class Audit:
    """Compares each look at a deployment with the looks before.

    Conservation: every video is in exactly one state per stage. Truth: what the ledger calls made lies in the store,
    whole. Monotony: what was made stays made, and its files are not written again. Economy: a pair is begun once, and
    once more for each kill that met it at work.
    """

    def __init__(self, home: Home, objects: Callable[[], Objects] | None = None) -> None:
        self.home = home
        self.violations: list[str] = []
        self._objects = objects or (lambda: local_objects(home.store))
        self.good: set[Pair] = set()
        self._whole: dict[Pair, Stamp] = {}
        self._starts_when_whole: dict[Pair, int] = {}
        self._met_at_work: Counter[Pair] = Counter()

    def killed_workers(self) -> None:
        """Says that whatever was at work has just been killed: it may be begun once more."""
        self._met_at_work.update(self.log().at_work)

    def log(self) -> Log:
        return read_log(self.home.databases_folder)

    def look(self, where: str) -> str:
        """Audits the deployment as it is now; returns what there is, in a few words."""
        before = len(self.violations)
        ledger = self._cold_ledger(where)
        proofs, log = prove(self._objects()), self.log()
        good = {pair for pair, status in ledger.items() if status in GOOD}
        self._require(where, "the ledger calls made what the store does not prove", good - set(proofs.whole))
        self._require(where, "the ledger calls made what the log does not", {p for p in good if not log.made[p]})
        self._require(where, "an identity speaks of another artifact", proofs.torn)
        self._require(where, "was made and is not any more", self.good - good)
        self._require(where, "is gone from the store", set(self._whole) - set(proofs.whole))
        rewritten = {pair for pair, stamp in self._whole.items() if proofs.whole.get(pair, stamp) != stamp}
        self._require(where, "was proven and is written again", rewritten)
        self._require(where, "is booked twice", {pair for pair, count in log.made.items() if count > 1})
        again = {pair for pair, starts in self._starts_when_whole.items() if log.starts[pair] > starts}
        self._require(where, "was proven and is begun again", again)
        too_often = {p for p, n in log.starts.items() if n > 1 + self._met_at_work[p] + log.interrupted[p]}
        self._require(where, "is begun more often than it was killed at work", too_often)
        self._require(where, "is exhausted", {pair for pair, status in ledger.items() if status == "fail_exhausted"})
        for pair in proofs.whole:
            self._starts_when_whole.setdefault(pair, log.starts[pair])
        self.good, self._whole = good, proofs.whole
        held = "holds" if len(self.violations) == before else f"VIOLATED ({len(self.violations) - before})"
        return f"{len(good):3} of {len(ledger)} made, {len(proofs.whole) - len(good)} proven only: {held}"

    def end(self) -> str:
        """Audits a deployment that is done and stopped; what kills have left half-written is swept when it is old."""
        where, home = "at the end", self.home
        said = self.look(where)
        left = [*self.half_written(), *self._temporary()]
        if left:
            for path in left:
                os.utime(path, (_LONG_AGO, _LONG_AGO))
            home.command("dagster", "asset", "materialize", "--select", "ledger", "-m", "clipfarm_assets.definitions")
            said += f"; {len(left)} leftovers to be swept"
        wanted = {(video_id, stage) for video_id in home.video_ids for stage in STAGES}
        self._require(where, "is not made", wanted - self.good)
        self._require(where, "is not booked exactly once", {p for p in wanted if self.log().made[p] != 1})
        with home.instance() as instance:
            for stage in STAGES:
                wrong = {v for v, status in statuses(instance, stage).items() if status != "Materialized"}
                self._require(where, f"is not Materialized in Dagster's {stage}", wrong)
        self._require(where, "is a run without an end", unfinished_runs(home.databases_folder).items())
        self._require(where, "still lives", [" ".join(p.cmdline())[:100] for p in home.processes()])
        self._require(where, "was left half-written", self.half_written())
        self._require(where, "was left in the temporary folder", sorted(p.name for p in self._temporary()))
        return said

    def orphans(self, where: str) -> None:
        """Requires that no child outlives its killed parent."""
        gone = until(lambda: not self.home.processes(), 10)
        self._require(where, "outlives its parent", [] if gone else [str(p) for p in self.home.processes()])

    def half_written(self) -> list[Path]:
        return [path for path in self.home.store.rglob("*#*") if _TORN_PUT.search(path.name)]

    def require(self, where: str, what: str, true: object) -> None:
        """One more thing that must hold."""
        if not true:
            self.violations.append(f"{where}: {what}")

    def _temporary(self) -> list[Path]:
        """What a process should have taken with it; a lock is a file that stays, held or not."""
        return [path for path in (self.home.folder / "tmp").glob("clipfarm-*") if path.suffix != ".lock"]

    def _cold_ledger(self, where: str) -> dict[Pair, str]:
        """The product's own reader in a fresh process."""
        done = self.home.command("clipfarm", "ledger", "--format", "csv", seconds=_PATIENCE_SEC)
        if done.code != 0 and "no metadata in the store yet" in done.err:
            return {}
        if done.code != 0:
            self.violations.append(f"{where}: the ledger cannot be read: {done.err[-300:]}")
            return {}
        rows = list(csv.DictReader(io.StringIO(done.out)))
        states = Counter((row["video_id"], row["stage"]) for row in rows)
        known = {row["video_id"] for row in rows}
        self._require(where, "is in several states", {pair for pair, count in states.items() if count > 1})
        self._require(where, "is in no state", {(v, s) for v in known for s in STAGES} - set(states))
        self._require(where, "is no video of the metadata", known - set(self.home.video_ids))
        return {(row["video_id"], row["stage"]): row["status"] for row in rows}

    def _require(self, where: str, what: str, none: "object") -> None:
        found = sorted(str(each) for each in none)  # type: ignore[attr-defined]
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            self.violations.append(f"{where}: {what}: {', '.join(found[:_SHOWN])}{more}")
