"""What a field may say: one parser a kind of column. Each raises ValueError with what is wrong.

A value that cannot be read is never taken for a missing one: the row is quarantined and the field is named.
"""

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from clipfarm_assets.metadata.rows import Kind, Value, valid_video_id

_INTEGER = re.compile(r"([0-9]{1,18})(?:\.0*)?")
_SECONDS = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_EPOCH_SECONDS = re.compile(r"[0-9]{9,10}(?:\.[0-9]*)?")
_ISO = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})"
    r"(?:[T ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?)"
    r" ?(?P<zone>Z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?)?",
    re.IGNORECASE,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TRUE = frozenset({"true", "1", "yes", "1.0"})  # pandas writes 1.0 for 1 in a column with gaps
_FALSE = frozenset({"", "false", "0", "no", "0.0"})


def parse_video_id(text: str) -> str:
    """A safe video_id, without white space around it."""
    text = text.strip()
    if reason := valid_video_id(text):
        raise ValueError(f"{_shown(text)} {reason}")
    if text == "video_id":
        raise ValueError("the header is repeated here")
    return text


def parse_url(text: str) -> str:
    """Whatever stands there, without white space around it; whether it can be fetched is the download's affair."""
    text = text.strip()
    if not text:
        raise ValueError("is empty")
    return text


def parse_integer(text: str) -> int | None:
    """A whole number of 0 or more and at most 18 digits; ``12.0`` is one, as pandas writes it."""
    if text.isdigit() and text.isascii() and len(text) <= 18:  # the common case, at half the cost
        return int(text)
    text = text.strip()
    if not text:
        return None
    if match := _INTEGER.fullmatch(text):
        return int(match[1])
    raise ValueError(f"{_shown(text)} is not a whole number of 0 or more")


@lru_cache(maxsize=65_536)
def parse_seconds(text: str) -> float | None:
    """A finite decimal number of 0 or more."""
    text = text.strip()
    if not text:
        return None
    if _SECONDS.fullmatch(text) and math.isfinite(value := float(text)):
        return value
    raise ValueError(f"{_shown(text)} is not a number of seconds")


@lru_cache(maxsize=65_536)
def parse_time(text: str) -> int | None:
    """Microseconds since 1970 in UTC, of a moment in the years 1900 to 2999.

    Read are ISO 8601 dates (``2026-01-31``, ``20260131``: midnight) and date-times (``T`` or a blank between, zone
    ``Z``, ``UTC`` or an offset; UTC where there is none), and seconds since 1970 of nine or ten digits with or without
    a fraction.
    """
    text = text.strip()
    if not text:
        return None
    if _EPOCH_SECONDS.fullmatch(text):
        return round(float(text) * 1_000_000)
    if match := _ISO.fullmatch(text):
        zone = (match["zone"] or "Z").upper().replace("UTC", "Z")
        try:
            moment = datetime.fromisoformat(f"{match['date']}T{match['time'] or '00:00'}{zone}")
        except ValueError:
            moment = None
        if moment is not None and 1900 <= moment.year < 3000:
            return (moment - _EPOCH) // _MICROSECOND
    raise ValueError(f"{_shown(text)} is not a date or date-time of ISO 8601")


@lru_cache(maxsize=256)
def parse_flag(text: str) -> bool:
    """true, 1, yes; false, 0, no and empty, in any case."""
    text = text.strip().lower()
    if text in _FALSE:
        return False
    if text in _TRUE:
        return True
    raise ValueError(f"{_shown(text)} is neither true, 1, yes nor false, 0, no or empty")


PARSERS: dict[Kind, Callable[[str], Value]] = {
    "video_id": parse_video_id,
    "url": parse_url,
    "text": str,
    "name": str.strip,
    "integer": parse_integer,
    "seconds": parse_seconds,
    "time": parse_time,
    "flag": parse_flag,
}


def unreadable(text: str) -> str | None:
    """Why ``text`` is not text, or None: it holds a NUL byte, or bytes that are not UTF-8."""
    if "\0" in text:
        return "holds a NUL byte"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is not UTF-8"
    return None


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
