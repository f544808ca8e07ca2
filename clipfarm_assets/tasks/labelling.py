"""Titles and descriptions of Tasks: local ones at once, a language model's after the Tasks themselves are safe.

A Task has a local label from the moment it opens, and another when its size has doubled. Where a model is configured,
it is asked for Tasks with a local label and for those whose size has doubled since they were labelled. What the model
cannot say stays as it was, with the reason beside it, and is asked for again by the next run.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, Field, field_validator
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.tables import Task, TaskSegmentLink
from clipfarm_assets.llm.client import Cause, Llm, LlmFailure, Reply, Usage
from clipfarm_assets.llm.prompts import load_prompt, quoted
from clipfarm_assets.tasks.labels import WordCounts, local_label
from clipfarm_assets.tasks.model import TaskStatus
from clipfarm_assets.tasks.views import links_of

LOCAL = "keywords"
PROMPT = load_prompt("task_label.v1")
SHOWN_SEGMENTS = 5
_SHOWN_CHARACTERS = 1500
_SENTENCE_END = re.compile(r"[.!?。！？](?=\s|$)")
_MARKUP = re.compile(r"https?://|[<>{}`]")
# After one of these the next Task would only fail the same way, and cost the same wait.
_HOPELESS = frozenset({Cause.RATE_LIMITED, Cause.UNAVAILABLE, Cause.TIMED_OUT, Cause.DENIED})


class TaskLabel(BaseModel):
    """What the model answers; what does not fit is no answer."""

    title: str = Field(max_length=120)
    description: str = Field(min_length=10, max_length=1000)
    actionable: bool

    @field_validator("title")
    @classmethod
    def _title(cls, value: str) -> str:
        value = " ".join(value.split())
        words = len(value.split())
        if words > 10 or (words < 5 and (value.isascii() or len(value) < 5)):  # some scripts put no space between words
            raise ValueError("must be 5 to 10 words")
        if _MARKUP.search(value):
            raise ValueError("must be plain words")
        return value

    @field_validator("description")
    @classmethod
    def _description(cls, value: str) -> str:
        value = " ".join(value.split())
        if _MARKUP.search(value):
            raise ValueError("must be plain sentences")
        if len(_SENTENCE_END.findall(value)) > 3:
            raise ValueError("must be 1 to 3 sentences")
        return value


@dataclass(frozen=True)
class LabelReport:
    """What the model was asked and what came of it.

    Attributes:
        failed: causes by Task id.
        not_asked: Tasks that wait for the next run since the API was out of reach.
    """

    labelled: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    not_asked: int = 0
    usage: Usage = field(default_factory=Usage)


def label_locally(session: Session, team: str, task_ids: Collection[str]) -> None:
    """Names those of the Tasks that have no label yet, or a local one from when they were half as large."""
    tasks = [
        task
        for task in session.scalars(select(Task).where(Task.id.in_(task_ids), Task.labelled_by == LOCAL))
        if task.segment_count >= max(1, 2 * task.labelled_count)
    ]
    if not tasks:
        return
    said: dict[str, list[str]] = {}
    links = TaskSegmentLink
    query = select(links.task_id, links.description).where(links.team == team)
    for task_id, description in session.execute(query.order_by(links.distance_to_centroid, links.segment_id)):
        said.setdefault(task_id, []).append(description)
    corpus = WordCounts.of(said.values())
    for task in tasks:
        label = local_label(said[task.id], corpus)
        task.title, task.description, task.labelled_count = label.title, label.description, task.segment_count


def label_team(database: Database, team: str, llm: Llm, now: datetime) -> LabelReport:
    """Has the model label the team's Tasks that want it.

    Raises:
        DatabaseUnavailable: labels that were already given are kept.
    """
    waiting = wait_for_label(database, team)
    labelled, failed, usage = 0, {}, Usage()
    for number, task_id in enumerate(waiting, start=1):
        reply = _label(database, task_id, llm, now)
        usage += reply.usage
        if not isinstance(reply, LlmFailure):
            labelled += 1
            continue
        failed[task_id] = str(reply)
        if reply.cause in _HOPELESS:
            return LabelReport(labelled, failed, len(waiting) - number, usage)
    return LabelReport(labelled, failed, 0, usage)


def wait_for_label(database: Database, team: str) -> list[str]:
    """The Tasks that a language model is to name: those with a local label, and those that have doubled since."""
    wants = or_(Task.labelled_by == LOCAL, Task.segment_count >= 2 * Task.labelled_count)
    alive = (Task.team == team, Task.status != TaskStatus.MERGED.value, Task.segment_count > 0)
    with database.read() as session:
        return list(session.scalars(select(Task.id).where(*alive, wants).order_by(Task.id)))


def _label(database: Database, task_id: str, llm: Llm, now: datetime) -> Reply[TaskLabel] | LlmFailure:
    """Asks outside of any transaction: an answer takes seconds."""
    with database.read() as session:
        asked = session.get_one(Task, task_id)
        question = _question(asked, links_of(session, task_id, SHOWN_SEGMENTS))
    reply = llm.ask(PROMPT, question, TaskLabel)
    with database.write() as session:
        task = session.get_one(Task, task_id, with_for_update=True)
        if task.status == TaskStatus.MERGED.value:
            return reply  # a person merged it while the model was thinking
        task.updated_at = now
        if isinstance(reply, LlmFailure):
            task.label_error = str(reply)
            return reply
        answer = reply.answer
        task.title, task.description, task.actionable = answer.title, answer.description, answer.actionable
        task.labelled_by, task.labelled_count = f"{llm.model} {PROMPT.version}", asked.segment_count
        task.label_error = None
    return reply


def _question(task: Task, nearest: list[TaskSegmentLink]) -> str:
    counts = (
        f"The cluster has {task.segment_count} segments of {task.distinct_user_count} users. "
        f"The {len(nearest)} nearest to its centre:"
    )
    return "\n\n".join([counts, *(_shown(link) for link in nearest)])


def _shown(link: TaskSegmentLink) -> str:
    flags = f"failure: {link.failure}, confusion: {link.confusion}, abandonment: {link.abandonment}"
    return f"({flags})\n{quoted('segment', link.description[:_SHOWN_CHARACTERS])}"
