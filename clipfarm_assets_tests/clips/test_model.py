"""What numbers become: lengths, grades, rounding, ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clipfarm_assets.clips.model import (
    GRADES,
    LENGTHS,
    BatchConfig,
    LengthPreset,
    Timeframe,
    clip_id,
    grade_of,
    rounded,
    score_of,
)


def test_presets_are_those_of_the_contract() -> None:
    seconds = {preset.value: (each.min_ms / 1000, each.max_ms / 1000) for preset, each in LENGTHS.items()}
    assert seconds == {
        "auto_0_60": (15, 60), "0_30": (10, 30), "30_60": (30, 60), "60_90": (60, 90), "60_180": (60, 180),
        "0_90": (30, 90),
    }  # fmt: skip
    assert BatchConfig().clip_length_preset is LengthPreset.AUTO_0_60


@pytest.mark.parametrize(
    ("score", "grade"),
    [
        (10, "A+"), (9, "A+"), (8.9, "A"), (8, "A"), (7.5, "A-"), (7.4, "B+"), (7, "B+"), (6, "B"), (5.9, "B-"),
        (5.5, "B-"), (5, "C+"), (4, "C"), (3.5, "C-"), (2, "D"), (1.9, "F"), (0, "F"),
    ],
)  # fmt: skip
def test_a_score_has_the_grade_of_the_contract(score: float, grade: str) -> None:
    assert grade_of(score) == grade


def test_no_score_no_grade() -> None:
    assert grade_of(None) is None


@pytest.mark.parametrize("grade", GRADES)
def test_a_grade_becomes_a_score_of_that_grade(grade: str) -> None:
    assert grade_of(score_of(grade)) == grade


@pytest.mark.parametrize(
    ("value", "digits", "expected"),
    [(2.25, 1, 2.3), (2.35, 1, 2.4), (-2.25, 1, -2.3), (0.05, 1, 0.1), (1.005, 2, 1.01), (9.949999, 1, 9.9)],
)
def test_rounding_is_half_away_from_zero(value: float, digits: int, expected: float) -> None:
    assert rounded(value, digits) == expected


@given(st.text(max_size=40), st.integers(0, 10**7), st.integers(0, 10**7))
def test_ids_tell_batches_and_spans_apart(batch: str, start: int, end: int) -> None:
    others = [(batch, start, end + 1), (batch, start + 1, end), (f"{batch}1", start, end), (f"1{batch}", start, end)]
    assert clip_id(batch, start, end) == clip_id(batch, start, end)
    assert clip_id(batch, start, end) not in {clip_id(*other) for other in others}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"video_type": "film"}, "video_type"),
        ({"aspect_ratio": "4:3"}, "aspect_ratio"),
        ({"clip_length_preset": "0_60"}, "clip_length_preset"),
        ({"processing_timeframe": {"start": 10, "end": 10}}, "processing_timeframe"),
        ({"processing_timeframe": {"start": -1}}, "processing_timeframe"),
        ({"processing_timeframe": {"end": float("nan")}}, "processing_timeframe"),
        ({"include_specific_moments": "x" * 2001}, "include_specific_moments"),
        ({"something": 1}, "something"),
    ],
)
def test_what_is_not_in_the_lists_is_refused_by_name(values: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        BatchConfig.model_validate(values)
    assert caught.value.errors()[0]["loc"][0] == field


def test_a_timeframe_is_cut_to_the_video() -> None:
    assert Timeframe().within_ms(12.3456) == (0, 12345)
    assert Timeframe(start=1.0004, end=99).within_ms(12.0) == (1001, 12000)
    assert Timeframe(start=50).within_ms(12.0) == (50_000, 50_000)
