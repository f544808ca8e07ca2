"""Videos and clips as the API shows them, and where it finds them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from clipfarm_assets.clips.jobs import video_behind
from clipfarm_assets.database import discovery as book
from clipfarm_assets.database.clip_tables import Clip
from clipfarm_assets.database.discovery import StoredPopularity
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.http.app import Backend, Here
from clipfarm_assets.http.problems import Refused
from clipfarm_assets.search.documents import Document, Kind, item_key

_MADE_OF_A_VIDEO = ("batch", "clip", "export", "job")


class Asked(BaseModel):
    """What a caller sends; a field that nobody knows is refused."""

    model_config = ConfigDict(extra="forbid")


class ItemOut(BaseModel):
    """A video or a clip as it is found. ``score`` is comparable within one answer only."""

    kind: Kind = Field(examples=["video"])
    id: str = Field(examples=["talk-checklists"])
    title: str
    description: str
    tags: list[str]
    game_id: str
    game: str
    broadcaster_id: str
    broadcaster: str
    creator_id: str
    creator: str
    language: str
    created_at: datetime | None
    views: int
    votes: int
    comments: int
    favourites: int
    score: float | None = None


def room_of(here: Backend) -> Discovery:
    """The search of this server; Refused with 503 where it has none."""
    if here.discovery is None:
        raise Refused(503, "This server has no search.")
    return here.discovery


def existing(here: Backend, kind: Kind, item_id: str) -> str:
    """The id of an item that is there; Refused with 404 where it is not, or is deleted."""
    if kind == "video":
        if here.video(item_id) is not None:
            return item_id
    else:
        with here.database.read() as session:
            if session.get(Clip, item_id) is not None and not book.is_deleted_by_people(session, "clip", item_id):
                return item_id
    raise Refused(404, f"There is no {kind} {item_id!r}.")


def not_deleted(request: Request, here: Here) -> None:
    """Refuses what belongs to a video that a person has deleted: its rows and files go with the next removal run."""
    for name in _MADE_OF_A_VIDEO:
        try:
            item_id = str(UUID(request.path_params[f"{name}_id"]))
        except (KeyError, ValueError):  # not of this route, or refused by it with the field's name
            continue
        video_id = video_behind(here.database, **{name: item_id})
        with here.database.read() as session:
            if video_id is not None and book.is_deleted_by_people(session, "video", video_id):
                raise Refused(404, f"There is no {name} {item_id}.")


def item_of(here: Backend, kind: Kind, item_id: str) -> ItemOut:
    """One item as it is searched; Refused with 404 where it is deleted meanwhile."""
    key = item_key(kind, item_id)
    document = room_of(here).documents([key]).get(key)
    if document is None:  # deleted meanwhile
        raise Refused(404, f"There is no {kind} {item_id!r}.")
    return items_of(here, [(document, None)])[0]


def items_of(here: Backend, found: Sequence[tuple[Document, float | None]]) -> list[ItemOut]:
    """Found documents, each with its score, and with what people made of them."""
    counts = StoredPopularity(here.database).counts([document.key for document, _ in found])
    votes, comments, favourites = (np.asarray(n).tolist() for n in (counts.votes, counts.comments, counts.favourites))
    return [
        ItemOut(
            **{name: getattr(document, name) for name in ItemOut.model_fields if name in Document.__dataclass_fields__},
            votes=votes[at], comments=comments[at], favourites=favourites[at], score=score,
        )
        for at, (document, score) in enumerate(found)
    ]  # fmt: skip
