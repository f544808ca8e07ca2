"""`clipfarm clips`: what is worth cutting out of a video, why, and as a file."""

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from clipfarm_assets.cli import home

if TYPE_CHECKING:
    from clipfarm_assets.database.clip_tables import Clip, ClipBatch, Job
    from clipfarm_assets.graph.platform import Workshop

_SHOWN_ID = 8
_GRADES = ("hook", "flow", "value", "trend")

clips = typer.Typer(no_args_is_help=True)
VideoId = Annotated[str, typer.Argument(help="A video's id.")]
BatchId = Annotated[str, typer.Argument(help="A batch's id, or the start of it.")]
ClipId = Annotated[str, typer.Argument(help="A clip's id, or the start of it.")]
JobId = Annotated[str, typer.Argument(help="A job's id, or the start of it.")]
Format = Annotated[Literal["table", "json"], typer.Option("--format", help="How to print.")]


@clips.callback()
def _clips() -> None:
    """Clips of videos: ranked candidates with the reasons for their score, further batches, exports.

    For example: `clipfarm clips list talk-checklists`, then `clipfarm clips show 3f2a91c0`.
    """


@clips.command("list")
def list_(video_id: VideoId, format_: Format = "table") -> None:
    """Lists the batches of a video, the newest first."""
    from clipfarm_assets.clips.book import list_batches
    from clipfarm_assets.clips.work import count_clips

    workshop = _open()
    found = list_batches(workshop.database, video_id)
    if format_ == "json":
        _print_json([_plain(batch) for batch in found])
        return
    if not found:
        print(f"There are no batches of {video_id}.")
        return
    table = Table("batch", "name", "status", "clips", "asks for", "note", box=None)
    for batch in found:
        count = str(count_clips(workshop.database, batch.id))
        note = escape(batch.error_message or "")
        table.add_row(batch.id[:_SHOWN_ID], escape(batch.name), batch.status, count, escape(_wish(batch)), note)
    Console().print(table)


@clips.command()
def new(
    video_id: VideoId,
    video_type: Annotated[
        str, typer.Option("--type", help="podcast, talking_head, gaming or session_replay.")
    ] = "talking_head",
    ratio: Annotated[str, typer.Option(help="Of exports: 9:16, 1:1 or 16:9.")] = "9:16",
    length: Annotated[str, typer.Option(help="auto_0_60, 0_30, 30_60, 60_90, 60_180 or 0_90 seconds.")] = "auto_0_60",
    subtitles: Annotated[bool, typer.Option(help="Draw subtitles onto exports.")] = True,
    start: Annotated[float | None, typer.Option("--from", help="Seconds; nothing before it becomes a clip.")] = None,
    end: Annotated[float | None, typer.Option("--to", help="Seconds; nothing after it becomes a clip.")] = None,
    moments: Annotated[str, typer.Option(help="Moments to look for, in words; needs a language model.")] = "",
) -> None:
    """Asks for another batch of clips of a video."""
    from pydantic import ValidationError

    from clipfarm_assets.clips.book import create_batch
    from clipfarm_assets.clips.model import BatchConfig
    from clipfarm_assets.errors import ClipError, ClipMissing

    workshop = _open()
    video = workshop.videos([video_id]).get(video_id)
    if video is None or video.removed:
        raise ClipMissing(f"There is no video {video_id}.", hint="`clipfarm ledger` lists them.")
    try:
        config = BatchConfig.model_validate(
            {
                "video_type": video_type, "aspect_ratio": ratio, "clip_length_preset": length,
                "subtitle_enabled": subtitles, "processing_timeframe": {"start": start, "end": end},
                "include_specific_moments": moments,
            }
        )  # fmt: skip
    except ValidationError as error:
        wrong = "; ".join(f"{each['loc'][0]}: {each['msg']}" for each in error.errors())
        raise ClipError(f"No such batch can be made. {wrong}.", hint="See `clipfarm clips new --help`.") from None
    batch, job = create_batch(workshop.database, video_id, config, _now(), name="requested")
    print(f"batch {batch.id}")
    _launch(workshop, job)


@clips.command()
def again(batch_id: BatchId) -> None:
    """Scores a batch again; clips that a person edited or exported stay as they are."""
    from clipfarm_assets.clips.book import reopen_batch
    from clipfarm_assets.database.clip_tables import ClipBatch

    workshop = _open()
    _, job = reopen_batch(workshop.database, _find(workshop, ClipBatch, batch_id).id, _now())
    _launch(workshop, job)


@clips.command()
def final(batch_id: BatchId) -> None:
    """Says that a batch is as it should be: nothing in it changes any more."""
    from clipfarm_assets.clips.book import set_final
    from clipfarm_assets.database.clip_tables import ClipBatch

    workshop = _open()
    batch = set_final(workshop.database, _find(workshop, ClipBatch, batch_id).id, _now())
    print(f"{batch.id} is {batch.status}")


@clips.command()
def show(
    batch_id: BatchId,
    evidence: Annotated[bool, typer.Option("--evidence", help="With what each score rests on.")] = False,
    format_: Format = "table",
) -> None:
    """Shows the clips of a batch, the best first."""
    from clipfarm_assets.clips.book import list_clips
    from clipfarm_assets.database.clip_tables import ClipBatch

    workshop = _open()
    batch = _find(workshop, ClipBatch, batch_id)
    found = list_clips(workshop.database, batch.id)
    if format_ == "json":
        _print_json([_plain(clip) for clip in found])
        return
    console = Console()
    console.print(f"{batch.video_source_id}: {batch.status}, {len(found)} clips of {escape(_wish(batch))}")
    if batch.error_message:
        console.print(escape(batch.error_message), highlight=False)
    if found:
        console.print(_clip_table(found))
    for clip in found if evidence else ():
        _print_evidence(console, clip)


@clips.command("clip")
def clip_(clip_id: ClipId, format_: Format = "table") -> None:
    """Shows one clip with what its score rests on, and its exports."""
    from clipfarm_assets.clips.work import list_exports
    from clipfarm_assets.database.clip_tables import Clip

    workshop = _open()
    clip = _find(workshop, Clip, clip_id)
    exports = list_exports(workshop.database, clip.id)
    if format_ == "json":
        _print_json({**_plain(clip), "exports": [_plain(each) for each in exports]})
        return
    console = Console()
    console.print(_clip_table([clip]))
    console.print(escape(clip.description), highlight=False)
    _print_evidence(console, clip)
    for each in exports:
        where = workshop.store.location(each.video_path) if each.video_path else each.error_message or ""
        console.print(f"export {each.status} {escape(where)}", highlight=False, soft_wrap=True)


@clips.command()
def export(clip_id: ClipId) -> None:
    """Asks for a clip as MP4 and SRT, in the shape that its batch asks for."""
    from clipfarm_assets.clips.jobs import create_export_job
    from clipfarm_assets.database.clip_tables import Clip

    workshop = _open()
    _launch(workshop, create_export_job(workshop.database, _find(workshop, Clip, clip_id).id, _now()))


@clips.command()
def job(job_id: JobId, format_: Format = "table") -> None:
    """Shows how far a job is."""
    from clipfarm_assets.clips.work import export_of_job
    from clipfarm_assets.database.clip_tables import Job

    workshop = _open()
    found = _find(workshop, Job, job_id)
    if format_ == "json":
        _print_json(_plain(found))
        return
    print(f"{found.kind}: {found.status}, {found.progress:.0%}")
    if found.dagster_run_id:
        print(f"Dagster run {found.dagster_run_id}")
    if found.error_message:
        print(found.error_message)
    made = export_of_job(workshop.database, found)
    if made is not None and made.video_path:
        print(workshop.store.location(made.video_path))


def _open() -> "Workshop":
    from clipfarm_assets.graph.platform import Workshop
    from clipfarm_assets.settings import load_settings

    home.enter()
    return Workshop(load_settings())


def _launch(workshop: "Workshop", job: "Job") -> None:
    """Asks Dagster for a run; where it does not answer, says what does the job instead."""
    from clipfarm_assets.clips.work import note_launch
    from clipfarm_assets.graph.launch import Launcher

    settings = workshop.settings
    launched = Launcher(settings.dagster_url, settings.dagster_header).launch(job.kind)
    note_launch(workshop.database, job.id, launched, _now())
    print(f"job {job.id}")
    print(f"Dagster run {launched.run_id}" if launched.run_id else f"{launched.why} `clipfarm run` does it now.")


def _find(workshop: "Workshop", table: Any, start: str) -> Any:
    """The one row whose id begins so."""
    from sqlalchemy import select

    from clipfarm_assets.errors import ClipError, ClipMissing

    with workshop.database.read() as session:
        found = list(session.scalars(select(table).where(table.id.startswith(start, autoescape=True)).limit(2)))
    what = {"clip_batches": "batch", "clips": "clip", "jobs": "job"}[table.__tablename__]
    if not found:
        raise ClipMissing(f"There is no {what} {start}.")
    if len(found) > 1:
        raise ClipError(f"Several ids begin with {start}.", hint="Write more of it.")
    return found[0]


def _now() -> datetime:
    return datetime.now(UTC)


def _wish(batch: "ClipBatch") -> str:
    config = batch.config_json
    frame = config["processing_timeframe"]
    parts = [config["clip_length_preset"], config["aspect_ratio"], config["video_type"]]
    if frame["start"] is not None or frame["end"] is not None:
        parts.append(f"{frame['start'] or 0:g}-{frame['end'] or 'end'} s")
    return ", ".join([*parts, *filter(None, [config["include_specific_moments"]])])


def _clip_table(found: "list[Clip]") -> Table:
    table = Table("clip", "from", "to", "score", *_GRADES, "status", "title", box=None)
    for clip in found:
        grades = [getattr(clip, f"grade_{name}") or "-" for name in _GRADES]
        score = "-" if clip.viral_score is None else f"{clip.viral_score:.1f}"
        times = (f"{clip.start_time_sec:.1f}", f"{clip.end_time_sec:.1f}")
        table.add_row(clip.id[:_SHOWN_ID], *times, score, *grades, clip.status, escape(clip.title))
    return table


def _print_evidence(console: Console, clip: "Clip") -> None:
    """Each part with its points, the words they come from, and their second."""
    console.print(f"[bold]{clip.id[:_SHOWN_ID]}[/] {escape(clip.title)}", highlight=False)
    parts = clip.score_parts.get("local", {}).get("parts", {})
    for name, judged in parts.items():
        score = "-" if judged["score"] is None else f"{judged['score']:.1f}"
        console.print(f"  {name} {score} {escape(judged.get('reason') or '')}".rstrip(), highlight=False)
        for each in judged["evidence"]:
            quote = f" “{each['quote']}”" if each.get("quote") else ""
            at = f" at {each['at_sec']:.1f} s" if each.get("at_sec") is not None else ""
            console.print(f"    {each['points']:+.1f} {escape(each['what'] + quote)}{at}", highlight=False)
    llm = clip.score_parts.get("llm")
    missing = clip.score_parts.get("missing", {}).get("llm", "")
    said = f"{llm['score']:.1f} “{llm.get('quote') or ''}”" if llm else f"- {missing}"
    console.print(f"  language model {escape(said)}", highlight=False)


def _plain(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__table__.columns}


def _print_json(found: Any) -> None:
    print(json.dumps(found, indent=1, ensure_ascii=False, default=lambda moment: moment.isoformat()))
