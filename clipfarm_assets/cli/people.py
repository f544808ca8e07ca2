"""`clipfarm search`, what people do with what they find: votes, comments, favourites, other words, deletion."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from clipfarm_assets.cli.search import open_workshop, there

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

people = typer.Typer()

Item = Annotated[str, typer.Argument(help="video/ID or clip/ID.")]
VideoId = Annotated[str, typer.Argument(help="Id of the video.")]
User = Annotated[str, typer.Option("--user", help="Whose it is.")]


@people.command()
def vote(
    item: Item,
    user: User,
    down: Annotated[bool, typer.Option("--down", help="Against it.")] = False,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="No vote any more.")] = False,
) -> None:
    """Sets a user's vote, for an item unless asked otherwise. Only scores change."""
    from clipfarm_assets.database import discovery as book

    value: Literal[-1, 0, 1] = 0 if withdraw else -1 if down else 1
    _kept(item, lambda session, kind, item_id: book.vote(session, kind, item_id, user, value, datetime.now(UTC)))


@people.command()
def comment(item: Item, text: Annotated[str, typer.Argument(help="What the user says.")], user: User) -> None:
    """Adds a user's comment."""
    from clipfarm_assets.database import discovery as book

    _kept(item, lambda session, kind, item_id: book.comment(session, kind, item_id, user, text, datetime.now(UTC)))


@people.command()
def favourite(
    item: Item, user: User, drop: Annotated[bool, typer.Option("--drop", help="Keep it no longer.")] = False
) -> None:
    """Keeps an item for a user."""
    from clipfarm_assets.database import discovery as book

    _kept(
        item, lambda session, kind, item_id: book.favourite(session, kind, item_id, user, not drop, datetime.now(UTC))
    )


@people.command()
def edit(
    video_id: VideoId,
    title: Annotated[str | None, typer.Option(help="In place of the metadata's.")] = None,
    description: Annotated[str | None, typer.Option(help="Likewise.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="Likewise; may be given more than once.")] = None,
) -> None:
    """Writes other words than the metadata's, found at once. The CSV stays as it is."""
    from clipfarm_assets.database.discovery import Written

    workshop = open_workshop()
    key = there(workshop, f"video/{video_id}").key
    done = workshop.discovery.edit(
        video_id, Written(title, description, tuple(tag) if tag else None), datetime.now(UTC)
    )
    print(f"{key} is found by its new words" + (f", not yet by meaning: {done.without[key]}" if done.without else "."))


@people.command()
def delete(
    video_id: VideoId, yes: Annotated[bool, typer.Option("--yes", help="Without being asked first.")] = False
) -> None:
    """Deletes a video and its clips for good; the files go with the next run. It does not come back with the CSV."""
    workshop = open_workshop()
    there(workshop, f"video/{video_id}")
    if not yes:
        typer.confirm(f"Delete {video_id} and its clips? This cannot be undone.", abort=True)
    workshop.discovery.delete_video(video_id, datetime.now(UTC))
    print(f"{video_id} is found nowhere any more. `clipfarm run`, or the sensor, deletes its files.")


def _kept(item: str, change: "Callable[[Session, str, str], object]") -> None:
    """Changes what people made of an item, by a function of session, kind and id; says the counts."""
    from clipfarm_assets.database.discovery import counts_of

    workshop = open_workshop()
    document = there(workshop, item)
    with workshop.database.write() as session:
        change(session, document.kind, document.id)
        counts = counts_of(session, document.kind, document.id)
    print(f"{item}: {counts.votes} votes, {counts.comments} comments, {counts.favourites} favourites")
