"""The partition set of clustering, one key a team, and which teams have something to be done about."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

import dagster as dg
import pyarrow.compute as pc

from clipfarm_assets.graph.events import read_events
from clipfarm_assets.graph.imports import read_imports
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.segments import SEGMENT_EMBEDDING, SEGMENTS
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.metadata.tables import videos_from_table
from clipfarm_assets.settings import Settings
from clipfarm_assets.tasks.book import revisions, taken_in
from clipfarm_assets.tasks.labelling import wait_for_label
from clipfarm_assets.tasks.run import Source

TEAMS = "teams"
REVISION = "revision"  # the metadata entry by which `tasks` says which state of the database it shows
_EVERY_TEAM = "*"

teams = dg.DynamicPartitionsDefinition(name=TEAMS)


def team_key(team: str) -> str:
    """The team's partition key and part of its objects' keys: letters, digits, ``_.-~`` and spaces stay."""
    return quote(team, safe=" ").replace("..", "%2E%2E")


def clusters_key(team: str) -> str:
    """Where the links of a team's segments to Tasks lie as Parquet."""
    return f"clipfarm/clusters/{team_key(team)}.parquet"


def tasks_key(team: str) -> str:
    """Where a team's Tasks lie as Parquet."""
    return f"clipfarm/tasks/{team_key(team)}.parquet"


def team_of(key: str) -> str:
    """The team behind a partition key."""
    return unquote(key)


def enabled(settings: Settings, team: str) -> bool:
    """Whether `video-segment-clustering-enabled` is on for the team."""
    named = settings.video_segment_clustering_enabled
    return _EVERY_TEAM in named or team in named


def known_teams(workshop: Workshop) -> list[str]:
    """Every team that the metadata, an import or the database names."""
    rows = workshop.videos_table() if workshop.videos_etag() else None
    named = set() if rows is None else set(pc.unique(rows.filter(pc.invert(rows["removed"]))["team"]).to_pylist())
    named.update(team for versions in read_imports(workshop).values() for team in versions)
    with workshop.database.read() as session:
        named.update(revisions(session))
    return sorted(named)


def new_teams(instance: dg.DagsterInstance, names: Iterable[str]) -> list[dg.AddDynamicPartitionsRequest]:
    """What a sensor asks for so that each team has its partition."""
    there = set(instance.get_dynamic_partitions(TEAMS))
    new = [key for key in map(team_key, names) if key not in there]
    return [teams.build_add_request(new)] if new else []


def add_teams(instance: dg.DagsterInstance, names: Iterable[str]) -> None:
    """Adds the partitions that are not there yet."""
    for request in new_teams(instance, names):
        instance.add_dynamic_partitions(TEAMS, request.partition_keys)


@dataclass(frozen=True)
class Sources:
    """Where segments come from.

    Attributes:
        by_team: the videos whose segments have vectors, and the imports. A video whose segments are being made anew is
            there with those that it has.
        imports: the names of all imports, whatever is in them.
    """

    by_team: Mapping[str, Sequence[Source]]
    imports: frozenset[str]

    def of(self, team: str) -> Sequence[Source]:
        return self.by_team.get(team, ())


def read_sources(instance: dg.DagsterInstance, workshop: Workshop, team: str | None = None) -> Sources:
    """Where the segments of every team, or of the one that is named, come from."""
    found: dict[str, list[Source]] = {}
    for video, source in _video_sources(instance, workshop, team):
        found.setdefault(video.team, []).append(source)
    imports = read_imports(workshop)
    for name, versions in imports.items():
        for of_team, version in versions.items():
            found.setdefault(of_team, []).append(Source(name, version))
    return Sources(found, frozenset(imports))


def gone_sources(workshop: Workshop, team: str, taken: Iterable[str], sources: Sources) -> list[str]:
    """What a team's clustering took in and is no longer its own: removed videos, moved ones, and emptied imports.

    A video whose row has merely vanished, or whose segments cannot be made just now, stays.
    """
    theirs = {source.name for source in sources.of(team)}
    doubtful = {name for name in taken if name not in theirs}
    if not doubtful:
        return []
    rows = workshop.videos(sorted(doubtful)).values() if workshop.videos_etag() else ()
    gone = {video.video_id for video in rows if video.removed or video.team != team}
    return sorted(gone | (doubtful & sources.imports))


def due_teams(instance: dg.DagsterInstance, workshop: Workshop, *, labels: bool = False) -> dict[str, str]:
    """The enabled teams of which something is to be done, and what: by name.

    With ``labels`` those count as well whose Tasks wait for the language model to name them.
    """
    with workshop.database.read() as session:
        taken, revision = taken_in(session), revisions(session)
    sources = read_sources(instance, workshop)
    found = {}
    for team in sorted(sources.by_team.keys() | revision.keys()):
        if enabled(workshop.settings, team):
            why = list(_changes(workshop, team, sources, taken.get(team, {})))
            if not why and team in revision:
                why = list(_unshown(instance, workshop, team, revision[team]))
            if why := why + (list(_unlabelled(workshop, team)) if labels else []):
                found[team] = ", ".join(why)
    return found


def _changes(workshop: Workshop, team: str, sources: Sources, taken: Mapping[str, str]) -> Iterator[str]:
    if new := sum(taken.get(source.name) != source.data_version for source in sources.of(team)):
        yield f"{new} sources with new segments"
    if gone := gone_sources(workshop, team, taken, sources):
        yield f"{len(gone)} sources that are gone"


def _unshown(instance: dg.DagsterInstance, workshop: Workshop, team: str, revision: int) -> Iterator[str]:
    if revision != _shown_revision(instance, team):
        yield "Tasks that have changed"
    elif any(workshop.store.head(key) is None for key in (clusters_key(team), tasks_key(team))):
        yield "tables that the store has lost"


def _unlabelled(workshop: Workshop, team: str) -> Iterator[str]:
    if workshop.llm is not None and (waiting := wait_for_label(workshop.database, team)):
        yield f"{len(waiting)} Tasks without a label by {workshop.llm.model}"


def _video_sources(
    instance: dg.DagsterInstance, workshop: Workshop, team: str | None
) -> Iterator[tuple[Video, Source]]:
    if workshop.videos_etag() is None:
        return
    rows = workshop.videos_table()
    rows = rows.filter(pc.invert(rows["removed"]) if team is None else pc.equal(rows["team"], team))
    ids = None if team is None else rows["video_id"].to_pylist()
    said, embedded = (read_events(instance, stage.name, ids) for stage in (SEGMENTS, SEGMENT_EMBEDDING))
    for video in videos_from_table(rows):
        if video.video_id in said and video.video_id in embedded and not video.removed:
            segments, vectors = said[video.video_id].outcome, embedded[video.video_id].outcome
            if segments and vectors and _belong_together(video, segments, vectors, workshop.store_id):
                yield video, Source(video.video_id, f"{segments.data_version}-{vectors.data_version}")


def _belong_together(video: Video, segments: Outcome, vectors: Outcome, store_id: str) -> bool:
    """Both are there, and the vectors are of just these segments."""
    there = all(each.artifact_key and each.store_id == store_id for each in (segments, vectors))
    of_these = SEGMENT_EMBEDDING.source_hash(video, {SEGMENTS.name: segments.data_version or ""})
    return there and vectors.source_hash == of_these


def _shown_revision(instance: dg.DagsterInstance, team: str) -> int:
    """The revision that the team's `tasks` showed when they were last made; 0 where they never were."""
    asked = dg.AssetRecordsFilter(asset_key=dg.AssetKey("tasks"), asset_partitions=[team_key(team)])
    for record in instance.fetch_materializations(asked, limit=1).records:
        entry = record.asset_materialization.metadata.get(REVISION) if record.asset_materialization else None
        return entry.value if isinstance(entry, dg.IntMetadataValue) and entry.value else 0
    return 0
