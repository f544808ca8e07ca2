"""A token bucket that all processes of a machine share: a file with the time at which the bucket is full again.

In every minute at most ``per_minute`` tokens are given, however many processes ask and whichever of them die: the
bucket is so small, and filled so slowly, that a full one and a minute's refill together stay below. Nothing is promised
ahead, so a pause that an API asks for holds for everybody at once.
"""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

_WINDOW_SEC = 61.0  # a minute, and a second for requests that travel at different speeds
_LONGEST_PAUSE_SEC = 300.0
_LONGEST_SLEEP_SEC = 1.0  # a pause may be over sooner than it was said


class RateLimiter:
    """Gives tokens. ``clock`` is wall time, since processes share no other that survives them."""

    def __init__(
        self,
        path: Path,
        per_minute: int,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._clock, self._sleep = path, clock, sleep
        self._burst = max(1, per_minute // 20)
        self._interval = _WINDOW_SEC / max(per_minute - self._burst, 1) if per_minute > 1 else _WINDOW_SEC

    def take(self, given_up: Callable[[], bool] = lambda: False) -> bool:
        """Waits for a token; False where ``given_up`` says so before there is one."""
        while not given_up():
            wait = self._wait_or_take()
            if wait <= 0:
                return True
            self._sleep(min(wait, _LONGEST_SLEEP_SEC))
        return False

    def pause(self, seconds: float) -> None:
        """Gives nobody a token for so long: the API has asked to wait."""
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            later = self._clock() + min(max(seconds, 0.0), _LONGEST_PAUSE_SEC) + self._burst * self._interval
            self._write(file, max(self._read(file), later))

    def _wait_or_take(self) -> float:
        """Seconds until there may be a token; 0 where one was taken."""
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            now = self._clock()
            # Generic cell rate algorithm: the time at which the bucket is full again says how full it is.
            full_at = max(self._read(file), now)
            wait = full_at - now - (self._burst - 1) * self._interval
            if wait <= 0:
                self._write(file, full_at + self._interval)
        return max(wait, 0.0)

    def _read(self, file: IO[str]) -> float:
        file.seek(0)
        try:
            stored = float(file.read() or 0)
        except ValueError:  # a machine that lost power while this was written
            return 0.0
        # A clock that was set back must not stop everybody for as long.
        farthest = self._clock() + _LONGEST_PAUSE_SEC + (self._burst + 1) * self._interval
        return stored if stored < farthest else 0.0

    def _write(self, file: IO[str], value: float) -> None:
        file.seek(0)
        file.truncate()
        file.write(repr(value))
