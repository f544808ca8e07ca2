"""Scenes become spans of 15 to 60 seconds that lose nothing."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.segments.spans import LONGEST_SEC, SHORTEST_SEC, Span, spans

LENGTHS = st.lists(st.floats(0.5, 400), min_size=1, max_size=30)
EDGES = st.lists(st.floats(0, 2000), max_size=100)


def scenes_of(lengths: list[float]) -> list[Span]:
    ends = [0.0, *itertools.accumulate(lengths)]
    return [Span(start, end) for start, end in itertools.pairwise(ends)]


@given(LENGTHS, EDGES)
def test_spans_cover_the_scenes_and_are_long_enough_and_not_too_long(lengths: list[float], edges: list[float]) -> None:
    scenes = scenes_of(lengths)
    found = spans(scenes, edges)
    assert (found[0].start_sec, found[-1].end_sec) == (scenes[0].start_sec, scenes[-1].end_sec)
    assert all(before.end_sec == after.start_sec for before, after in itertools.pairwise(found))
    if scenes[-1].end_sec - scenes[0].start_sec >= SHORTEST_SEC:
        assert all(SHORTEST_SEC - 1e-9 <= span.length_sec <= LONGEST_SEC + 1e-9 for span in found)
    else:
        assert len(found) == 1


@given(LENGTHS, EDGES)
def test_every_edge_is_a_cut_of_a_scene_or_of_speech_or_where_nobody_speaks(
    lengths: list[float], edges: list[float]
) -> None:
    scenes = scenes_of(lengths)
    known = {edge for scene in scenes for edge in scene} | set(edges)
    for before, after in itertools.pairwise(spans(scenes, edges)):
        if before.end_sec not in known:
            latest = min(before.start_sec + LONGEST_SEC, before.end_sec)
            assert not any(before.start_sec + SHORTEST_SEC <= edge <= latest for edge in edges)
            assert before.length_sec == pytest.approx(LONGEST_SEC) or after.length_sec <= LONGEST_SEC


@pytest.mark.parametrize(
    ("lengths", "edges", "expected"),
    [
        ([9.0], [], [(0, 9)]),
        ([3.0, 4.0, 5.0], [], [(0, 12)]),
        ([10.0, 10.0, 30.0], [], [(0, 20), (20, 50)]),
        ([20.0, 20.0, 5.0], [], [(0, 20), (20, 45)]),
        ([130.0], [31.0, 58.5, 61.0, 119.0], [(0, 58.5), (58.5, 115)]),
        ([130.0], [], [(0, 60), (60, 115), (115, 130)]),
        ([62.0], [20.0, 60.0], [(0, 20), (20, 62)]),
    ],
)
def test_examples(lengths: list[float], edges: list[float], expected: list[tuple[float, float]]) -> None:
    assert [tuple(span) for span in spans(scenes_of(lengths), edges)][: len(expected)] == expected
