"""A team whose segments lie in known groups, and a store of sources that its runs read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import select

from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.tables import Base, Task, TaskSegmentLink
from clipfarm_assets.segments.model import Failure, Segment
from clipfarm_assets.tasks.parameters import ClusteringParameters
from clipfarm_assets.tasks.run import Described, RunReport, Source, cluster_team

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DIM = 24
PARAMETERS = ClusteringParameters()


def segment(group: int, number: int, user: str | None = None, **more: Any) -> Segment:
    """A segment of a group: number 0, 1, 2, … are different videos."""
    facts: dict[str, Any] = dict(
        team="default", video_id=f"v{group}-{number}", user_id=user or f"user-{number}", start_sec=0.0, end_sec=20.0,
        recorded_at=NOW - timedelta(hours=number), description=f"Group {group} fails at step {number}",
        failure=Failure.NONE,
    )  # fmt: skip
    return Segment(**{**facts, **more})


def vector(group: int, number: int) -> np.ndarray[Any, Any]:
    """Near the axis of its group; another axis is at cosine distance 1."""
    noise = np.random.default_rng([group, number]).normal(scale=0.04, size=DIM)
    noise[group] += 1.0
    return noise.astype(np.float32)


@dataclass
class Team:
    """A database and the sources that its runs read: one source a video."""

    database: Database
    name: str = "default"
    sources: dict[str, tuple[Source, list[Segment], list[np.ndarray[Any, Any]]]] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def bring(self, segments: Iterable[Segment], vectors: Sequence[np.ndarray[Any, Any]] | None = None) -> None:
        """Puts each video's segments in place; the version changes with them."""
        by_video: dict[str, list[Segment]] = {}
        given = list(segments)
        for each in given:
            by_video.setdefault(each.video_id, []).append(each)
        for video_id, theirs in by_video.items():
            rows = [given.index(each) for each in theirs]
            places = [tuple(int(part) for part in each.video_id[1:].split("-")) for each in theirs]
            chosen = [vectors[row] for row in rows] if vectors is not None else [vector(*place) for place in places]
            self.sources[video_id] = (Source(video_id, repr((theirs, chosen))), theirs, chosen)

    def run(self, now: datetime = NOW, parameters: ClusteringParameters = PARAMETERS) -> RunReport:
        def read(source: Source) -> Described:
            self.read.append(source.name)
            _, segments, vectors = self.sources[source.name]
            return Described(segments, np.array(vectors), "model-1")

        sources = [source for source, _, _ in self.sources.values()]
        return cluster_team(self.database, self.name, sources, read, parameters, now)

    def places(self) -> dict[str, str]:
        """The Task of every linked segment, by video."""
        with self.database.read() as session:
            return {link.video_id: link.task_id for link in session.scalars(select(TaskSegmentLink))}

    def task_of(self, video_id: str) -> Task:
        with self.database.read() as session:
            return session.get_one(Task, self.places()[video_id])


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables."""
    with database.read() as session:
        found = {}
        for table in Base.metadata.sorted_tables:
            rows = [tuple(_plain(value) for value in row) for row in session.execute(select(table))]
            found[table.name] = sorted(rows, key=repr)
        return found


def described_anew(each: Segment, text: str) -> Segment:
    return replace(each, description=text)


def _plain(value: Any) -> Any:
    return value.tobytes() if isinstance(value, np.ndarray) else value
