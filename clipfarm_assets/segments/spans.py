"""Where the segments of a video begin and end: its scenes, joined or cut to 15 to 60 seconds."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

SHORTEST_SEC = 15.0
LONGEST_SEC = 60.0


class Span(NamedTuple):
    """From ``start_sec`` up to ``end_sec`` of a video."""

    start_sec: float
    end_sec: float

    @property
    def length_sec(self) -> float:
        return self.end_sec - self.start_sec


def spans(scenes: Sequence[Span], cue_edges_sec: Sequence[float]) -> list[Span]:
    """The segments' spans: they cover what the scenes cover, in the order of time, without gap or overlap.

    Scenes that are too short are joined with the next, the last one with the one before. What is longer than 60 s is
    cut where a cue begins or ends, as near to 60 s as leaves at least 15 s; at 60 s where nobody speaks. A video under
    15 s is one span.

    Args:
        scenes: one after another, each beginning where the one before ends.
        cue_edges_sec: where cues begin and end.
    """
    edges = sorted(set(cue_edges_sec))
    return [part for joined in _joined(scenes) for part in _cut(joined, edges)]


def _joined(scenes: Sequence[Span]) -> list[Span]:
    found: list[Span] = []
    for scene in scenes:
        if found and found[-1].length_sec < SHORTEST_SEC:
            found[-1] = Span(found[-1].start_sec, scene.end_sec)
        else:
            found.append(scene)
    if len(found) > 1 and found[-1].length_sec < SHORTEST_SEC:
        last = found.pop()
        found[-1] = Span(found[-1].start_sec, last.end_sec)
    return found


def _cut(span: Span, edges: Sequence[float]) -> Iterator[Span]:
    start, end = span
    while end - start > LONGEST_SEC:
        first, last = start + SHORTEST_SEC, min(start + LONGEST_SEC, end - SHORTEST_SEC)
        cut = max((edge for edge in edges if first <= edge <= last), default=last)
        yield Span(start, cut)
        start = cut
    yield Span(start, end)
