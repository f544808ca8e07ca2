"""No quote, NUL or torn byte in the metadata file loses a good row."""

import csv
import io
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfarm_assets.errors import MetadataFileError
from clipfarm_assets.metadata.convert import Header, convert
from clipfarm_assets.metadata.read import read_metadata
from clipfarm_assets.metadata.records import MAX_RECORD_CHARS, LineFeed, Record, Refused, read_one
from clipfarm_assets.metadata.tables import MetadataTables
from clipfarm_assets_tests.metadata.files import HEADER, plain_reading, reasons_of

QUOTING: tuple[Literal[0, 1, 2], ...] = (csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC)
HEAD = ",".join(HEADER).encode() + b"\n"


def spans(tables: MetadataTables) -> list[tuple[int, int]]:
    """First and last line of every good and every quarantined row."""
    found = [
        pair
        for table in (tables.snapshots, tables.quarantine)
        for pair in zip(table["line"].to_pylist(), table["last_line"].to_pylist(), strict=True)
    ]
    return sorted(found)


def not_blank(content: bytes) -> list[int]:
    """The numbers of the lines that hold more than white space, without the header's."""
    lines = content.split(b"\n")
    return [n for n, line in enumerate(lines, 1) if n > 1 and line.decode("utf-8", "surrogateescape").strip()]


fragments = st.sampled_from(
    [
        b'"',
        b'""',
        b",",
        b"\n",
        b"\r\n",
        b"\r",
        b"v1",
        b"v2,u,t,3",
        b'"v3","u","a\nb","4"',
        b"\n",
        b" ",
        b"\0",
        b"\xff",
        b"x",
    ]
)
files = st.lists(fragments, max_size=40).map(b"".join)


@given(files)
@settings(max_examples=200, deadline=None)
def test_records_are_those_of_the_plain_reading(body: bytes) -> None:
    plain = plain_reading(HEAD + body, len(HEADER), MAX_RECORD_CHARS)
    tables = read_metadata(HEAD + body)
    assert spans(tables) == [(each.line, each.last_line) for each in plain]
    titles = {each.line: each.fields[2] for each in plain if each.fields}
    for line, title in zip(tables.snapshots["line"].to_pylist(), tables.snapshots["title"].to_pylist(), strict=True):
        assert titles[line] == title


@given(files)
@settings(max_examples=200, deadline=None)
def test_every_line_that_is_not_blank_is_in_exactly_one_row_or_quarantine(body: bytes) -> None:
    tables = read_metadata(HEAD + body)
    covered = [line for first, last in spans(tables) for line in range(first, last + 1)]
    assert len(covered) == len(set(covered))
    assert set(not_blank(HEAD + body)) <= set(covered)
    assert all(reasons_of(tables).values())


@given(st.binary(max_size=300), st.booleans())
@settings(max_examples=200, deadline=None)
def test_bytes_of_any_kind_raise_nothing_but_metadata_file_error(body: bytes, with_header: bool) -> None:
    try:
        read_metadata(HEAD + body if with_header else body)
    except MetadataFileError as error:
        assert not with_header, error


# A quote that was never closed can be closed only by a quoted field whose text, quotes aside, begins with a comma or
# a line end; such a field makes the file ambiguous, and the plain reading above says what happens then.
titles = st.text(st.sampled_from('ab ,"\n\ré€'), max_size=8).filter(lambda t: t.lstrip('"')[:1] not in set(",\r\n"))
garbage_lines = st.text(st.sampled_from("ab,;\0\r\udcff\udc80 é"), max_size=12)
stray_quotes = st.sampled_from(['"', 'v9,u,"never closed', 'v9,"u","t"x,3', '"""', 'v9,u,"", "', ',,,"', 'a,b,"t,3'])


@given(st.lists(titles, min_size=1, max_size=8), st.data())
@settings(max_examples=200, deadline=None)
def test_a_good_row_survives_whatever_stands_around_it(texts: list[str], data: st.DataObject) -> None:
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    quoting = data.draw(st.sampled_from(QUOTING))
    pieces = []
    for number, title in enumerate(texts):
        out = io.StringIO()
        needed: Literal[0, 1, 2, 3] = (
            csv.QUOTE_ALL if "\r" in title else quoting
        )  # Python's writer leaves a lone CR bare
        csv.writer(out, quoting=needed, lineterminator=end).writerow([f"good{number}", "u", title, number])
        pieces.append(out.getvalue())
    for text in [*data.draw(st.lists(garbage_lines, max_size=4)), *data.draw(st.lists(stray_quotes, max_size=1))]:
        pieces.insert(data.draw(st.integers(0, len(pieces))), text + "\n")
    if data.draw(st.booleans()):
        pieces.append('tail,u,"cut sho')
    mark = data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    tables = read_metadata(mark + HEAD + "".join(pieces).encode("utf-8", "surrogateescape"))
    found = dict(zip(tables.snapshots["video_id"].to_pylist(), tables.snapshots["title"].to_pylist(), strict=True))
    assert found == {f"good{number}": title for number, title in enumerate(texts)}


@given(st.lists(st.tuples(*[st.sampled_from(["", "v1", "a/b", "x\0", "\udcff", "7", "-1", "é"])] * 4), max_size=6))
@settings(max_examples=200, deadline=None)
def test_rows_are_judged_alike_together_and_alone(rows: list[tuple[str, ...]]) -> None:
    header = Header.of(HEADER)
    records = [Record(n, n, ",".join(fields), list(fields)) for n, fields in enumerate(rows)]
    good, bad = convert(header, records)
    alone = [convert(header, [record]) for record in records]
    assert good.to_pylist() == [found for one, _ in alone for found in one.to_pylist()]
    assert bad == [found for _, some in alone for found in some]


def test_an_unclosed_quote_in_the_middle_costs_its_own_line() -> None:
    rows = b"".join(b"v%d,u,t,1\n" % n for n in range(5000))
    tables = read_metadata(HEAD + rows + b'bad,u,"open,1\n' + rows.replace(b"v", b"w"))
    assert tables.snapshots.num_rows == 10_000
    assert reasons_of(tables) == {5002: "A quote is opened on this line and not closed."}
    assert tables.quarantine["video_id"].to_pylist() == ["bad"]


def test_an_unclosed_quote_at_the_end_costs_its_own_line() -> None:
    tables = read_metadata(HEAD + b'v1,u,t,1\nv2,u,"cut sho')
    assert tables.snapshots["video_id"].to_pylist() == ["v1"]
    assert reasons_of(tables) == {3: "A quote is opened on this line and not closed."}


def test_a_line_that_looks_like_a_row_stays_text_inside_a_quoted_field() -> None:
    tables = read_metadata(HEAD + b'v1,u,"hello\nevil,http://evil.example,t,1\nbye",1\n')
    assert tables.videos["video_id"].to_pylist() == ["v1"]
    assert tables.snapshots.select(["line", "last_line"]).to_pylist() == [{"line": 2, "last_line": 4}]


def test_two_records_across_blocks_keep_their_lines() -> None:
    filler = b"".join(b'v%d,u,"two\nlines",1\n' % n for n in range(60_000))
    tables = read_metadata(HEAD + filler + b"v,u\n")
    assert tables.snapshots.num_rows == 60_000
    assert tables.snapshots["line"].to_pylist() == list(range(2, 120_002, 2))
    assert list(reasons_of(tables)) == [120_002]


@pytest.mark.parametrize("length", [MAX_RECORD_CHARS + 1, 5 * MAX_RECORD_CHARS, 2_000_000, 6_000_000])
@pytest.mark.parametrize("letter", ["x", "€", '"', "\0"])
def test_a_row_longer_than_any_may_be_is_quarantined_alone(length: int, letter: str) -> None:
    content = HEAD + b"v1,u,t,1\nbig,u," + (letter * length).encode() + b",1\nv2,u,t,1\n"
    tables = read_metadata(content)
    assert tables.snapshots["video_id"].to_pylist() == ["v1", "v2"]
    assert tables.snapshots["line"].to_pylist() == [2, 4]
    assert "longer than" in reasons_of(tables)[3]
    assert len(tables.quarantine["raw"][0].as_py()) <= 10_000


def test_a_field_of_the_greatest_length_is_kept() -> None:
    title = "x" * (MAX_RECORD_CHARS - len("v1,u,,1\n"))
    assert read_metadata(HEAD + f"v1,u,{title},1\n".encode()).snapshots["title"].to_pylist() == [title]


def test_many_blank_lines_and_stray_quotes_take_time_in_proportion() -> None:
    tables = read_metadata(HEAD + b"\n" * 300_000 + b'"\n' * 20_001 + b"v1,u,t,1\n")
    assert tables.snapshots["video_id"].to_pylist() == ["v1"]


def test_an_unclosed_quote_is_followed_no_further_than_a_record_may_be_long() -> None:
    stream = io.BytesIO(b'v,u,"open\n' + b"v1,u,t,1\n" * 1_000_000)
    feed = LineFeed(stream)
    assert feed.begin()
    assert isinstance(read_one(feed, len(HEADER)), Refused)
    assert stream.tell() < 3_000_000
    assert sum(map(len, feed.lines)) < 2 * MAX_RECORD_CHARS
