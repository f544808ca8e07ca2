"""Titles and descriptions of Tasks by a language model, one Task at a time, after the Tasks themselves are safe.

A Task has a local label from the moment it opens. Where a model is configured, it is asked for Tasks with a local
label and for those whose size has doubled since they were labelled. What the model cannot say stays as it was, with the
reason beside it, and is asked for again by the next run.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import BaseModel, Field, field_validator
from sqlalchemy import or_, select

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.tables import Task, TaskSegmentLink
from clipfarm_assets.llm.client import Cause, Llm, LlmFailure, Reply, Usage
from clipfarm_assets.llm.prompts import load_prompt, quoted
from clipfarm_assets.tasks.model import TaskStatus
from clipfarm_assets.tasks.views import links_of

LOCAL = "local"
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


def label_team(database: Database, team: str, llm: Llm, now: datetime) -> LabelReport:
    """Has the model label the team's Tasks that want it.

    Raises:
        DatabaseUnavailable: labels that were already given are kept.
    """
    waiting = _waiting(database, team)
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


def _waiting(database: Database, team: str) -> list[str]:
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
