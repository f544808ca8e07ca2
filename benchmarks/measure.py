"""Measures ways of doing one thing in turn, so that a noisy machine disturbs all of them alike."""

import resource
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import psutil


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds. ``cpu_sec`` counts this process and all that it has started, and they."""

    wall_sec: float
    cpu_sec: float


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes:
        what: what is measured, such as ``whole stage ÷ bare forward``.
        value: the ratio or figure, in the unit that ``what`` names.
        target: what is to be reached; None for a figure that is only stated.
        reached_when: the value is ``at most`` or ``at least`` the target.
        note: what the reader must know to believe it.
    """

    what: str
    value: float
    target: float | None = None
    reached_when: Literal["at most", "at least"] = "at most"
    note: str = ""

    @property
    def reached(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.reached_when == "at most" else self.value >= self.target


def in_turn(ways: Mapping[str, Callable[[], object]], rounds: int = 5) -> dict[str, Timing]:
    """Runs each way once a round, in another order each round, and takes medians."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            wall, cpu = time.monotonic(), _cpu_sec()
            ways[name]()
            seen[name].append((time.monotonic() - wall, _cpu_sec() - cpu))
    return {
        name: Timing(*(statistics.median(values) for values in zip(*times, strict=True)))
        for name, times in seen.items()
    }


def _cpu_sec() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    ended = sum(usage.ru_utime + usage.ru_stime for usage in usages)
    alive = (process.cpu_times() for process in psutil.Process().children(recursive=True))
    return ended + sum(each.user + each.system + each.children_user + each.children_system for each in alive)
