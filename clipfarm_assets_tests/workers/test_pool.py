"""A worker's death, hang or flood is one item's; everything else about workers is as if the work were done here."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil
import pytest

from clipfarm_assets.errors import ModelMismatch, StoreUnavailable
from clipfarm_assets.statuses import Status
from clipfarm_assets.workers import pool
from clipfarm_assets.workers.foreman import MemoryLimit, TimeLimit, WorkerDied
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets.workers.pool import WorkersLost, in_workers
from clipfarm_assets_tests.workers import works

MIB = 1024**2
LIMITS = Limits(workers=2, time_sec=30.0, memory_bytes=512 * MIB)
PATIENCE_SEC = 30.0


def outcomes(orders: Iterable[str], limits: Limits = LIMITS) -> dict[str, object]:
    return {order: outcome for order, outcome, _ in in_workers(orders, works.obey, limits)}


def bystanders(found: dict[str, object]) -> int:
    return sum(isinstance(outcome, str) for outcome in found.values())


ORDERS = [f"well {number}" for number in range(6)]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (f"die {int(signal.SIGKILL)}", "SIGKILL"),
        (f"die {int(signal.SIGSEGV)}", "SIGSEGV"),
        ("leave 7", "exit code 7"),
    ],
)
def test_a_worker_that_dies_fails_its_own_item_and_says_how(order: str, said: str) -> None:
    found = outcomes([*ORDERS[:3], order, *ORDERS[3:]])
    error = found[order]
    assert isinstance(error, WorkerDied) and said in str(error) and error.status is Status.FAIL
    assert bystanders(found) == len(ORDERS)


def test_a_worker_killed_from_outside_while_at_work_fails_that_item_alone() -> None:
    handed_out: list[str] = []

    def orders() -> Iterator[str]:
        for order in ["sleep 20", *ORDERS]:
            handed_out.append(order)
            yield order

    found: dict[str, object] = {}
    for order, outcome, _ in in_workers(orders(), works.obey, LIMITS):
        if not found:  # a first result of the other worker: the victim is in its sleep
            fellow = int(str(outcome).rpartition(" ")[2])
            [foreman] = [child for child in psutil.Process().children() if psutil.Process(fellow).ppid() == child.pid]
            [victim] = [worker for worker in foreman.children() if worker.pid != fellow]
            victim.kill()
        found[order] = outcome
    assert isinstance(found["sleep 20"], WorkerDied)
    assert bystanders(found) == len(ORDERS)


def test_an_item_that_hangs_ends_at_the_limit_unless_its_work_has_asked_for_more() -> None:
    found = outcomes(["sleep 60", "allowed 2", *ORDERS], Limits(2, 1.0, 512 * MIB))
    error = found["sleep 60"]
    assert isinstance(error, TimeLimit) and "after 1 s" in str(error) and "CLIPFARM_VIDEO_TIMEOUT_SEC" in str(error)
    assert bystanders(found) == len(ORDERS) + 1


def test_an_item_that_floods_the_memory_ends_at_the_limit() -> None:
    found = outcomes(["flood 1024", "flood 100", *ORDERS])
    error = found["flood 1024"]
    assert isinstance(error, MemoryLimit) and "512 MiB" in str(error) and "CLIPFARM_WORKER_MEMORY_BYTES" in str(error)
    assert bystanders(found) == len(ORDERS) + 1


def test_an_error_of_the_platform_or_the_code_is_raised_here_whole_and_ends_the_others() -> None:
    before = set(psutil.Process().children(recursive=True))
    with pytest.raises(StoreUnavailable, match="away") as caught:
        outcomes(["sleep 60", "store", "sleep 60"])
    assert caught.value.hint == "Wait."
    with pytest.raises(KeyError) as mistake:
        outcomes(["mistake"])
    assert "works.py" in "".join(mistake.value.__notes__)
    assert set(psutil.Process().children(recursive=True)) <= before


def test_a_model_that_cannot_be_loaded_is_raised_before_an_item_is_taken() -> None:
    taken: list[str] = []
    with pytest.raises(ModelMismatch, match="Other weights"):
        list(in_workers((taken.append(order) for order in ORDERS), works.refuse_mismatch, LIMITS))
    assert not taken


def test_a_foreman_that_is_killed_is_the_platforms_trouble(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(WorkersLost, match="-9"):
        list(in_workers(ORDERS, works.vanish, LIMITS))
    assert not list(tmp_path.iterdir())


def test_items_are_taken_only_a_little_ahead_and_no_more_workers_start_than_there_are_items() -> None:
    taken: list[str] = []
    orders = (taken.append(order) or order for order in map("well {}".format, range(40)))  # type: ignore[func-returns-value]
    lead = [len(taken) - number for number, _ in enumerate(in_workers(orders, works.obey, LIMITS))]
    assert max(lead) == 2 * LIMITS.workers
    results = in_workers(["well 1"], works.obey, Limits(8, 30.0, 512 * MIB))
    next(results)
    assert sum(len(child.children()) for child in psutil.Process().children()) == 1
    assert list(results) == []


def test_files_that_the_work_makes_live_until_the_next_result_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for order, path, _ in in_workers(["file a", "file b", "file c"], works.obey, LIMITS):
        assert isinstance(path, Path) and path.is_relative_to(tmp_path)
        assert path.read_text() == order.removeprefix("file ")
    assert not list(tmp_path.iterdir())


def test_the_work_sees_the_environment_that_its_parent_has_now(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("CLIPFARM_TEST_OF_NOW", value)
        assert outcomes(["environment CLIPFARM_TEST_OF_NOW"]) == {"environment CLIPFARM_TEST_OF_NOW": value}


def test_a_worker_counts_the_seconds_of_its_own_item() -> None:
    seconds = {order: seconds for order, _, seconds in in_workers(["sleep 0.6", "sleep 0.5"], works.obey, LIMITS)}
    assert seconds["sleep 0.6"] >= 0.6 and seconds["sleep 0.5"] >= 0.5


PARENT = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from clipfarm_assets.workers.messages import Limits
from clipfarm_assets.workers.pool import in_workers
from clipfarm_assets_tests.workers import works
orders = ["file x", "well 1", "sleep 600", "sleep 600"]
try:
    for order, outcome, _ in in_workers(orders, works.obey, Limits(2, 600.0, 2**29)):
        print(order, flush=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
def test_when_the_parent_goes_its_workers_and_their_files_go_at_once(number: signal.Signals, tmp_path: Path) -> None:
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True) as parent:
        assert parent.stdout is not None
        assert {parent.stdout.readline().strip() for _ in range(2)} == {"file x", "well 1"}
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) == 3
        if number == signal.SIGINT:
            os.killpg(parent.pid, number)  # as a terminal does: to all of them
            assert parent.stdout.readline() == "interrupted\n"
        else:
            parent.kill()
        gone, alive = psutil.wait_procs(children, PATIENCE_SEC)
        assert len(gone) == 3 and not alive
    deadline = time.monotonic() + PATIENCE_SEC
    while list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(tmp_path.iterdir())


def test_the_foreman_is_kept_from_one_step_to_the_next() -> None:
    outcomes(["well 1"])
    idle = list(pool._idle)  # work that went on side by side has left several
    assert idle
    outcomes(["well 1"])
    assert pool._idle == idle
