"""A video as stages see it."""

import pickle
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.metadata.rows import COLUMNS, Video, valid_video_id
from clipfarm_assets.metadata.tables import VIDEOS_SCHEMA


def test_fields_tables_and_columns_have_one_order() -> None:
    names = [each.name for each in fields(Video)]
    assert names == VIDEOS_SCHEMA.names
    assert names[: len(COLUMNS)] == list(COLUMNS)


def test_videos_cross_process_borders() -> None:
    video = Video("v", "u", extra={"mood": "glad"})
    assert pickle.loads(pickle.dumps(video)) == video


@pytest.mark.parametrize("text", ["a", "A-b_c.1", "x" * 128, ".hidden", "-v"])
def test_safe_ids_pass(text: str) -> None:
    assert valid_video_id(text) is None


@pytest.mark.parametrize("text", ["", ".", "..", "a..b", "a/b", "a b", "ä", "a\n", "x" * 129, "a\0", "٣"])
def test_unsafe_ids_are_named(text: str) -> None:
    assert valid_video_id(text)


@given(st.text(max_size=10))
def test_what_passes_is_a_plain_file_name(text: str) -> None:
    if valid_video_id(text) is None:
        assert text.isascii()
        assert not set(text) & set("/\\:\0 \n")
        assert text not in {"", ".", ".."}
