"""The figures of quality against values worked out by hand, and the quality that the project promises."""

from math import log2
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.search_quality import TARGETS, answerers, measured
from clipfarm_assets.search.evaluation import ndcg, precision, quality, recall, reciprocal_rank
from clipfarm_assets_tests.search.judged_set import corpus, queries

FIVE = {"a": 4, "b": 3, "c": 2, "d": 1, "e": 0}


def test_the_ideal_is_over_all_judged_documents() -> None:
    assert ndcg(["c"], FIVE, 5) == pytest.approx(3 / (15 + 7 / log2(3) + 3 / 2 + 1 / log2(5)))
    assert round(ndcg(["c"], FIVE, 5), 2) == 0.14


def test_figures_by_hand() -> None:
    ranked = ["x", "c", "d", "a"]
    assert reciprocal_rank(ranked, FIVE) == 1 / 2
    assert precision(ranked, FIVE, 10) == 2 / 10
    assert recall(ranked, FIVE, 10) == 2 / 3
    assert recall(ranked, FIVE, 3) == 1 / 3
    assert ndcg(["a", "b", "c", "d"], FIVE, 10) == 1
    assert ndcg(["a"], {"a": 0}, 5) == 0
    assert quality({"q": ["a"]}, {"q": FIVE, "unanswered": FIVE}).mrr == 0.5


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 4), min_size=1), st.permutations("abcdefgh"))
def test_no_order_is_better_than_the_ideal(judged: dict[str, int], ranked: list[str]) -> None:
    ideal = sorted(judged, key=lambda key: -judged[key])
    assert 0 <= ndcg(ranked, judged, 5) <= ndcg(ideal, judged, 5) + 1e-12
    assert ndcg(ideal, judged, 5) == pytest.approx(1.0 if any(judged.values()) else 0.0)


def test_answers_that_cheat_are_not_measured() -> None:
    with pytest.raises(ValueError, match="twice"):
        quality({"q": ["a", "a"]}, {"q": FIVE})
    with pytest.raises(ValueError, match="not 0 to 4"):
        quality({}, {"q": {"a": 5}})
    with pytest.raises(ValueError, match="nothing"):
        quality({}, {})


def test_the_judged_set_is_what_it_says() -> None:
    items, asked = corpus(), queries()
    assert (len(items), len(asked)) == (614, 76)
    assert len({query.text for query in asked}) == 76
    assert sum(query.tuned for query in asked) == 38
    assert items == corpus()


def test_hybrid_reaches_its_targets_and_is_no_worse_than_either_part(tmp_path: Path) -> None:
    items = corpus()
    ways = answerers(items, tmp_path)
    found = measured(items, [query for query in queries() if not query.tuned], ways)
    for figure, target in TARGETS.items():
        assert getattr(found["hybrid"], figure) >= target
        assert getattr(found["hybrid"], figure) >= max(getattr(found[part], figure) for part in ("text", "semantic"))
    assert found["text"].ndcg_10 > found["SQLite FTS5"].ndcg_10
