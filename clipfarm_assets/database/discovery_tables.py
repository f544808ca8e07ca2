"""Tables of what people do with items: votes, comments, favourites, corrections, deletions.

An item is named by kind and id, as everywhere; there is no table of items, since the metadata has them.
"""

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from clipfarm_assets.database.tables import Base


class ItemName:
    """``kind`` is ``video`` or ``clip``."""

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    item_id: Mapped[str] = mapped_column(String(200), primary_key=True)


class Vote(ItemName, Base):
    """One user's opinion of one item: +1 or -1. No row is no opinion."""

    __tablename__ = "votes"
    __table_args__ = (CheckConstraint("value IN (-1, 1)", name="value"),)

    user_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    value: Mapped[int]
    voted_at: Mapped[datetime]


class Favourite(ItemName, Base):
    """A user keeps an item."""

    __tablename__ = "favourites"

    user_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    kept_at: Mapped[datetime]


class Comment(Base):
    """What a user says about an item."""

    __tablename__ = "comments"
    __table_args__ = (Index(None, "kind", "item_id"),)

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    item_id: Mapped[str] = mapped_column(String(200))
    user_id: Mapped[str] = mapped_column(String(200))
    text: Mapped[str] = mapped_column(Text)
    said_at: Mapped[datetime]


class ItemCount(ItemName, Base):
    """What the three tables above come to, kept in the same transactions, so that sorting reads one row an item."""

    __tablename__ = "item_counts"
    __table_args__ = (Index(None, "votes"),)

    votes: Mapped[int] = mapped_column(default=0)
    comments: Mapped[int] = mapped_column(default=0)
    favourites: Mapped[int] = mapped_column(default=0)


class Override(ItemName, Base):
    """What a person has written in place of the metadata's own; None leaves that. ``tags``: a JSON list."""

    __tablename__ = "overrides"

    title: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[str | None] = mapped_column(Text)
    edited_at: Mapped[datetime]


class Tombstone(ItemName, Base):
    """The item was deleted and does not come back. ``why``: ``http`` or ``metadata``."""

    __tablename__ = "tombstones"

    deleted_at: Mapped[datetime]
    why: Mapped[str] = mapped_column(String(16))
