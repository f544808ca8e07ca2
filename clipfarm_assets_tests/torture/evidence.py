"""What is left after a kill, read without the product: the store's files and Dagster's databases."""

import hashlib
import json
import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

Pair = tuple[str, str]  # video and stage
Stamp = tuple[object, ...]  # changes when an object is written again

STAGES = (
    *("raw_video", "raw_audio", "raw_text", "video_embedding", "audio_embedding", "text_embedding"),
    *("scene_segments", "segments", "segment_embedding"),
    *("scored_clips", "clip_thumbnails"),
    *("enriched_metadata", "discovery_embedding"),
)
FAN_IN = ("embedding_manifest", "fused_manifest", "ledger")
IDENTITY = ".identity.json"
_FINISHED = ("SUCCESS", "FAILURE", "CANCELED")
_QUERY = """
    select e.id, e.dagster_event_type, e.asset_key, e.partition, t.value, e.run_id
    from event_logs e left join asset_event_tags t on t.event_id = e.id and t.key = 'clipfarm/outcome'
    where e.asset_key is not null order by e.id
"""


@dataclass
class Proofs:
    """What the store proves by itself.

    Attributes:
        whole: pairs whose artifact has the SHA-256 that its identity names, and when both were written.
        torn: keys of which an identity speaks that is not true.
    """

    whole: dict[Pair, Stamp] = field(default_factory=dict)
    torn: list[str] = field(default_factory=list)


Objects = dict[str, tuple[bytes, Stamp]]


def local_objects(store: Path) -> Objects:
    """Content and stamp of every artifact and identity below a local store."""
    found: Objects = {}
    for identity in sorted(store.glob(f"clipfarm/**/*{IDENTITY}")):
        for path in (identity, identity.with_name(identity.name.removesuffix(IDENTITY))):
            if path.is_file():
                stat = path.stat()
                found[str(path.relative_to(store))] = (path.read_bytes(), (stat.st_ino, stat.st_mtime_ns))
    return found


def prove(objects: Objects) -> Proofs:
    """Compares every identity with what lies beside it."""
    proofs = Proofs()
    for key, (content, stamp) in objects.items():
        if not key.endswith(IDENTITY):
            continue
        try:
            said = json.loads(content)
        except ValueError:
            proofs.torn.append(f"{key} is not JSON")
            continue
        pair = (said["video_id"], said["stage"])
        artifact, artifact_stamp = objects.get(key.removesuffix(IDENTITY), (None, ()))
        if said["sha256"] is None and artifact is None:
            proofs.whole[pair] = (stamp, ())
        elif artifact is None or hashlib.sha256(artifact).hexdigest() != said["sha256"]:
            proofs.torn.append(key)
        else:
            proofs.whole[pair] = (stamp, artifact_stamp)
    return proofs


@dataclass
class Log:
    """What Dagster's event log says.

    Attributes:
        starts: how often a step said that it begins with the pair.
        at_work: begun, with no word since.
        interrupted: how often a step said that it stopped before the pair was finished.
        made: how often the pair was materialized.
        last: the status of the newest outcome.
        tries: failed tries that the newest outcome counts.
        newest: the id of the newest outcome, and of the newest materialization of each asset of the fan-in.
    """

    starts: Counter[Pair] = field(default_factory=Counter)
    at_work: set[Pair] = field(default_factory=set)
    interrupted: Counter[Pair] = field(default_factory=Counter)
    made: Counter[Pair] = field(default_factory=Counter)
    last: dict[Pair, str] = field(default_factory=dict)
    tries: dict[Pair, int] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def fan_in_is_newer(self) -> bool:
        return all(self.newest[name] > self.newest["outcome"] > 0 for name in FAN_IN)


def read_log(databases: Path) -> Log:
    """Reads Dagster's index of events, as SQLite has it."""
    log = Log()
    with closing(_connect(databases / "history" / "runs" / "index.db")) as connection:
        rows = connection.execute(_QUERY).fetchall()
    for event_id, kind, asset_key, partition, note, _ in rows:
        asset = json.loads(asset_key)[0]
        if asset in FAN_IN and kind == "ASSET_MATERIALIZATION":
            log.newest[asset] = event_id
        if asset not in STAGES or partition is None:
            continue
        pair = (partition, asset)
        if kind == "ASSET_MATERIALIZATION_PLANNED":
            if note == "started":
                log.starts[pair] += 1
                log.at_work.add(pair)
            continue
        outcome = json.loads(note)
        log.at_work.discard(pair)
        log.made[pair] += kind == "ASSET_MATERIALIZATION"
        log.interrupted[pair] += outcome["status"] == "pending"
        log.last[pair], log.newest["outcome"] = outcome["status"], event_id
        log.tries[pair] = outcome.get("retry_count", 0)  # what is as by default is not written
    return log


def unfinished_runs(databases: Path) -> dict[str, str]:
    """Runs that are not at their end, with their status."""
    with closing(_connect(databases / "history" / "runs.db")) as connection:
        rows = connection.execute("select run_id, status from runs").fetchall()
    return {run_id: status for run_id, status in rows if status not in _FINISHED}


@dataclass(frozen=True)
class Run:
    """One of Dagster's runs; times are seconds since 1970, 0 where there is none."""

    run_id: str
    status: str
    created: float
    end: float
    tags: dict[str, str]


def runs(databases: Path, job: str = "process_videos") -> list[Run]:
    """The job's runs, oldest first."""
    tags: dict[str, dict[str, str]] = defaultdict(dict)
    with closing(_connect(databases / "history" / "runs.db")) as connection:
        rows = connection.execute(
            "select run_id, status, cast(strftime('%s', create_timestamp) as real), end_time from runs"
            " where pipeline_name = ? order by id",
            (job,),
        ).fetchall()
        for run_id, key, value in connection.execute("select run_id, key, value from run_tags"):
            tags[run_id][key] = value
    return [Run(run_id, status, created, end or 0.0, tags[run_id]) for run_id, status, created, end in rows]


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
