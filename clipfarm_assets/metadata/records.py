"""From bytes to CSV records, with a recovery that no quote can defeat.

A physical line ends in LF or CRLF. A record is what RFC 4180 says, read strictly: a quoted field may hold commas, line
ends and doubled quotes, and nothing but a comma or a line end follows its closing quote. One leniency is common usage:
a quote inside a field that does not begin with one is a character like any other. A carriage return outside of quotes
that is no part of a line end breaks its record.

The rule of recovery, in three parts:

1. Reading starts at a line. Where the record that starts there is well formed, has the header's number of fields and
   at most ``MAX_RECORD_CHARS`` characters, it is the record, over however many lines it runs. What a file writes
   correctly is never second-guessed: a description may hold lines that look like rows, and they stay text.
2. Otherwise that one physical line is refused, with a reason, and reading starts anew at the very next line.
3. Lines of nothing but white space between records are skipped.

So an unclosed quote costs its own line. It reaches further only where a later quote closes it so exactly that the whole
is well formed and has the right number of fields; then the file says just that, and nobody could tell. The text after
a refused first line is read as lines of their own: the rest of a broken many-line field is refused line by line, except
for a line that is a whole row.

Every line between the header and the end of the file is in exactly one record or refusal, or is blank. Time is linear
in the file: a record that is begun in vain ends at the next line with an odd number of quotes.
"""

import csv
from collections.abc import Generator, Iterator
from contextlib import suppress
from io import StringIO
from itertools import islice
from typing import BinaryIO, NamedTuple

MAX_RECORD_CHARS = 131_072
_MAX_LINE_BYTES = 4 * MAX_RECORD_CHARS + 1  # UTF-8 takes four bytes a character at most: a cut line is too long
_BLOCK_BYTES = 1 << 20
_LINES = 1_024


class Record(NamedTuple):
    """A well-formed record over the physical lines ``line`` to ``last_line``, both counted from 1."""

    line: int
    last_line: int
    text: str
    fields: list[str]


class Refused(NamedTuple):
    """What cannot be a row, and why. ``fields`` is what could be read of it."""

    line: int
    last_line: int
    text: str
    reason: str
    fields: list[str]


class LineFeed:
    """The physical lines of ``stream``, decoded, with a place in them; for ``csv.reader``, an iterator from there.

    Bytes that are not UTF-8 become lone surrogates (``surrogateescape``). Of a line longer than any record may be, the
    start is kept. As an iterator it stops where the record at hand grows past ``MAX_RECORD_CHARS``.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._block = StringIO()
        self.lines: list[str] = []  # from the record at hand on
        self.ahead = 0  # how many of ``lines`` the record at hand has taken
        self.chars = 0  # and their characters
        self.done = 0  # how many lines of the file come before ``lines``

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.ahead == len(self.lines):
            self.lines += self._read_lines()
        if self.ahead == len(self.lines):
            raise StopIteration
        line = self.lines[self.ahead]
        if self.ahead and self.chars + len(line) > MAX_RECORD_CHARS:
            raise StopIteration
        self.ahead += 1
        self.chars += len(line)
        return line

    def begin(self, after: int = 0) -> bool:
        """A record begins ``after`` lines further on. Whether there is a line for it."""
        self.lines = self.lines[after:] or self._read_lines()
        self.done += after
        self.ahead = 0
        self.chars = 0
        return bool(self.lines)

    def _read_lines(self) -> list[str]:
        """Some more lines; a few at a time, since those behind a trouble are copied."""
        if lines := list(islice(self._block, _LINES)):
            return lines
        block = self._stream.read(_BLOCK_BYTES)
        end = self._stream.readline(_MAX_LINE_BYTES)
        piece = end
        while len(piece) == _MAX_LINE_BYTES and not piece.endswith(b"\n"):
            piece = self._stream.readline(_MAX_LINE_BYTES)
        self._block = StringIO((block + end).decode("utf-8", "surrogateescape"), newline="\n")
        return list(islice(self._block, _LINES))


def read_records(feed: LineFeed, width: int) -> Iterator[Record | Refused]:
    """The records and refusals of ``feed`` in file order; ``width`` is the header's number of fields."""
    after = 0
    while feed.begin(after):
        after = yield from _undisturbed(feed, width)
        if feed.begin(after):
            found = read_one(feed, width)
            after = feed.ahead if isinstance(found, Record) else 1
            if found is not None:
                yield found


def _undisturbed(feed: LineFeed, width: int) -> Generator[Record, None, int]:
    """The records among the lines at hand up to the first trouble, or their end; returns how many lines they took.

    The quick way of ``read_one``, for records that it would give alike.
    """
    reader = csv.reader(feed.lines, strict=True)
    last = 0
    with suppress(csv.Error):
        for fields in reader:
            here = reader.line_num
            text = feed.lines[last] if here == last + 1 else "".join(feed.lines[last:here])
            if len(fields) != width or len(text) > MAX_RECORD_CHARS:
                break
            yield Record(feed.done + last + 1, feed.done + here, text, fields)
            last = here
    return last


def read_one(feed: LineFeed, width: int | None) -> Record | Refused | None:
    """What begins at the line at hand, of ``width`` fields or (None) any; None where that line is blank."""
    line = feed.done + 1
    if not feed.lines[0].strip():
        return None
    problem = None
    fields: list[str] = []
    try:
        fields = next(csv.reader(feed, strict=True))
    except csv.Error as error:
        problem = str(error)
    if problem is None and width in (len(fields), None) and feed.chars <= MAX_RECORD_CHARS:
        return Record(line, feed.done + feed.ahead, "".join(feed.lines[: feed.ahead]), fields)
    first = feed.lines[0]
    return Refused(line, line, first, _reason(feed, problem, len(fields), width), _readable_fields(first))


def _readable_fields(text: str) -> list[str]:
    try:
        return next(csv.reader([text[:MAX_RECORD_CHARS]]), [])
    except csv.Error:
        return []


def _reason(feed: LineFeed, problem: str | None, found: int, width: int | None) -> str:
    if len(feed.lines[0]) > MAX_RECORD_CHARS:
        return f"The row is longer than {MAX_RECORD_CHARS:,} characters."
    if feed.ahead > 1 or (problem and "unexpected end" in problem):
        return "A quote is opened on this line and not closed."
    if problem is None:
        return f"The row has {found} fields and the header {width}: cut short, or a comma that is not quoted."
    if "new-line character" in problem:
        return "A carriage return stands inside a field that is not quoted."
    return "Text follows a closing quote: a quote inside a quoted field must be doubled."
