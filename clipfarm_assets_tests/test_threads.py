"""Work side by side, and Ctrl-C at any moment of it."""

import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest

from clipfarm_assets.threads import side_by_side

INTERRUPTED_AT_RANDOM = """
import random, signal, time
from threading import Lock
from clipfarm_assets.threads import side_by_side

lock, begun, ended = Lock(), [], []

def work(number):
    with lock:
        begun.append(number)
    time.sleep(0.001)
    with lock:
        ended.append(number)

signal.signal(signal.SIGALRM, signal.default_int_handler)
interrupted = 0
for _ in range(150):
    try:
        for number, _ in side_by_side(work, range(100_000), 32):
            if number == 0:  # Python's own start of a thread does not bear a Ctrl-C
                signal.setitimer(signal.ITIMER_REAL, random.uniform(0.001, 0.03))
    except KeyboardInterrupt:
        interrupted += 1
    assert sorted(begun) == sorted(ended), "something is still under way"
print(interrupted)
"""


def test_each_item_comes_with_what_was_made_of_it_and_no_more_than_allowed_are_taken() -> None:
    lock, at_once, most = threading.Lock(), 0, 0

    def work(number: int) -> int:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.002 * (number % 3))
        with lock:
            at_once -= 1
        return number**2

    taken = []
    items = (taken.append(n) or n for n in range(50))  # type: ignore[func-returns-value]
    results = []
    for item, result in side_by_side(work, items, 4):
        results.append((item, result))
        assert len(taken) <= len(results) + 4
    assert sorted(results) == [(n, n**2) for n in range(50)]
    assert most == 4


def test_an_error_and_a_closing_wait_for_the_rest_and_say_so() -> None:
    ended: list[int] = []
    stopped = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            raise ValueError("the second")
        stopped.wait(10)
        ended.append(number)
        return number

    with pytest.raises(ValueError, match="the second"):
        list(side_by_side(work, range(100), 3, stopped))
    assert sorted(ended) == [0, 2]
    ended.clear()
    with closing(side_by_side(lambda n: time.sleep(0.1 * n) or ended.append(n), range(100), 3)) as results:  # type: ignore[func-returns-value]
        assert next(results)[0] == 0
    assert sorted(ended) == [0, 1, 2]


def test_ctrl_c_at_any_moment_of_the_work_leaves_nothing_waiting() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_RANDOM], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 140  # Python loses one that comes while it frees an object
