"""Search over HTTP: queries, suggestions, what is alike, and what people make of items."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from clipfarm_assets.database import discovery as book
from clipfarm_assets.database.clip_tables import Clip
from clipfarm_assets.database.discovery import StoredPopularity, Written
from clipfarm_assets.discovery.alike import FusedNeighbours
from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.http.app import Backend, Here
from clipfarm_assets.http.metrics import Metrics, metrics_of
from clipfarm_assets.http.problems import Refused
from clipfarm_assets.search.documents import Document, Kind, Source, item_key
from clipfarm_assets.search.filters import Filters
from clipfarm_assets.search.query import (
    MAX_OFFSET,
    MAX_QUERY,
    MAX_SIZE,
    Mode,
    Question,
    Sort,
    search,
    similar,
)
from clipfarm_assets.search.rows import Vector
from clipfarm_assets.search.suggest import MOST, suggest

_MOST_TAGS = 20
_EXAMPLE_ID = "5f1c1c0e-3c43-5c56-9d0b-8f5f0c8f9b11"

discovery = APIRouter(tags=["search"])


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not hold half of a surrogate pair") from None
    return text


def _in_history(moment: datetime) -> datetime:
    if not 1900 <= moment.year <= 2999:
        raise ValueError("must lie between the years 1900 and 2999")
    return moment


Words = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_storable)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_history)]
UserId = Annotated[Words, Field(min_length=1, max_length=200, examples=["ada"])]
FilterText = Annotated[str, StringConstraints(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=MAX_SIZE, description="Most items of a page.")]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SearchQuery(_Asked):
    """What is searched, and how."""

    q: str = Field("", max_length=MAX_QUERY, description="Words; empty for all that passes.", examples=["valorant ace"])
    mode: Mode = Field("hybrid", description="By words, by meaning, or by both.")
    sort: Sort = "relevance"
    kind: Kind | None = None
    game_id: FilterText | None = None
    broadcaster_id: FilterText | None = None
    creator_id: FilterText | None = None
    language: FilterText | None = None
    tags: list[FilterText] = Field([], max_length=_MOST_TAGS, description="All of them.")
    min_votes: int | None = Field(None, ge=1, le=2**31 - 1)
    created_from: Moment | None = Field(None, examples=["2026-01-01T00:00:00Z"])
    created_to: Moment | None = None
    facets: bool = Field(False, description="Whether to count languages, games and dates.")
    limit: int = Field(20, ge=1, le=MAX_SIZE)
    offset: int = Field(0, ge=0, le=MAX_OFFSET)

    def question(self) -> Question:
        """As the search takes it."""
        filters = Filters(
            self.game_id, self.broadcaster_id, self.creator_id, self.language, self.kind, tuple(self.tags),
            self.min_votes, self.created_from, self.created_to,
        )  # fmt: skip
        return Question(self.q, self.mode, filters, self.sort, self.limit, self.offset, self.facets)


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


class Found(BaseModel):
    """A page of answers. ``next``: where the following page is; null on the last.

    Attributes:
        answered_by: another than was asked for where no vector of the query could be had, and ``why`` says why.
    """

    items: list[ItemOut]
    total: int = Field(examples=[1])
    total_is_exact: bool
    facets: dict[str, dict[str, int]]
    limit: int
    offset: int
    next: str | None
    answered_by: Mode
    why: str | None = None


class Items(BaseModel):
    """Items, best first."""

    items: list[ItemOut]


class SuggestionOut(BaseModel):
    """A text, and which field it comes from."""

    text: str = Field(examples=["Valorant"])
    source: Source


class Suggestions(BaseModel):
    """What may be about to be typed."""

    items: list[SuggestionOut]


class NewVote(_Asked):
    """A user's opinion: 1, -1, or 0 to withdraw it."""

    user_id: UserId
    value: Literal[-1, 0, 1]


class NewComment(_Asked):
    """What a user says."""

    user_id: UserId
    text: Annotated[Words, Field(min_length=1, max_length=5_000)]


class NewFavourite(_Asked):
    """Whether a user keeps the item."""

    user_id: UserId
    kept: bool = True


class CountsOut(BaseModel):
    """What people made of an item. ``comment_id``: of the comment that was just made."""

    votes: int
    comments: int
    favourites: int
    comment_id: str | None = Field(None, examples=[_EXAMPLE_ID])


class VideoChange(_Asked):
    """What a person writes in place of the metadata's words; what is left out, or null, stays."""

    title: Annotated[Words, Field(min_length=1, max_length=1_000)] | None = None
    description: Annotated[Words, Field(max_length=20_000)] | None = None
    tags: list[Annotated[Words, Field(min_length=1, max_length=200)]] | None = Field(None, max_length=100)


@discovery.get("/search")
def find(asked: Annotated[SearchQuery, Query()], request: Request, here: Here) -> Found:
    """Videos and clips by words, by meaning, or by both; filters hold before anything is ranked.

    A word may have a typing error. Where the meaning of a query cannot be had, hybrid answers by words and says so.
    """
    room, question, metrics = _room(here), asked.question(), metrics_of(request.app)
    with metrics.query(asked.mode) as query:
        vector, why = _vector(room, asked, metrics)
        popularity = StoredPopularity(here.database)
        page = search(room.index, question, now=datetime.now(UTC), vector=vector, popularity=popularity)
        query.empty = not page.hits
    last = asked.offset + asked.limit >= page.total and page.total_is_exact
    more = bool(page.hits) and not last and asked.offset + asked.limit <= MAX_OFFSET
    return Found(
        items=_items(here, [(hit.document, hit.score) for hit in page.hits]), total=page.total,
        total_is_exact=page.total_is_exact, facets={name: dict(of) for name, of in page.facets.items()},
        limit=asked.limit, offset=asked.offset, why=why, answered_by="text" if why is not None else asked.mode,
        next=_next(request, asked.offset + asked.limit) if more else None,
    )  # fmt: skip


@discovery.get("/search/suggest")
def complete(
    q: Annotated[str, Query(max_length=MAX_QUERY, examples=["valo"])], request: Request, here: Here,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 10,
) -> Suggestions:  # fmt: skip
    """Titles, people, games and tags with a word that begins so."""
    with metrics_of(request.app).query("suggest") as query:
        found = suggest(_room(here).index, q, limit)
        query.empty = not found
    return Suggestions(items=[SuggestionOut(text=each.text, source=each.source) for each in found])


@discovery.get("/videos/{video_id}")
def one_video(video_id: str, here: Here) -> ItemOut:
    """A video as it is searched."""
    return _item(here, "video", _existing(here, "video", video_id))


@discovery.get("/videos/{video_id}/similar")
def videos_alike(video_id: str, request: Request, here: Here, limit: Limit = 20) -> Items:
    """Videos like this one, by picture, sound and text together; none where it has no fused vector yet."""
    _existing(here, "video", video_id)
    room = _room(here)
    with metrics_of(request.app).query("similar") as query:
        found = _neighbours(request, here).of(video_id, limit + 20) or []  # some of them may be deleted since
        documents = room.documents([item_key("video", other) for other, _ in found])
        query.empty = not documents
    pairs = [(documents[item_key("video", v)], score) for v, score in found if item_key("video", v) in documents]
    return Items(items=_items(here, pairs[:limit]))


@discovery.get("/clips/{clip_id}/similar")
def clips_alike(clip_id: UUID, request: Request, here: Here, limit: Limit = 20) -> Items:
    """Clips like this one, by what their words mean; none where it has no vector yet."""
    item_id = _existing(here, "clip", str(clip_id))
    with metrics_of(request.app).query("similar") as query:
        found = similar(_room(here).index, item_key("clip", item_id), size=limit, filters=Filters(kind="clip")) or ()
        query.empty = not found
    return Items(items=_items(here, [(hit.document, hit.score) for hit in found]))


@discovery.post("/videos/{video_id}/vote")
def vote_video(video_id: str, body: NewVote, here: Here) -> CountsOut:
    """Sets a user's vote. Only scores change: nothing is indexed or embedded again."""
    return _vote(here, "video", video_id, body)


@discovery.post("/clips/{clip_id}/vote")
def vote_clip(clip_id: UUID, body: NewVote, here: Here) -> CountsOut:
    """As for videos."""
    return _vote(here, "clip", str(clip_id), body)


@discovery.post("/videos/{video_id}/comments", status_code=201)
def comment_video(video_id: str, body: NewComment, here: Here) -> CountsOut:
    """Adds a comment."""
    return _comment(here, "video", video_id, body)


@discovery.post("/clips/{clip_id}/comments", status_code=201)
def comment_clip(clip_id: UUID, body: NewComment, here: Here) -> CountsOut:
    """As for videos."""
    return _comment(here, "clip", str(clip_id), body)


@discovery.post("/videos/{video_id}/favourite")
def keep_video(video_id: str, body: NewFavourite, here: Here) -> CountsOut:
    """Keeps an item for a user, or no longer."""
    return _favourite(here, "video", video_id, body)


@discovery.post("/clips/{clip_id}/favourite")
def keep_clip(clip_id: UUID, body: NewFavourite, here: Here) -> CountsOut:
    """As for videos."""
    return _favourite(here, "clip", str(clip_id), body)


@discovery.patch("/videos/{video_id}")
def change_video(video_id: str, body: VideoChange, here: Here) -> ItemOut:
    """Writes other words than the metadata's. The item alone is indexed and embedded again, and found so at once."""
    _existing(here, "video", video_id)
    tags = None if body.tags is None else tuple(body.tags)
    _room(here).edit(video_id, Written(body.title, body.description, tags), datetime.now(UTC))
    return _item(here, "video", video_id)


@discovery.delete("/videos/{video_id}", status_code=204, response_class=Response)
def delete_video(video_id: str, here: Here) -> Response:
    """Deletes a video and its clips: found nowhere from now on, and its files go with the next run of removals.

    It does not come back with the metadata.
    """
    _existing(here, "video", video_id)
    _room(here).delete_video(video_id, datetime.now(UTC))
    return Response(status_code=204)


def _vector(room: Discovery, asked: SearchQuery, metrics: Metrics) -> tuple[Vector | None, str | None]:
    """The vector of what is asked where the mode needs one, and why it could not be had."""
    if asked.mode == "text" or not asked.q.strip():
        return None, None
    found = meaning(room, asked.q)
    if found.vector is not None:
        return found.vector, None
    metrics.degraded.inc()
    if asked.mode == "semantic":
        raise Refused(503, f"A search by meaning is not to be had now. {found.why}")
    return None, found.why


def _room(here: Backend) -> Discovery:
    if here.discovery is None:
        raise Refused(503, "This server has no search.")
    return here.discovery


def _neighbours(request: Request, here: Backend) -> FusedNeighbours:
    state = request.app.state
    if not hasattr(state, "neighbours"):
        state.neighbours = FusedNeighbours(here.store, here.settings.fusion_strategies)
    found: FusedNeighbours = state.neighbours
    return found


def _existing(here: Backend, kind: Kind, item_id: str) -> str:
    """The id of an item that is there; Refused with 404 where it is not, or is deleted."""
    if kind == "video":
        if here.video(item_id) is not None:
            return item_id
    else:
        with here.database.read() as session:
            if session.get(Clip, item_id) is not None and item_id not in book.deleted_by_people(session, "clip"):
                return item_id
    raise Refused(404, f"There is no {kind} {item_id!r}.")


def _vote(here: Backend, kind: Kind, item_id: str, body: NewVote) -> CountsOut:
    _existing(here, kind, item_id)
    with here.database.write() as session:
        book.vote(session, kind, item_id, body.user_id, body.value, datetime.now(UTC))
        return _counts(book.counts_of(session, kind, item_id))


def _comment(here: Backend, kind: Kind, item_id: str, body: NewComment) -> CountsOut:
    _existing(here, kind, item_id)
    with here.database.write() as session:
        comment_id = book.comment(session, kind, item_id, body.user_id, body.text, datetime.now(UTC))
        return _counts(book.counts_of(session, kind, item_id), comment_id)


def _favourite(here: Backend, kind: Kind, item_id: str, body: NewFavourite) -> CountsOut:
    _existing(here, kind, item_id)
    with here.database.write() as session:
        book.favourite(session, kind, item_id, body.user_id, body.kept, datetime.now(UTC))
        return _counts(book.counts_of(session, kind, item_id))


def _counts(counts: book.ItemCounts, comment_id: str | None = None) -> CountsOut:
    return CountsOut(
        votes=int(counts.votes), comments=int(counts.comments), favourites=int(counts.favourites),
        comment_id=comment_id,
    )  # fmt: skip


def _item(here: Backend, kind: Kind, item_id: str) -> ItemOut:
    key = item_key(kind, item_id)
    document = _room(here).documents([key]).get(key)
    if document is None:  # deleted meanwhile
        raise Refused(404, f"There is no {kind} {item_id!r}.")
    return _items(here, [(document, None)])[0]


def _items(here: Backend, found: Sequence[tuple[Document, float | None]]) -> list[ItemOut]:
    counts = StoredPopularity(here.database).counts([document.key for document, _ in found])
    votes, comments, favourites = (np.asarray(n).tolist() for n in (counts.votes, counts.comments, counts.favourites))
    return [
        ItemOut(
            **{name: getattr(document, name) for name in ItemOut.model_fields if name in Document.__dataclass_fields__},
            votes=votes[at], comments=comments[at], favourites=favourites[at], score=score,
        )
        for at, (document, score) in enumerate(found)
    ]  # fmt: skip


def _next(request: Request, offset: int) -> str:
    return str(request.url.include_query_params(offset=offset).replace(scheme="", netloc=""))
