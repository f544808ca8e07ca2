"""Filters as the expressions that LanceDB evaluates, before any search.

Values of users appear in them as SQL string literals only, with their quotes doubled; column names are ours. LanceDB's
expression builder knows neither ``array_has`` nor nulls, so the expressions are written out.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from clipfarm_assets.errors import QueryRefused
from clipfarm_assets.search.documents import KINDS, Kind
from clipfarm_assets.search.rows import clean, microseconds, tag_keys

_LONGEST_VALUE = 500
_MOST_TAGS = 20


@dataclass(frozen=True)
class Filters:
    """What an item must be; None asks nothing.

    Attributes:
        tags: all of them, without regard to case.
        min_votes: the sum of its votes; known to the database, not to the index.
        created_from, created_to: from here on, and before; an item without a date is in no range.
    """

    game_id: str | None = None
    broadcaster_id: str | None = None
    creator_id: str | None = None
    language: str | None = None
    kind: Kind | None = None
    tags: tuple[str, ...] = ()
    min_votes: int | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


def expression(filters: Filters, keys: Collection[str] | None = None) -> str | None:
    """The filters as one expression, and only the ``keys`` where they are given; None where everything passes.

    Raises:
        QueryRefused: a value is too long, not of its kind, or a date has no time zone.
    """
    parts = [
        f"{column} = {literal(value)}"
        for column in ("game_id", "broadcaster_id", "creator_id", "language", "kind")
        if (value := getattr(filters, column)) is not None
    ]
    if filters.kind is not None and filters.kind not in KINDS:
        raise QueryRefused(f"kind is one of {', '.join(KINDS)}.")
    if len(filters.tags) > _MOST_TAGS:
        raise QueryRefused(f"At most {_MOST_TAGS} tags can be asked for.")
    parts += [f"array_has(tag_keys, {literal(tag)})" for tag in tag_keys(filters.tags)]
    for moment, sign in ((filters.created_from, ">="), (filters.created_to, "<")):
        if moment is not None:
            if moment.tzinfo is None:
                raise QueryRefused("A date needs a time zone.")
            parts.append(f"created_us {sign} {microseconds(moment)}")
    if keys is not None:
        parts.append(one_of("key", keys))
    return " AND ".join(f"({part})" for part in parts) or None


def both(*expressions: str | None) -> str | None:
    """All of the expressions that are one."""
    return " AND ".join(f"({each})" for each in expressions if each) or None


def one_of(column: str, values: Iterable[str]) -> str:
    """True where the column is one of the values."""
    listed = ", ".join(literal(value) for value in values)
    return f"{column} IN ({listed})" if listed else "false"


def literal(value: str) -> str:
    """The value as an SQL string; QueryRefused where it is longer than any id or tag."""
    if len(value) > _LONGEST_VALUE:
        raise QueryRefused(f"A filter's value may have {_LONGEST_VALUE} characters.")
    return "'" + clean(value).replace("\x00", "").replace("'", "''") + "'"
