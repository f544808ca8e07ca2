"""From CSV records to typed columns, a batch at a time.

Every value goes through the parsers of ``values``. A batch without trouble is converted whole, column by column; where
any field of it is wrong, the same parsers single out the records at fault, and the others are converted.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Self

import pyarrow as pa

from clipfarm_assets.errors import MetadataFileError
from clipfarm_assets.metadata.records import Record, Refused
from clipfarm_assets.metadata.rows import COLUMNS, DEFAULT_TEAM, Value, valid_video_id
from clipfarm_assets.metadata.tables import EXTRA, QUARANTINE_SCHEMA, SNAPSHOTS_SCHEMA, TEXT, TIME, TYPES
from clipfarm_assets.metadata.values import PARSERS, unreadable

MAX_RAW_CHARS = 2_000
_SHOWN_NAMES = 40


@dataclass(frozen=True)
class Header:
    """Where each column of the file stands.

    Attributes:
        names: the file's columns in its order; a column without a name is ``unnamed_<position>``, counted from 1.
        places: position by column name, known and unknown.
        unknown: the columns that the platform does not know, by name.
    """

    names: tuple[str, ...]
    places: dict[str, int] = field(init=False)
    unknown: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {name: place for place, name in enumerate(self.names)})
        object.__setattr__(self, "unknown", tuple(sorted(set(self.names) - set(COLUMNS))))

    @classmethod
    def of(cls, fields: Sequence[str]) -> Self:
        """The header of the file's first record. Raises MetadataFileError where rows could not be read by it."""
        names = tuple(text.strip() or f"unnamed_{place}" for place, text in enumerate(fields, start=1))
        for text in names:
            if reason := unreadable(text):
                raise MetadataFileError(
                    f"The metadata file's header {reason}.", hint="Save the file as UTF-8; the previous state stays."
                )
        if missing := [name for name, column in COLUMNS.items() if column.required and name not in names]:
            shown = ", ".join(repr(name[:_SHOWN_NAMES]) for name in names[:_SHOWN_NAMES])
            raise MetadataFileError(
                f"The metadata file's header lacks {' and '.join(missing)}; it has {shown}.",
                hint="The first line names the columns, separated by commas; the previous state stays.",
            )
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise MetadataFileError(f"The metadata file's header names {', '.join(map(repr, twice))} more than once.")
        return cls(names)


def convert(header: Header, records: Sequence[Record]) -> tuple[pa.RecordBatch, list[Refused]]:
    """The good records as rows of ``snapshots``, in order, and the others with the field that is wrong."""
    try:
        return _batch(header, records), []
    except ValueError:
        suspects = _suspects(header, records)
    problems = {place: _problem(header, records[place]) for place in suspects}
    good = [record for place, record in enumerate(records) if place not in problems]
    bad = [Refused(*records[place][:3], problems[place], records[place].fields) for place in sorted(problems)]
    return _batch(header, good), bad


def _suspects(header: Header, records: Sequence[Record]) -> set[int]:
    """The places of the records of which some value is wrong; column by column, since most columns are right."""
    found = {place for place, record in enumerate(records) if unreadable(record.text)}
    for name in COLUMNS.keys() & header.places.keys():
        parse = PARSERS[COLUMNS[name].kind]
        texts = [record.fields[header.places[name]] for record in records]
        try:
            deque(map(parse, texts), maxlen=0)
        except ValueError:
            found.update(place for place, text in enumerate(texts) if not _reads(parse, text))
    return found


def _reads(parse: Callable[[str], Value], text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


def _problem(header: Header, record: Record) -> str:
    """What is wrong with the first wrong field of a record."""
    for name, text in zip(header.names, record.fields, strict=True):
        if reason := unreadable(text):
            return f"{name}: {reason}."
        if name in COLUMNS:
            try:
                PARSERS[COLUMNS[name].kind](text)
            except ValueError as error:
                return f"{name}: {error}."
    return "The row cannot be read."


def _batch(header: Header, records: Sequence[Record]) -> pa.RecordBatch:
    """The records as one batch. Raises ValueError where any value of any of them is wrong."""
    if reason := unreadable("".join([record.text for record in records])):
        raise ValueError(reason)
    texts = list(zip(*[record.fields for record in records], strict=True)) or [()] * len(header.names)
    known: dict[str, list[Value]] = {}
    for name, column in COLUMNS.items():
        if name in header.places:
            known[name] = list(map(PARSERS[column.kind], texts[header.places[name]]))
    _fill(known, len(records))
    arrays = [
        pa.array([record.line for record in records], pa.int64()),
        pa.array([record.last_line for record in records], pa.int64()),
    ]
    for name, values in known.items():
        kind = COLUMNS[name].kind
        arrays.append(pa.array(values, pa.int64()).cast(TIME) if kind == "time" else pa.array(values, TYPES[kind]))
    arrays.append(_extra(header.unknown, [texts[header.places[name]] for name in header.unknown], len(records)))
    return pa.record_batch(arrays, schema=SNAPSHOTS_SCHEMA)


def _fill(known: dict[str, list[Value]], count: int) -> None:
    """Every known column in the order of ``COLUMNS``, with the defaults of missing ones and of team and user_id."""
    for name, column in COLUMNS.items():
        absent: Value = False if column.kind == "flag" else None if TYPES[column.kind] != TEXT else ""
        known[name] = known.pop(name) if name in known else [absent] * count
    known["team"] = [team or DEFAULT_TEAM for team in known["team"]]
    owners = zip(known["user_id"], known["creator_id"], known["channel_id"], strict=True)
    known["user_id"] = [user or creator or channel for user, creator, channel in owners]


def _extra(names: Sequence[str], columns: Sequence[Sequence[str]], count: int) -> pa.MapArray:
    """The unknown columns as one map a row, its keys in the order of ``names``."""
    offsets = pa.array(range(0, count * len(names) + 1, len(names)) if names else [0] * (count + 1), pa.int32())
    keys = pa.array(list(names) * count, TEXT)
    items = pa.array(list(chain.from_iterable(zip(*columns, strict=True))), TEXT)
    return pa.MapArray.from_arrays(offsets, keys, items).cast(EXTRA)


def quarantine_table(header: Header, refused: Iterable[Refused]) -> pa.Table:
    """The refusals as the table ``quarantine``, by line."""
    place = header.places["video_id"]
    rows = sorted(refused)
    columns = [
        [each.line for each in rows],
        [each.last_line for each in rows],
        [_named_video(each.fields, place) for each in rows],
        [_printable(each.reason) for each in rows],
        [_printable(each.text[:MAX_RAW_CHARS].rstrip("\r\n")) for each in rows],
    ]
    arrays = [pa.array(values, each.type) for values, each in zip(columns, QUARANTINE_SCHEMA, strict=True)]
    return pa.table(arrays, schema=QUARANTINE_SCHEMA)


def _named_video(fields: Sequence[str], place: int) -> str | None:
    text = fields[place].strip() if place < len(fields) else ""
    return text if valid_video_id(text) is None else None


def _printable(text: str) -> str:
    """Text as it can be stored and shown: NUL bytes and bytes that are not UTF-8 as ``\\x00``."""
    raw = text.encode("utf-8", "surrogateescape")
    return raw.decode("utf-8", "backslashreplace").replace("\0", "\\x00")
