"""Labels without an LLM."""

import numpy as np
import pytest

from clipfarm_assets.tasks.labels import WordCounts, local_label, nearest_to_centroid
from clipfarm_assets_tests.tasks.labelled_set import labelled


def test_titles_of_the_labelled_groups_have_five_to_ten_words_and_their_own_keywords() -> None:
    data = labelled()
    rows = {
        group: [r for r, g in enumerate(data.groups) if g == group] for group in dict.fromkeys(data.groups) if group
    }
    told = {group: [data.segments[row].description for row in of] for group, of in rows.items()}
    corpus = WordCounts.of(told.values())
    labels = {group: local_label(told[group], data.vectors[rows[group]], corpus) for group in rows}
    assert all(5 <= len(label.title.split()) <= 10 for label in labels.values())
    assert {label.description for label in labels.values()} <= {d for of in told.values() for d in of}
    assert set(labels["coupon_code"].keywords) & {"coupon", "discount", "code"}
    assert set(labels["speedrun_record"].keywords) & {"speedrun", "record"}
    assert len({label.title for label in labels.values()}) == len(labels)


@pytest.mark.parametrize("description", ["", "Crash.", "Ошибка входа.", "a", "!" * 40, "word " * 400])
def test_any_description_gives_a_title_of_five_to_ten_words(description: str) -> None:
    label = local_label([description], np.ones((1, 4), np.float32), WordCounts.of([[description]]))
    assert 5 <= len(label.title.split()) <= 10 and label.description


def test_the_description_is_that_of_the_segment_nearest_the_centroid() -> None:
    unit = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    assert nearest_to_centroid(unit, 2)[0] == 1
    assert local_label(["left", "middle", "right"], unit, WordCounts.of([["left"]])).description == "middle"
