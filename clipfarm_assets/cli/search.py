"""`clipfarm search`: finding videos and clips from the shell, and building their index anew."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clipfarm_assets.cli import home

if TYPE_CHECKING:
    from clipfarm_assets.graph.platform import Workshop

search = typer.Typer(help="Finds videos and clips by words and by meaning.", no_args_is_help=True)

_SHOWN_TEXT = 60


@search.command()
def query(
    text: Annotated[str, typer.Argument(help="What is looked for; a typing error is forgiven.")] = "",
    mode: Annotated[str, typer.Option(help="text (by words), semantic (by meaning) or hybrid (both).")] = "hybrid",
    sort: Annotated[str, typer.Option(help="relevance, popular, recent, hot or trending.")] = "relevance",
    kind: Annotated[str | None, typer.Option(help="video or clip.")] = None,
    language: Annotated[str | None, typer.Option(help="Such as en.")] = None,
    game_id: Annotated[str | None, typer.Option(help="Id of the game.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag; may be given more than once.")] = None,
    limit: Annotated[int, typer.Option(help="Most answers.")] = 20,
    offset: Annotated[int, typer.Option(help="Answers before the first.")] = 0,
    format_: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Looks for videos and clips, the best first."""
    from clipfarm_assets.database.discovery import StoredPopularity
    from clipfarm_assets.discovery.asking import Meaning, meaning
    from clipfarm_assets.search.filters import Filters
    from clipfarm_assets.search.query import Question, check
    from clipfarm_assets.search.query import search as answer

    workshop = _open()
    room = workshop.discovery
    filters = Filters(game_id=game_id, language=language, kind=kind, tags=tuple(tag or ()))  # type: ignore[arg-type]
    question = Question(text, mode, filters, sort, limit, offset)  # type: ignore[arg-type]
    check(question)
    found = meaning(room, text) if mode != "text" and text.strip() else Meaning(None)
    popularity = StoredPopularity(workshop.database)
    page = answer(room.index, question, now=datetime.now(UTC), vector=found.vector, popularity=popularity)
    if format_ == "json":
        rows = [{"key": h.document.key, "score": h.score, **asdict(h.document)} for h in page.hits]
        print(json.dumps(rows, indent=1, ensure_ascii=False, default=lambda moment: moment.isoformat()))
        return
    console = Console()
    if found.why:
        console.print(f"By words alone: {escape(found.why)}", highlight=False)
    table = Table("item", "score", "title", "game", "by", box=None)
    for hit in page.hits:
        document = hit.document
        shown = (document.title[:_SHOWN_TEXT], document.game, document.broadcaster or document.creator)
        table.add_row(escape(document.key), f"{hit.score:.3f}", *(escape(each) for each in shown))
    if page.hits:
        console.print(table)
    more = "" if page.total_is_exact else "at least "
    console.print(f"{len(page.hits)} of {more}{page.total}", highlight=False)


@search.command()
def rebuild() -> None:
    """Builds the index anew from videos, clips and their vectors; the old one serves until the new one is there."""
    from clipfarm_assets.discovery.whole import DOCUMENTS_KEY, sync, to_parquet, to_table
    from clipfarm_assets.graph.search_index import gather_all

    with home.instance() as instance:
        workshop = _open()
        gathered = gather_all(instance, workshop)
        workshop.store.put(DOCUMENTS_KEY, to_parquet(to_table(gathered.rows)))
        facts = sync(workshop.discovery, gathered.rows, rebuild=True).facts
    print(f"{facts.documents} items, {facts.with_vector} with a vector, by {facts.model}")


def _open() -> "Workshop":
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.settings import load_settings

    home.enter()
    return Workshop(load_settings())
