"""Consolidation: a team's near-duplicate Tasks become one, whatever has brought them together since they opened.

A run compares the Tasks that it changes with all others. What a person does (reopening, ignoring, merging) and what
leaves with a removed video changes Tasks outside of runs; so all are compared with all from time to time. The older
Task survives, then the one with the lower id; the merged one's id goes on standing for it.
"""

from datetime import datetime

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.tables import Task
from clipfarm_assets.tasks.book import join_tasks, read_book, take_turn
from clipfarm_assets.tasks.consolidate import near_duplicates
from clipfarm_assets.tasks.model import Merge
from clipfarm_assets.tasks.parameters import ClusteringParameters


def consolidate_team(
    database: Database, team: str, parameters: ClusteringParameters, now: datetime
) -> tuple[Merge, ...]:
    """Merges the team's near-duplicates in one transaction; nothing is written where there are none.

    Raises:
        DatabaseChanged: the team's Tasks changed meanwhile; nothing was written.
        DatabaseUnavailable: nothing was written.
    """
    with database.read() as session:
        book = read_book(session, team)
    merges = near_duplicates([task for task in book.tasks if task.segment_count], parameters)
    if merges:
        with database.write() as session:
            take_turn(session, team, book.revision)
            for merge in merges:
                kept, gone = session.get_one(Task, merge.survivor), session.get_one(Task, merge.merged)
                join_tasks(session, kept, gone, now)
    return merges
