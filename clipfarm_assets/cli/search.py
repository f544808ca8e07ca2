"""`clipfarm search`: finding videos and clips from the shell, and building their index anew.

What people do with what they find, by the same command, stands in ``cli/people.py``.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from clipfarm_assets.cli import home

if TYPE_CHECKING:
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.search.documents import Document

_TITLE_WIDTH = 40

search = typer.Typer(help="Finds videos and clips by words and by meaning.", no_args_is_help=True)


Format = Annotated[str, typer.Option("--format", help="table or json.")]


@search.command()
def query(
    text: Annotated[str, typer.Argument(help="What is looked for; a typing error is forgiven.")] = "",
    mode: Annotated[str, typer.Option(help="text (by words), semantic (by meaning) or hybrid (both).")] = "hybrid",
    sort: Annotated[str, typer.Option(help="relevance, popular, recent, hot or trending.")] = "relevance",
    kind: Annotated[str | None, typer.Option(help="video or clip.")] = None,
    language: Annotated[str | None, typer.Option(help="Such as en.")] = None,
    game_id: Annotated[str | None, typer.Option(help="Id of the game.")] = None,
    broadcaster_id: Annotated[str | None, typer.Option(help="Id of the broadcaster.")] = None,
    creator_id: Annotated[str | None, typer.Option(help="Id of who made it.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be given more than once: all of them.")] = None,
    min_votes: Annotated[int | None, typer.Option(help="Least sum of votes.")] = None,
    created_from: Annotated[datetime | None, typer.Option(help="Not before this moment (UTC).")] = None,
    created_to: Annotated[datetime | None, typer.Option(help="Before this moment (UTC).")] = None,
    facets: Annotated[bool, typer.Option("--facets", help="Count languages, games and dates too.")] = False,
    limit: Annotated[int, typer.Option(help="Most answers.")] = 20,
    offset: Annotated[int, typer.Option(help="Answers before the first.")] = 0,
    format_: Format = "table",
) -> None:
    """Looks for videos and clips, the best first."""
    from clipfarm_assets.database.discovery import StoredPopularity
    from clipfarm_assets.discovery.asking import Meaning, meaning
    from clipfarm_assets.search.filters import Filters
    from clipfarm_assets.search.query import Question, check
    from clipfarm_assets.search.query import search as answer

    workshop = open_workshop()
    room = workshop.discovery
    created = [moment and moment.replace(tzinfo=UTC) for moment in (created_from, created_to)]
    filters = Filters(
        game_id, broadcaster_id, creator_id, language, kind, tuple(tag or ()), min_votes, *created,  # type: ignore[arg-type]
    )  # fmt: skip
    question = Question(text, mode, filters, sort, limit, offset, facets)  # type: ignore[arg-type]
    check(question)
    found = meaning(room, text) if mode != "text" and text.strip() else Meaning(None)
    popularity = StoredPopularity(workshop.database)
    page = answer(room.index, question, now=datetime.now(UTC), vector=found.vector, popularity=popularity)
    if found.why and format_ != "json":
        Console().print(f"By words alone: {escape(found.why)}", highlight=False)
    _show([(hit.document, hit.score) for hit in page.hits], format_)
    if format_ != "json":
        for name, counts in page.facets.items():
            print(f"{name}: " + ", ".join(f"{value} {count}" for value, count in counts.items()))
        print(f"{len(page.hits)} of {'' if page.total_is_exact else 'at least '}{page.total}")


@search.command()
def suggest(
    text: Annotated[str, typer.Argument(help="How a word begins: 2 to 20 characters.")],
    limit: Annotated[int, typer.Option(help="Most answers.", min=1, max=20)] = 10,
) -> None:
    """Lists titles, people, games and tags with a word that begins so."""
    from clipfarm_assets.search.suggest import suggest as complete

    for each in complete(open_workshop().discovery.index, text, limit):
        print(f"{each.text}  ({each.source})")


@search.command()
def similar(
    item: Annotated[str, typer.Argument(help="video/ID or clip/ID.")],
    limit: Annotated[int, typer.Option(help="Most answers.", min=1, max=100)] = 20,
    format_: Format = "table",
) -> None:
    """Lists videos like a video, by picture, sound and text; or clips like a clip, by what their words mean."""
    from clipfarm_assets.discovery.alike import FusedNeighbours, videos_like
    from clipfarm_assets.search.filters import Filters
    from clipfarm_assets.search.query import similar as alike

    workshop = open_workshop()
    room, document = workshop.discovery, there(workshop, item)
    if document.kind == "video":
        neighbours = FusedNeighbours(workshop.store, workshop.settings.fusion_strategies)
        _show(videos_like(room, neighbours, document.id, limit), format_)
    else:
        hits = alike(room.index, document.key, size=limit, filters=Filters(kind="clip")) or ()
        _show([(hit.document, hit.score) for hit in hits], format_)


@search.command()
def rebuild() -> None:
    """Builds the index anew from videos, clips and their vectors; the old one serves until the new one is there."""
    from clipfarm_assets.discovery.whole import DOCUMENTS_KEY, sync, to_parquet, to_table
    from clipfarm_assets.graph.search_index import gather_all

    with home.instance() as instance:
        workshop = open_workshop()
        gathered = gather_all(instance, workshop)
        workshop.store.put(DOCUMENTS_KEY, to_parquet(to_table(gathered.rows)))
        facts = sync(workshop.discovery, gathered.rows, rebuild=True).facts
    print(f"{facts.documents} items, {facts.with_vector} with a vector, by {facts.model}")


def there(workshop: "Workshop", item: str) -> "Document":
    """The item that is named, as it is searched; SearchError where there is none."""
    from clipfarm_assets.errors import SearchError

    kind, _, item_id = item.partition("/")
    found = workshop.discovery.documents([item]).get(item) if kind in ("video", "clip") and item_id else None
    if found is None:
        raise SearchError(
            f"There is no {item!r}.", hint="Items are named video/ID or clip/ID, as `clipfarm search query` does."
        )
    return found


def _show(found: "Sequence[tuple[Document, float]]", format_: str) -> None:
    if format_ == "json":
        rows = [{"key": document.key, "score": score, **asdict(document)} for document, score in found]
        print(json.dumps(rows, indent=1, ensure_ascii=False, default=lambda moment: moment.isoformat()))
        return
    whole_keys = max((len(document.key) for document, _ in found), default=0)  # there to be copied, so in one piece
    table = Table("score", Column("item", width=max(whole_keys, _TITLE_WIDTH)), "game", "by", box=None)
    for document, score in found:
        item = f"{escape(document.title)}\n[dim]{escape(document.key)}[/dim]"
        table.add_row(f"{score:.3f}", item, escape(document.game), escape(document.broadcaster or document.creator))
    if found:
        Console().print(table)


def open_workshop() -> "Workshop":
    """This deployment, with its search."""
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.settings import load_settings

    home.enter()
    return Workshop(load_settings())
