"""What a person does to a Task: take it up, resolve, ignore, reopen, merge.

A merged Task is no more than a pointer, so every action on it is one on the Task that it stands for.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.tables import Task
from clipfarm_assets.errors import TaskError
from clipfarm_assets.tasks.book import join_tasks, take_turn
from clipfarm_assets.tasks.model import TaskStatus

Action = Literal["start", "resolve", "ignore", "reopen"]

_SHORTEST_PREFIX = 4
_BECOMES = {
    "start": TaskStatus.IN_PROGRESS,
    "resolve": TaskStatus.RESOLVED,
    "ignore": TaskStatus.IGNORED,
    "reopen": TaskStatus.OPEN,
}


@dataclass(frozen=True)
class Changed:
    """A Task after an action."""

    task_id: str
    title: str
    before: TaskStatus
    status: TaskStatus


def act(database: Database, task_id: str, action: Action, now: datetime) -> Changed:
    """Changes the status of a Task, named by its id or the start of it.

    Raises:
        TaskError: there is no such Task, or the start is of several.
    """
    with database.write() as session:
        task = standing(session, find(session, task_id))
        take_turn(session, task.team)
        before, status = TaskStatus(task.status), _BECOMES[action]
        if status is not before:
            task.status, task.updated_at = status.value, now
        return Changed(task.id, task.title, before, status)


def merge(database: Database, task_id: str, into: str, now: datetime) -> Changed:
    """Merges a Task into another of its team; its id stays and stands for the other from then on.

    Raises:
        TaskError: there is no such Task, they are one already, or of different teams.
    """
    with database.write() as session:
        gone, kept = (standing(session, find(session, name)) for name in (task_id, into))
        if gone.id == kept.id:
            raise TaskError(f"{task_id} and {into} are one Task already: {kept.id}.")
        if gone.team != kept.team:
            raise TaskError(f"{task_id} is of team {gone.team}, {into} of team {kept.team}.")
        take_turn(session, kept.team)
        before = TaskStatus(gone.status)
        join_tasks(session, kept, gone, now)
        return Changed(kept.id, kept.title, before, TaskStatus(kept.status))


def find(session: Session, task_id: str) -> Task:
    """The Task with this id, or the only one whose id starts so.

    Raises:
        TaskError: there is none, or several.
    """
    if len(task_id) < _SHORTEST_PREFIX:
        raise TaskError(f"{task_id!r} is too short for a Task's id.", hint="Give at least its first four characters.")
    found = session.scalars(select(Task).where(Task.id.startswith(task_id.lower(), autoescape=True)).limit(2)).all()
    if not found:
        raise TaskError(f"There is no Task {task_id}.", hint="`clipfarm tasks` lists them.")
    if len(found) > 1:
        raise TaskError(f"Several Tasks start with {task_id}.", hint="Give more of the id.")
    return found[0]


def standing(session: Session, task: Task) -> Task:
    """The Task that this one stands for: itself unless it was merged."""
    while task.merged_into is not None:
        task = session.get_one(Task, task.merged_into)
    return task
