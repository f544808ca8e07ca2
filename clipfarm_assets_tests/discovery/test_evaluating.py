"""The live index measured against judgments."""

from dataclasses import replace

import pytest

from clipfarm_assets.discovery.evaluating import evaluate
from clipfarm_assets_tests.discovery.making import NOW, World


def test_the_answers_of_the_live_index_are_measured_by_all_that_is_judged(world: World) -> None:
    judged = {
        "valorant ace": {"video/ace": 2, "video/gone-4": 4, "video/gone-3": 3, "video/gone-1": 1, "video/gone-0": 0},
        "making a loaf in your own oven": {"video/bread": 4},
        "sourdough": {"video/hanami": 1},
    }
    found = evaluate(world.room, judged, NOW)
    assert round(found.ndcg_10["valorant ace"]["text"], 2) == 0.14  # one hit of relevance 2 where 4 and 3 exist too
    assert found.ndcg_10["making a loaf in your own oven"] == {"text": 0.0, "semantic": 1.0, "hybrid": 1.0}
    assert found.quality["text"].mrr == 0.5 and found.quality["semantic"].mrr == 1.0
    assert found.quality["text"].recall == pytest.approx((1 / 3 + 0) / 2)
    assert found.left_out == ("sourdough",) and found.quality["text"].queries == 2
    assert set(found.not_indexed) == {f"video/gone-{n}" for n in (0, 1, 3, 4)}


def test_a_query_without_a_vector_leaves_no_figure_where_meaning_is_searched(world: World) -> None:
    world.rows["ace"] = replace(world.rows["ace"], title="The poison ace")
    world.run()
    found = evaluate(world.room, {"poison ace": {"video/ace": 4}}, NOW)
    assert found.quality.keys() == {"text"} and found.quality["text"].mrr == 1
    assert found.unmeasured == {"semantic": "No.", "hybrid": "No."}


def test_where_nothing_judged_is_relevant_there_is_no_figure_at_all(world: World) -> None:
    found = evaluate(world.room, {"ace": {"video/ace": 1}}, NOW)
    assert found.quality == {} and set(found.unmeasured) == {"text", "semantic", "hybrid"}
