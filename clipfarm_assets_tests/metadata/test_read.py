"""What one reading of the metadata file keeps, refuses and remembers."""

from pathlib import Path

import pyarrow as pa
import pytest

from clipfarm_assets.errors import MetadataFileError
from clipfarm_assets.metadata.read import file_fingerprint, read_metadata
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.metadata.tables import (
    SNAPSHOTS_SCHEMA,
    VIDEOS_SCHEMA,
    MetadataTables,
    data_version,
    tables_from_parquet,
    tables_to_parquet,
)
from clipfarm_assets_tests.metadata.files import csv_bytes, reasons_of, row, videos_of


@pytest.fixture
def two() -> MetadataTables:
    return read_metadata(csv_bytes([row("b", title="B"), row("a", title="A", view_count="3")]))


def test_a_file_with_the_two_required_columns_is_enough() -> None:
    tables = read_metadata(b"video_id,url\nv1,u1")
    assert videos_of(tables) == {"v1": Video("v1", "u1")}
    assert tables.videos.schema == VIDEOS_SCHEMA
    assert tables.snapshots.schema == SNAPSHOTS_SCHEMA


def test_videos_are_sorted_and_snapshots_in_file_order(two: MetadataTables) -> None:
    assert two.videos["video_id"].to_pylist() == ["a", "b"]
    assert two.snapshots["video_id"].to_pylist() == ["b", "a"]
    assert two.snapshots["line"].to_pylist() == [2, 3]


@pytest.mark.parametrize(
    ("times", "latest"),
    [
        (["2026-01-02", "2026-01-01"], 0),
        (["2026-01-01", "2026-01-01T00:00:00Z"], 1),
        (["", ""], 1),
        (["1970-01-01", ""], 0),
        (["1900-01-01", ""], 0),
        (["2026-01-01T12:00+02:00", "2026-01-01T11:00", "2026-01-01T09:00Z"], 1),
    ],
)
def test_the_latest_row_has_the_greatest_captured_at_and_the_later_wins_ties(times: list[str], latest: int) -> None:
    rows = [row("v", captured_at=time, title=str(place)) for place, time in enumerate(times)]
    tables = read_metadata(csv_bytes(rows))
    assert videos_of(tables)["v"].title == str(latest)
    assert tables.snapshots.num_rows == len(times)


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("20260131", "2026-01-31T00:00:00Z"),
        ("2026-01-31T10:20", "2026-01-31T10:20:00Z"),
        ("2026-01-31 10:20:30 UTC", "2026-01-31T10:20:30Z"),
        ("2026-01-31t10:20:30z", "2026-01-31T10:20:30Z"),
        ("2026-01-31T10:20:30.5+05:30", "2026-01-31T04:50:30.500000Z"),
        ("1969-12-31T23:59:59.25", "1969-12-31T23:59:59.250000Z"),
        ("1700000000", "2023-11-14T22:13:20Z"),
        (" 1700000000.0 ", "2023-11-14T22:13:20Z"),
        ("", ""),
    ],
)
def test_times_are_normalised_to_utc(text: str, iso: str) -> None:
    video = videos_of(read_metadata(csv_bytes([row("v", captured_at=text, published_at=text)])))["v"]
    assert (video.captured_at, video.published_at) == (iso, iso)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("video_id", ""),
        ("video_id", "a/b"),
        ("video_id", "a..b"),
        ("video_id", "."),
        ("video_id", "é"),
        ("video_id", "x" * 129),
        ("video_id", "video_id"),
        ("url", " "),
        ("view_count", "-1"),
        ("view_count", "1.5"),
        ("view_count", "1e3"),
        ("view_count", "1_000"),
        ("view_count", "٣"),
        ("view_count", "9" * 19),
        ("duration_seconds", "nan"),
        ("duration_seconds", "1e999"),
        ("duration_seconds", "PT15S"),
        ("captured_at", "yesterday"),
        ("captured_at", "2026-02-30"),
        ("captured_at", "2026-01-01T25:00"),
        ("published_at", "0001-01-01"),
        ("removed", "maybe"),
        ("title", "nul\0"),
    ],
)
def test_a_wrong_value_quarantines_its_row_and_names_the_field(field: str, text: str) -> None:
    tables = read_metadata(csv_bytes([row("good"), row("bad") | {field: text}, row("good2")]))
    assert list(videos_of(tables)) == ["good", "good2"]
    assert list(reasons_of(tables)) == [3]
    assert reasons_of(tables)[3].startswith(f"{field}: ")


def test_bytes_that_are_not_utf8_quarantine_their_row_alone() -> None:
    tables = read_metadata(b"video_id,url,title\nv1,u,caf\xe9\nv2,u,caf\xc3\xa9\n")
    assert reasons_of(tables) == {2: "title: is not UTF-8."}
    assert tables.quarantine["raw"].to_pylist() == ["v1,u,caf\\xe9"]
    assert videos_of(tables)["v2"].title == "café"


@pytest.mark.parametrize(
    ("text", "removed"),
    [("true", True), ("YES", True), ("1", True), ("", False), ("False", False), ("no", False), ("0", False)],
)
def test_removed_is_read_in_its_usual_spellings(text: str, removed: bool) -> None:
    assert videos_of(read_metadata(csv_bytes([row("v", removed=text)])))["v"].removed is removed


def test_counts_written_as_floats_are_whole_numbers() -> None:
    assert videos_of(read_metadata(csv_bytes([row("v", view_count="12.0")])))["v"].view_count == 12


def test_team_and_user_have_their_defaults() -> None:
    rows = [row("a", channel_id="ch"), row("b", channel_id="ch", creator_id="cr"), row("c", user_id="me", team="t")]
    videos = videos_of(read_metadata(csv_bytes(rows)))
    assert [(v.team, v.user_id) for v in videos.values()] == [("default", "ch"), ("default", "cr"), ("t", "me")]


def test_unknown_columns_are_kept_by_name() -> None:
    tables = read_metadata(b"mood,video_id,,url\nglad,v1,7,u\n")
    assert videos_of(tables)["v1"].extra == {"mood": "glad", "unnamed_3": "7"}


def test_crlf_and_a_byte_order_mark_make_no_difference(two: MetadataTables) -> None:
    content = csv_bytes([row("b", title="B"), row("a", title="A", view_count="3")], end="\r\n")
    again = read_metadata(b"\xef\xbb\xbf" + content)
    assert again.snapshots.equals(two.snapshots)
    assert data_version(again, VIDEOS_SCHEMA.names) == data_version(two, VIDEOS_SCHEMA.names)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\n\n", "empty"),
        (b"id,url\nv,u\n", "lacks video_id; it has 'id', 'url'"),
        (b"a,b\n", "lacks video_id and url"),
        (b"video_id;url\n", "'video_id;url'"),
        (b"video_id,url,url\n", "'url' more than once"),
        ("video_id,url\n".encode("utf-16"), "UTF-16"),
        ("video_id,url\n".encode("utf-16-le"), "NUL"),
        (b'video_id,"url\nv,u\n', "line 1"),
        (b"video_id,url\rv,u\r", "carriage return"),
        (b"PK\x03\x04....", "spreadsheet"),
    ],
)
def test_a_file_that_is_no_metadata_says_what_it_is(content: bytes, said: str) -> None:
    with pytest.raises(MetadataFileError, match=said):
        read_metadata(content)


def test_a_missing_file_is_a_metadata_file_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(MetadataFileError, match="cannot be read"):
            read_metadata(path)


def test_a_header_alone_is_no_video_and_loses_none(two: MetadataTables) -> None:
    assert read_metadata(b"video_id,url\n").videos.num_rows == 0
    kept = videos_of(read_metadata(b"video_id,url\n", previous=two))
    assert [(v.title, v.presence) for v in kept.values()] == [("A", "missing"), ("B", "missing")]


def test_a_video_that_comes_back_is_present_again(two: MetadataTables) -> None:
    gone = read_metadata(csv_bytes([row("c")]), previous=two)
    back = videos_of(read_metadata(csv_bytes([row("a"), row("c")]), previous=gone))
    assert {name: video.presence for name, video in back.items()} == {"a": "present", "b": "missing", "c": "present"}


def test_a_quarantined_row_leaves_the_earlier_good_row_in_force(two: MetadataTables) -> None:
    same_file = read_metadata(csv_bytes([row("a", title="good"), row("a", title="bad", view_count="x")]))
    assert videos_of(same_file)["a"].title == "good"
    earlier_file = videos_of(read_metadata(csv_bytes([row("a", view_count="x"), row("b")]), previous=two))
    assert (earlier_file["a"].title, earlier_file["a"].presence) == ("A", "present")


def test_fingerprints_are_taken_of_present_videos_and_kept_of_missing_ones() -> None:
    asked: list[str] = []

    def fingerprint(name: str) -> str:
        asked.append(name)
        return f"print of {name}"

    first = read_metadata(csv_bytes([row("a", transcript_path="a.srt"), row("b")]), fingerprint=fingerprint)
    assert asked == ["https://v.example/a.mp4", "https://v.example/b.mp4", "a.srt"]
    assert videos_of(first)["a"].transcript_fingerprint == "print of a.srt"
    assert videos_of(first)["b"].transcript_fingerprint is None
    second = videos_of(read_metadata(csv_bytes([row("b")]), previous=first))
    assert second["a"].url_fingerprint == "print of https://v.example/a.mp4"
    assert second["b"].url_fingerprint is None


def test_a_file_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(b"one")
    before = file_fingerprint(path)
    assert file_fingerprint(path) == before
    path.write_bytes(b"three")
    assert file_fingerprint(path) != before


def test_tables_come_back_from_parquet_as_they_were_byte_for_byte() -> None:
    tables = read_metadata(csv_bytes([row("a", mood="x", captured_at="2026-01-01"), row("b", view_count="x")]))
    contents = tables_to_parquet(tables)
    assert sorted(contents) == [f"clipfarm/metadata/{n}.parquet" for n in ("quarantine", "snapshots", "videos")]
    back = tables_from_parquet(contents)
    assert back == tables
    assert tables_to_parquet(back) == contents
    assert data_version(back, VIDEOS_SCHEMA.names) == data_version(tables, VIDEOS_SCHEMA.names)


def test_parquet_that_is_not_the_table_is_refused(two: MetadataTables) -> None:
    contents = tables_to_parquet(two)
    key = "clipfarm/metadata/videos.parquet"
    for wrong in (b"torn", contents[key][:-9], contents["clipfarm/metadata/quarantine.parquet"]):
        with pytest.raises(MetadataFileError, match=r"videos\.parquet"):
            tables_from_parquet(contents | {key: wrong})


def test_data_version_knows_content_and_nothing_of_the_file(two: MetadataTables) -> None:
    shuffled = read_metadata(csv_bytes([row("a", title="A", view_count="3"), row("b", title="B")]))
    assert data_version(shuffled, VIDEOS_SCHEMA.names) == data_version(two, VIDEOS_SCHEMA.names)
    changed = read_metadata(csv_bytes([row("a", title="A", view_count="4"), row("b", title="B")]))
    assert data_version(changed, VIDEOS_SCHEMA.names) != data_version(two, VIDEOS_SCHEMA.names)
    missing = read_metadata(b"video_id,url\n", previous=two)
    assert data_version(missing, VIDEOS_SCHEMA.names) != data_version(two, VIDEOS_SCHEMA.names)
    rechunked = MetadataTables(pa.concat_tables([two.videos[:1], two.videos[1:]]), two.snapshots, two.quarantine)
    assert data_version(rechunked, VIDEOS_SCHEMA.names) == data_version(two, VIDEOS_SCHEMA.names)
    assert tables_to_parquet(rechunked) == tables_to_parquet(two)


def test_the_first_capture_stays_when_snapshots_are_appended_or_the_file_keeps_only_the_newest() -> None:
    old, new = row("a", captured_at="2026-01-01T00:00:00Z"), row("a", captured_at="2026-02-01T00:00:00Z")
    one, both, newest = csv_bytes([old]), csv_bytes([new, old, row("b")]), csv_bytes([new])
    first = read_metadata(one)
    readings = [first, read_metadata(both), read_metadata(newest, previous=first), read_metadata(one)]
    for reading in readings:
        assert videos_of(reading)["a"].first_captured_at == "2026-01-01T00:00:00Z"
    assert videos_of(read_metadata(newest))["a"].first_captured_at == "2026-02-01T00:00:00Z"
    assert videos_of(readings[1])["b"].first_captured_at == videos_of(readings[1])["b"].captured_at
