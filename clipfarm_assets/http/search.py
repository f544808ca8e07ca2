"""Search over HTTP: queries, suggestions, and what is alike."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, StringConstraints

from clipfarm_assets.database.discovery import StoredPopularity
from clipfarm_assets.discovery.alike import FusedNeighbours, videos_like
from clipfarm_assets.discovery.asking import meaning
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.http.app import Backend, Here
from clipfarm_assets.http.items import Asked, ItemOut, existing, item_of, items_of, room_of
from clipfarm_assets.http.metrics import Metrics, metrics_of
from clipfarm_assets.http.problems import Refused
from clipfarm_assets.search.documents import Kind, Source, item_key
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

discovery = APIRouter(tags=["search"])


def _in_history(moment: datetime) -> datetime:
    if not 1900 <= moment.year <= 2999:
        raise ValueError("must lie between the years 1900 and 2999")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_history)]
FilterText = Annotated[str, StringConstraints(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=MAX_SIZE, description="Most items of a page.")]


class SearchQuery(Asked):
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


@discovery.get("/search")
def find(asked: Annotated[SearchQuery, Query()], request: Request, here: Here) -> Found:
    """Videos and clips by words, by meaning, or by both; filters hold before anything is ranked.

    A word may have a typing error. Where the meaning of a query cannot be had, hybrid answers by words and says so.
    """
    room, question, metrics = room_of(here), asked.question(), metrics_of(request.app)
    with metrics.query(asked.mode) as query:
        vector, why = _vector(room, asked, metrics)
        popularity = StoredPopularity(here.database)
        page = search(room.index, question, now=datetime.now(UTC), vector=vector, popularity=popularity)
        query.empty = not page.hits
    last = asked.offset + asked.limit >= page.total and page.total_is_exact
    more = bool(page.hits) and not last and asked.offset + asked.limit <= MAX_OFFSET
    return Found(
        items=items_of(here, [(hit.document, hit.score) for hit in page.hits]), total=page.total,
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
        found = suggest(room_of(here).index, q, limit)
        query.empty = not found
    return Suggestions(items=[SuggestionOut(text=each.text, source=each.source) for each in found])


@discovery.get("/videos/{video_id}")
def one_video(video_id: str, here: Here) -> ItemOut:
    """A video as it is searched."""
    return item_of(here, "video", existing(here, "video", video_id))


@discovery.get("/videos/{video_id}/similar")
def videos_alike(video_id: str, request: Request, here: Here, limit: Limit = 20) -> Items:
    """Videos like this one, by picture, sound and text together; none where it has no fused vector yet."""
    existing(here, "video", video_id)
    with metrics_of(request.app).query("similar") as query:
        found = videos_like(room_of(here), _neighbours(request, here), video_id, limit)
        query.empty = not found
    return Items(items=items_of(here, found))


@discovery.get("/clips/{clip_id}/similar")
def clips_alike(clip_id: UUID, request: Request, here: Here, limit: Limit = 20) -> Items:
    """Clips like this one, by what their words mean; none where it has no vector yet."""
    item_id = existing(here, "clip", str(clip_id))
    with metrics_of(request.app).query("similar") as query:
        found = similar(room_of(here).index, item_key("clip", item_id), size=limit, filters=Filters(kind="clip")) or ()
        query.empty = not found
    return Items(items=items_of(here, [(hit.document, hit.score) for hit in found]))


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


def _neighbours(request: Request, here: Backend) -> FusedNeighbours:
    state = request.app.state
    if not hasattr(state, "neighbours"):
        state.neighbours = FusedNeighbours(here.store, here.settings.fusion_strategies)
    found: FusedNeighbours = state.neighbours
    return found


def _next(request: Request, offset: int) -> str:
    return str(request.url.include_query_params(offset=offset).replace(scheme="", netloc=""))
