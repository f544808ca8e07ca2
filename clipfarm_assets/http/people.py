"""What people do with items over HTTP: votes, comments, favourites, other words, deletion."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from clipfarm_assets.database import discovery as book
from clipfarm_assets.database.discovery import Written
from clipfarm_assets.http.app import Backend, Here
from clipfarm_assets.http.items import Asked, ItemOut, existing, item_of, room_of
from clipfarm_assets.search.documents import Kind

_EXAMPLE_ID = "5f1c1c0e-3c43-5c56-9d0b-8f5f0c8f9b11"

people = APIRouter(tags=["search"])


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not hold a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not hold half of a surrogate pair") from None
    return text


Words = Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_storable)]
UserId = Annotated[Words, Field(min_length=1, max_length=200, examples=["ada"])]


class NewVote(Asked):
    """A user's opinion: 1, -1, or 0 to withdraw it."""

    user_id: UserId
    value: Literal[-1, 0, 1]


class NewComment(Asked):
    """What a user says."""

    user_id: UserId
    text: Annotated[Words, Field(min_length=1, max_length=5_000)]


class NewFavourite(Asked):
    """Whether a user keeps the item."""

    user_id: UserId
    kept: bool = True


class CountsOut(BaseModel):
    """What people made of an item. ``comment_id``: of the comment that was just made."""

    votes: int
    comments: int
    favourites: int
    comment_id: str | None = Field(None, examples=[_EXAMPLE_ID])


class VideoChange(Asked):
    """What a person writes in place of the metadata's words; what is left out, or null, stays."""

    title: Annotated[Words, Field(min_length=1, max_length=1_000)] | None = None
    description: Annotated[Words, Field(max_length=20_000)] | None = None
    tags: list[Annotated[Words, Field(min_length=1, max_length=200)]] | None = Field(None, max_length=100)


@people.post("/videos/{video_id}/vote")
def vote_video(video_id: str, body: NewVote, here: Here) -> CountsOut:
    """Sets a user's vote. Only scores change: nothing is indexed or embedded again."""
    return _vote(here, "video", video_id, body)


@people.post("/clips/{clip_id}/vote")
def vote_clip(clip_id: UUID, body: NewVote, here: Here) -> CountsOut:
    """As for videos."""
    return _vote(here, "clip", str(clip_id), body)


@people.post("/videos/{video_id}/comments", status_code=201)
def comment_video(video_id: str, body: NewComment, here: Here) -> CountsOut:
    """Adds a comment."""
    return _comment(here, "video", video_id, body)


@people.post("/clips/{clip_id}/comments", status_code=201)
def comment_clip(clip_id: UUID, body: NewComment, here: Here) -> CountsOut:
    """As for videos."""
    return _comment(here, "clip", str(clip_id), body)


@people.post("/videos/{video_id}/favourite")
def keep_video(video_id: str, body: NewFavourite, here: Here) -> CountsOut:
    """Keeps an item for a user, or no longer."""
    return _favourite(here, "video", video_id, body)


@people.post("/clips/{clip_id}/favourite")
def keep_clip(clip_id: UUID, body: NewFavourite, here: Here) -> CountsOut:
    """As for videos."""
    return _favourite(here, "clip", str(clip_id), body)


@people.patch("/videos/{video_id}")
def change_video(video_id: str, body: VideoChange, here: Here) -> ItemOut:
    """Writes other words than the metadata's. The item alone is indexed and embedded again, and found so at once."""
    existing(here, "video", video_id)
    tags = None if body.tags is None else tuple(body.tags)
    room_of(here).edit(video_id, Written(body.title, body.description, tags), datetime.now(UTC))
    return item_of(here, "video", video_id)


@people.delete("/videos/{video_id}", status_code=204, response_class=Response)
def delete_video(video_id: str, here: Here) -> Response:
    """Deletes a video and its clips: found nowhere from now on, and its files go with the next run of removals.

    It does not come back with the metadata.
    """
    existing(here, "video", video_id)
    room_of(here).delete_video(video_id, datetime.now(UTC))
    return Response(status_code=204)


def _vote(here: Backend, kind: Kind, item_id: str, body: NewVote) -> CountsOut:
    existing(here, kind, item_id)
    with here.database.write() as session:
        book.vote(session, kind, item_id, body.user_id, body.value, datetime.now(UTC))
        return _counts(book.counts_of(session, kind, item_id))


def _comment(here: Backend, kind: Kind, item_id: str, body: NewComment) -> CountsOut:
    existing(here, kind, item_id)
    with here.database.write() as session:
        comment_id = book.comment(session, kind, item_id, body.user_id, body.text, datetime.now(UTC))
        return _counts(book.counts_of(session, kind, item_id), comment_id)


def _favourite(here: Backend, kind: Kind, item_id: str, body: NewFavourite) -> CountsOut:
    existing(here, kind, item_id)
    with here.database.write() as session:
        book.favourite(session, kind, item_id, body.user_id, body.kept, datetime.now(UTC))
        return _counts(book.counts_of(session, kind, item_id))


def _counts(counts: book.ItemCounts, comment_id: str | None = None) -> CountsOut:
    return CountsOut(
        votes=int(counts.votes), comments=int(counts.comments), favourites=int(counts.favourites),
        comment_id=comment_id,
    )  # fmt: skip
