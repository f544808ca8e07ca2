"""Metadata files for the tests, and the plain reading of what the rule of recovery promises."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from clipfarm_assets.metadata.rows import COLUMNS, Video
from clipfarm_assets.metadata.tables import MetadataTables, videos_from_table

HEADER = ("video_id", "url", "title", "view_count")


def csv_bytes(rows: Sequence[Mapping[str, str]], header: Sequence[str] | None = None, end: str = "\n") -> bytes:
    """The rows as a CSV file; the header is every column that a row names, in the order of the platform."""
    named = {name for row in rows for name in row}
    names = header or [*(n for n in COLUMNS if n in named), *sorted(named - set(COLUMNS))]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def row(video_id: str, **fields: str) -> dict[str, str]:
    return {"video_id": video_id, "url": f"https://v.example/{video_id}.mp4", **fields}


def videos_of(tables: MetadataTables) -> dict[str, Video]:
    return {video.video_id: video for video in videos_from_table(tables.videos)}


def reasons_of(tables: MetadataTables) -> dict[int, str]:
    """The reason of each quarantined row by its first line."""
    return dict(zip(tables.quarantine["line"].to_pylist(), tables.quarantine["reason"].to_pylist(), strict=True))


@dataclass(frozen=True)
class Plain:
    """A record of the plain reading: its lines, and its fields where it is one."""

    line: int
    last_line: int
    fields: tuple[str, ...] | None


def plain_reading(content: bytes, width: int, limit: int) -> list[Plain]:
    """What the rule of recovery makes of the lines behind the header, character by character, slowly."""
    lines = [part + b"\n" for part in content.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    texts = [line.decode("utf-8", "surrogateescape") for line in lines if line]
    found: list[Plain] = []
    at = 1
    while at < len(texts):
        if not texts[at].strip():
            at += 1
            continue
        fields, taken = _strict_record(texts[at:])
        whole = fields is not None and len(fields) == width and sum(map(len, texts[at : at + taken])) <= limit
        found.append(Plain(at + 1, at + (taken if whole else 1), tuple(fields) if whole and fields else None))
        at += taken if whole else 1
    return found


def _strict_record(lines: Sequence[str]) -> tuple[list[str] | None, int]:
    """The fields of the record that the lines begin with (None: RFC 4180 is broken), and how many lines it takes."""
    fields: list[str] = []
    value, state = "", "start"
    for count, line in enumerate(lines, start=1):
        for place, character in enumerate(line):
            if state == "quoted":
                state = "closing" if character == '"' else state
                value += "" if character == '"' else character
            elif state == "closing" and character == '"':
                value, state = value + '"', "quoted"
            elif character in "\r\n":
                return (None if line[place:].strip("\r\n") else [*fields, value]), count
            elif character == ",":
                fields, value, state = [*fields, value], "", "start"
            elif state == "closing":
                return None, count
            elif state == "start" and character == '"':
                state = "quoted"
            else:
                value, state = value + character, "plain"
        if state != "quoted":
            return [*fields, value], count
    return None, len(lines)
