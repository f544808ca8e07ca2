"""A video as stages see it."""

import hashlib
import pickle
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.metadata.rows import COLUMNS, Video, fields_hash, valid_video_id
from clipfarm_assets.metadata.tables import VIDEOS_SCHEMA


def test_fields_tables_and_columns_have_one_order() -> None:
    names = [each.name for each in fields(Video)]
    assert names == VIDEOS_SCHEMA.names
    assert names[: len(COLUMNS)] == list(COLUMNS)


def test_the_hash_is_sha256_over_canonical_json() -> None:
    video = Video("v", "u", title="é")
    expected = hashlib.sha256('{"duration_seconds":null,"title":"é","url":"u"}'.encode()).hexdigest()
    assert fields_hash(video, ["url", "title", "duration_seconds"]) == expected
    assert fields_hash(video, ["title", "url", "duration_seconds"]) == expected


def test_only_the_named_fields_count() -> None:
    video = Video("v", "u", title="old")
    assert fields_hash(video, ["url"]) == fields_hash(replace(video, title="new", view_count=9), ["url"])
    assert fields_hash(video, ["title"]) != fields_hash(replace(video, title="new"), ["title"])


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="no field extra, titel"):
        Video("v", "u").shape(["titel", "url", "extra"])


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
