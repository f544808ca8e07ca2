"""Labels without an LLM."""

import pytest

from clipfarm_assets.tasks.labels import WordCounts, local_label
from clipfarm_assets_tests.tasks.labelled_set import labelled


def test_titles_of_the_labelled_groups_have_five_to_ten_words_and_their_own_keywords() -> None:
    data = labelled()
    told: dict[str, list[str]] = {}
    for group, segment in zip(data.groups, data.segments, strict=True):
        if group:
            told.setdefault(group, []).append(segment.description)
    corpus = WordCounts.of(told.values())
    labels = {group: local_label(descriptions, corpus) for group, descriptions in told.items()}
    assert all(5 <= len(label.title.split()) <= 10 for label in labels.values())
    assert {label.description for label in labels.values()} <= {d for of in told.values() for d in of}
    assert set(labels["coupon_code"].keywords) & {"coupon", "discount", "code"}
    assert set(labels["speedrun_record"].keywords) & {"speedrun", "record"}
    assert len({label.title for label in labels.values()}) == len(labels)


@pytest.mark.parametrize("description", ["", "Crash.", "Ошибка входа.", "a", "!" * 40, "word " * 400])
def test_any_description_gives_a_title_of_five_to_ten_words(description: str) -> None:
    label = local_label([description], WordCounts.of([[description]]))
    assert 5 <= len(label.title.split()) <= 10 and label.description


def test_the_description_is_that_of_the_segment_nearest_the_centroid() -> None:
    assert local_label(["middle", "left", "right"], WordCounts.of([["left"]])).description == "middle"
