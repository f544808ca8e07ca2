"""`clipfarm tasks`: what keeps happening in the videos, most urgent first, and what a person decides about it."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clipfarm_assets.cli.words import many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clipfarm_assets.database.connect import Database
    from clipfarm_assets.database.tables import TaskSegmentLink
    from clipfarm_assets.tasks.actions import Action, Changed
    from clipfarm_assets.tasks.parameters import ClusteringParameters
    from clipfarm_assets.tasks.views import Ranked

_SHOWN_ID = 8

tasks = typer.Typer(no_args_is_help=False)
TaskId = Annotated[str, typer.Argument(help="A Task's id, or the start of it.")]


Team = Annotated[str | None, typer.Option(help="Only this team's.")]
All = Annotated[bool, typer.Option("--all", help="Resolved, ignored and merged ones too.")]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")]


@tasks.callback(invoke_without_command=True)
def _tasks(context: typer.Context, team: Team = None, all_: All = False, format_: Format = "table") -> None:
    """Recurring patterns across videos, as Tasks by priority. Without a command they are listed.

    For example: `clipfarm tasks --team payments`, then `clipfarm tasks show 3f2a91c0`.
    """
    if context.invoked_subcommand is None:
        list_tasks(team, all_, format_)


@tasks.command("list")
def list_tasks(team: Team = None, all_: All = False, format_: Format = "table") -> None:
    """Lists the open Tasks by priority, with the parts of the score."""
    from clipfarm_assets.tasks.model import TaskStatus
    from clipfarm_assets.tasks.views import LIVE, ranked

    with _database().read() as session:
        statuses = tuple(TaskStatus) if all_ else LIVE
        found = ranked(session, datetime.now(UTC), _parameters(), team=team, statuses=statuses)
    if format_ == "json":
        print(json.dumps([_fields(each) for each in found], indent=1, ensure_ascii=False))
    elif found:
        Console().print(_table(found))
    else:
        print("There are no Tasks." if all_ else "There are no open Tasks.")


@tasks.command()
def show(
    task_id: TaskId,
    segments: Annotated[int, typer.Option(help="How many of its segments, nearest to its centre first.")] = 20,
    format_: Annotated[Literal["table", "json"], typer.Option("--format", help="How to print it.")] = "table",
) -> None:
    """Shows one Task: what it is, why it ranks where it does, and its segments with links into the videos."""
    from clipfarm_assets.tasks.actions import find, standing
    from clipfarm_assets.tasks.views import links_of, neighbours_of, rank

    with _database().read() as session:
        asked = find(session, task_id)
        task = standing(session, asked)
        found = rank(task, datetime.now(UTC), _parameters())
        links, near = links_of(session, task.id, segments), neighbours_of(session, task.id)
    rows = [_segment(link, place) for link, place in zip(links, _video_places(links), strict=True)]
    if format_ == "json":
        fields = {**_fields(found), "segments": rows, "neighbours": [other.id for other in near]}
        print(json.dumps(fields, indent=1, ensure_ascii=False))
        return
    console = Console()
    if asked.id != task.id:
        console.print(f"{asked.id} was merged into {task.id}.", highlight=False)
    _print_task(console, found)
    for row in rows:
        _print_segment(console, row)
    for other in near:
        console.print(f"\nHard to tell from {other.id[:_SHOWN_ID]}: {escape(other.title)}", highlight=False)


@tasks.command()
def start(task_id: TaskId) -> None:
    """Says that somebody is at work on a Task."""
    _act(task_id, "start")


@tasks.command()
def resolve(task_id: TaskId) -> None:
    """Resolves a Task. Where it comes back, a new one opens that points to it."""
    _act(task_id, "resolve")


@tasks.command()
def ignore(task_id: TaskId) -> None:
    """Ignores a Task: it goes on taking in what belongs to it, and is not listed."""
    _act(task_id, "ignore")


@tasks.command()
def reopen(task_id: TaskId) -> None:
    """Opens a resolved or ignored Task again."""
    _act(task_id, "reopen")


@tasks.command()
def merge(task_id: TaskId, into: Annotated[str, typer.Argument(help="The Task that stays.")]) -> None:
    """Merges a Task into another; its id goes on standing for the other."""
    from clipfarm_assets.tasks.actions import merge as merge_tasks

    _say(merge_tasks(_database(), task_id, into, datetime.now(UTC)), f"took in {task_id}")


def _act(task_id: str, action: "Action") -> None:
    from clipfarm_assets.tasks.actions import act

    changed = act(_database(), task_id, action, datetime.now(UTC))
    _say(changed, "stays" if changed.before is changed.status else f"was {changed.before}, is {changed.status}")


def _say(changed: "Changed", what: str) -> None:
    Console().print(f"{changed.task_id[:_SHOWN_ID]} {escape(changed.title)}: {escape(what)}", highlight=False)


def _database() -> "Database":
    from clipfarm_assets.database.connect import open_database
    from clipfarm_assets.database.migrate import migrate
    from clipfarm_assets.settings import load_settings

    database = open_database(load_settings().db)
    migrate(database)
    return database


def _parameters() -> "ClusteringParameters":
    from clipfarm_assets.settings import load_settings
    from clipfarm_assets.tasks.parameters import clustering_parameters

    return clustering_parameters(load_settings())


def _video_places(links: "Sequence[TaskSegmentLink]") -> list[str]:
    """Where a person finds the video of each segment: its file in the store, or its id where it came by an import."""
    from clipfarm_assets.graph.imports import IMPORT
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.graph.raw import RAW_VIDEO
    from clipfarm_assets.settings import load_settings

    store = Workshop(load_settings()).store
    return [
        link.video_id if link.source.startswith(IMPORT) else store.location(RAW_VIDEO.key(link.video_id))
        for link in links
    ]


def _segment(link: "TaskSegmentLink", place: str) -> dict[str, Any]:
    return {
        "segment_id": link.segment_id, "video_id": link.video_id, "start_sec": link.start_sec,
        "end_sec": link.end_sec, "user_id": link.user_id, "recorded_at": link.recorded_at.isoformat(),
        "failure": link.failure, "confusion": link.confusion, "abandonment": link.abandonment,
        "distance": round(link.distance_to_centroid, 4), "how": link.how, "description": link.description,
        "link": f"{place}#t={link.start_sec:.1f},{link.end_sec:.1f}",
    }  # fmt: skip


def _print_segment(console: Console, row: dict[str, Any]) -> None:
    flags = [row["failure"] + " failure"] if row["failure"] != "none" else []
    flags += [name for name in ("confusion", "abandonment") if row[name]]
    console.print(
        f"\n[bold]{escape(row['video_id'])}[/] {row['start_sec']:.1f} to {row['end_sec']:.1f} s"
        f" · {escape(row['user_id'] or 'no user')} · {', '.join(flags) or 'no harm'}",
        highlight=False,
    )
    console.print(escape(row["description"]), highlight=False)
    console.print(f"[dim]{escape(row['link'])}[/]", highlight=False, soft_wrap=True)


def _fields(found: "Ranked") -> dict[str, Any]:
    task, score = found.task, found.priority
    return {
        "id": task.id, "team": task.team, "status": task.status, "title": task.title,
        "description": task.description, "priority": None if score is None else round(score.score, 6),
        "parts": None if score is None else {
            "formula": score.formula, "users": score.users, "impact": score.impact, "recency": score.recency,
        },
        "segment_count": task.segment_count, "distinct_user_count": task.distinct_user_count,
        "avg_impact": task.avg_impact, "first_seen": _iso(task.first_seen), "last_seen": _iso(task.last_seen),
        "labelled_by": task.labelled_by, "label_error": task.label_error, "actionable": task.actionable,
        "merged_into": task.merged_into, "recurrence_of": task.recurrence_of,
    }  # fmt: skip


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _table(found: "list[Ranked]") -> Table:
    """Narrow enough that titles can be read on 80 columns."""
    table = Table(
        title=f"{len(found)} Tasks, most urgent first", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0)
    )
    for name in ("task", "score", "users", "impact", "recency", "of"):
        table.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    table.add_column("title", min_width=30)
    for each in found:
        task, score = each.task, each.priority
        parts = [f"{part:.2f}" for part in (score.users, score.impact, score.recency)] if score else [""] * 3
        title = task.title if task.status == "open" else f"({task.status}) {task.title}"
        row = [task.id[:_SHOWN_ID], f"{score.score:.3f}" if score else "", *parts]
        table.add_row(*row, f"{task.segment_count}/{task.distinct_user_count}", escape(title))
    table.caption = "score = users, impact and recency by the formula; of: segments / users"
    return table


def _print_task(console: Console, found: "Ranked") -> None:
    task, score = found.task, found.priority
    console.print(f"[bold]{escape(task.title)}[/]", highlight=False)
    console.print(escape(task.description), highlight=False)
    facts = [f"{task.id} · team {task.team} · {task.status} · labelled by {task.labelled_by}"]
    if score is not None:
        sign = "+" if score.formula == "additive" else "·"
        facts.append(
            f"priority {score.score:.3f} = users {score.users:.3f} {sign} impact {score.impact:.3f} {sign} "
            f"recency {score.recency:.3f} ({score.formula})"
        )
    segments, users = many(task.segment_count, "segment"), many(task.distinct_user_count, "user")
    facts.append(f"{segments} of {users}, impact {task.avg_impact:.2f}")
    if task.first_seen is not None and task.last_seen is not None:
        facts.append(f"first seen {task.first_seen:%Y-%m-%d %H:%M}, last seen {task.last_seen:%Y-%m-%d %H:%M} UTC")
    if task.recurrence_of:
        facts.append(f"has come back after {task.recurrence_of} was resolved")
    if task.label_error:
        facts.append(f"the model gave no label: {task.label_error}")
    for fact in facts:
        console.print(escape(fact), highlight=False, style="dim")
