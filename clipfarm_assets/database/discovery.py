"""Votes, comments, favourites, corrections and deletions: functions that work in the transaction they are given.

None of them touches the index or a vector. A vote, a comment and a favourite change their counts in the same
transaction; the count's row is taken first, so that two users at once queue instead of losing one of them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.discovery_tables import Comment, Favourite, ItemCount, Override, Tombstone, Vote
from clipfarm_assets.database.tables import Base

_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_KEYS_AT_ONCE = 400
_WHOLE_TABLE_FROM = 2_000
_OF_AN_ITEM: tuple[Any, ...] = (Vote, Favourite, Comment, ItemCount, Override)


@dataclass(frozen=True)
class ItemCounts:
    """Of one item, or of many as arrays of equal length. ``votes`` is the sum of +1 and -1."""

    votes: NDArray[np.int64] | int
    comments: NDArray[np.int64] | int
    favourites: NDArray[np.int64] | int


@dataclass(frozen=True)
class Written:
    """What a person has written of an item; None where the metadata's own stands."""

    title: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None


def vote(session: Session, kind: str, item_id: str, user_id: str, value: Literal[-1, 0, 1], now: datetime) -> int:
    """Sets a user's vote, changes it, or withdraws it with 0; returns the item's sum.

    Raises:
        ValueError: the value is none of -1, 0 and 1.
    """
    if value not in (-1, 0, 1):
        raise ValueError("A vote is 1, -1, or 0 to withdraw it.")
    count = _locked(session, kind, item_id)
    given = session.get(Vote, {"kind": kind, "item_id": item_id, "user_id": user_id})
    count.votes += value - (given.value if given else 0)
    if given and value:
        given.value, given.voted_at = value, now
    elif given:
        session.delete(given)
    elif value:
        session.add(Vote(kind=kind, item_id=item_id, user_id=user_id, value=value, voted_at=now))
    session.flush()
    return count.votes


def favourite(session: Session, kind: str, item_id: str, user_id: str, kept: bool, now: datetime) -> int:
    """Keeps an item for a user, or no longer; returns how many keep it."""
    count = _locked(session, kind, item_id)
    given = session.get(Favourite, {"kind": kind, "item_id": item_id, "user_id": user_id})
    count.favourites += int(kept) - int(given is not None)
    if given and not kept:
        session.delete(given)
    elif kept and not given:
        session.add(Favourite(kind=kind, item_id=item_id, user_id=user_id, kept_at=now))
    session.flush()
    return count.favourites


def comment(session: Session, kind: str, item_id: str, user_id: str, text: str, now: datetime) -> str:
    """Adds a comment; returns its id. ValueError where it says nothing."""
    if not text.strip():
        raise ValueError("A comment says something.")
    count = _locked(session, kind, item_id)
    count.comments += 1
    said = Comment(
        id=str(uuid4()), kind=kind, item_id=item_id, user_id=user_id, text=text.replace("\x00", ""), said_at=now
    )
    session.add(said)
    session.flush()
    return said.id


def remove_comment(session: Session, comment_id: str) -> bool:
    """Takes a comment back; False where it is not there."""
    said = session.get(Comment, comment_id)
    if said is None:
        return False
    count = _locked(session, said.kind, said.item_id)
    if not session.execute(delete(Comment).where(Comment.id == comment_id)).rowcount:  # type: ignore[attr-defined]
        return False  # somebody else was quicker
    count.comments -= 1
    session.flush()
    return True


def counts_of(session: Session, kind: str, item_id: str) -> ItemCounts:
    """One item's counts; 0 where nobody did anything."""
    row = session.get(ItemCount, (kind, item_id))
    return ItemCounts(row.votes, row.comments, row.favourites) if row else ItemCounts(0, 0, 0)


def recount(session: Session) -> int:
    """Makes every count anew from the votes, comments and favourites; returns how many were wrong."""
    true: dict[tuple[str, str], list[int]] = {}
    amounts: tuple[tuple[Any, Any], ...] = (
        (Vote, func.sum(Vote.value)),
        (Comment, func.count()),
        (Favourite, func.count()),
    )
    for place, (table, amount) in enumerate(amounts):
        for kind, item_id, n in session.execute(
            select(table.kind, table.item_id, amount).group_by(table.kind, table.item_id)
        ):
            true.setdefault((kind, item_id), [0, 0, 0])[place] = int(n)
    wrong = 0
    known = {(row.kind, row.item_id): row for row in session.scalars(select(ItemCount))}
    for name in true.keys() | known.keys():
        row = known.get(name) or _locked(session, *name)
        wanted = true.get(name, [0, 0, 0])
        if [row.votes, row.comments, row.favourites] != wanted:
            row.votes, row.comments, row.favourites = wanted
            wrong += 1
    session.flush()
    return wrong


def override(session: Session, kind: str, item_id: str, written: Written, now: datetime) -> None:
    """Keeps what a person wrote; fields that are None stay as they were."""
    row = session.get(Override, (kind, item_id), with_for_update=True)
    if row is None:
        row = Override(kind=kind, item_id=item_id)
        session.add(row)
    if written.title is not None:
        row.title = written.title.replace("\x00", "")
    if written.description is not None:
        row.description = written.description.replace("\x00", "")
    if written.tags is not None:
        row.tags = json.dumps([tag.replace("\x00", "") for tag in written.tags])
    row.edited_at = now
    session.flush()


def overrides(session: Session, kind: str | None = None) -> Iterator[tuple[str, str, Written]]:
    """Everything that persons have written: kind, id, texts."""
    query = select(Override).order_by(Override.kind, Override.item_id)
    for row in session.scalars(query if kind is None else query.where(Override.kind == kind)):
        tags = None if row.tags is None else tuple(json.loads(row.tags))
        yield row.kind, row.item_id, Written(row.title, row.description, tags)


def forget(session: Session, kind: str, item_id: str, why: Literal["http", "metadata"], now: datetime) -> bool:
    """Deletes all that is known of an item and leaves a tombstone; False where there was one already."""
    for table in _OF_AN_ITEM:
        session.execute(delete(table).where(table.kind == kind, table.item_id == item_id))
    return _insert_new(session, Tombstone, kind=kind, item_id=item_id, deleted_at=now, why=why)


def tombstones(session: Session) -> dict[tuple[str, str], datetime]:
    """What was deleted and when, by kind and id."""
    return {(row.kind, row.item_id): row.deleted_at for row in session.scalars(select(Tombstone))}


def deleted_by_people(session: Session, kind: str) -> set[str]:
    """Ids of the items that were deleted by hand: they stay away, whatever the metadata says."""
    query = select(Tombstone.item_id).where(Tombstone.kind == kind, Tombstone.why == "http")
    return set(session.scalars(query))


def is_deleted_by_people(session: Session, kind: str, item_id: str) -> bool:
    """Whether one item was deleted by hand."""
    tombstone = session.get(Tombstone, (kind, item_id))
    return tombstone is not None and tombstone.why == "http"


class StoredPopularity:
    """The counts as ``search.query`` asks for them, each time anew."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self, keys: Sequence[str]) -> ItemCounts:
        """Of each key (``video/<id>``), in order, as arrays."""
        found = self._few(keys) if len(keys) < _WHOLE_TABLE_FROM else self._all()
        rows = np.array([found.get(key, (0, 0, 0)) for key in keys], np.int64).reshape(len(keys), 3)
        return ItemCounts(rows[:, 0], rows[:, 1], rows[:, 2])

    def with_votes(self, least: int) -> set[str]:
        """Keys of items with at least so many votes."""
        with self._database.read() as session:
            rows = session.execute(select(ItemCount.kind, ItemCount.item_id).where(ItemCount.votes >= least))
            return {f"{kind}/{item_id}" for kind, item_id in rows}

    def _few(self, keys: Sequence[str]) -> dict[str, tuple[int, int, int]]:
        by_kind: dict[str, list[str]] = {}
        for key in keys:
            kind, _, item_id = key.partition("/")
            by_kind.setdefault(kind, []).append(item_id)
        found: dict[str, tuple[int, int, int]] = {}
        with self._database.read() as session:
            for kind, ids in by_kind.items():
                for start in range(0, len(ids), _KEYS_AT_ONCE):
                    some = ids[start : start + _KEYS_AT_ONCE]
                    query = _counted().where(ItemCount.kind == kind, ItemCount.item_id.in_(some))
                    found |= {f"{row[0]}/{row[1]}": (row[2], row[3], row[4]) for row in session.execute(query)}
        return found

    def _all(self) -> dict[str, tuple[int, int, int]]:
        with self._database.read() as session:
            return {f"{row[0]}/{row[1]}": (row[2], row[3], row[4]) for row in session.execute(_counted())}


def _counted() -> Select[str, str, int, int, int]:
    return select(ItemCount.kind, ItemCount.item_id, ItemCount.votes, ItemCount.comments, ItemCount.favourites)


def _locked(session: Session, kind: str, item_id: str) -> ItemCount:
    """The item's counts, held until the transaction ends."""
    _insert_new(session, ItemCount, kind=kind, item_id=item_id, votes=0, comments=0, favourites=0)
    return session.get_one(ItemCount, (kind, item_id), with_for_update=True, populate_existing=True)


def _insert_new(session: Session, table: type[Base], **values: object) -> bool:
    """Inserts a row where the item has none; says whether it did."""
    insert: Any = _INSERTS[session.get_bind().dialect.name]
    made = session.execute(insert(table).values(**values).on_conflict_do_nothing(index_elements=["kind", "item_id"]))
    return bool(made.rowcount)  # type: ignore[attr-defined]
