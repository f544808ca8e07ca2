"""A deployment that has something to say of everything that Prometheus scrapes."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from prometheus_client.parser import text_string_to_metric_families

from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.database.measurements import add, put, replace_all
from clipfarm_assets.database.migrate import migrate
from clipfarm_assets.discovery.evaluating import REPORT_KEY
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.http.app import Backend
from clipfarm_assets.measures import Measures, series
from clipfarm_assets.search.documents import Document
from clipfarm_assets.search.rows import Entry
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore

NOW = datetime.now(UTC)
DOCUMENTS = (
    Entry(Document("video", "ace", title="Valorant ace"), np.ones(3, np.float32), NOW),
    Entry(Document("video", "bread", title="Bread")),
    Entry(Document("video", "mute")),
)


def backend(store: ObjectStore, database: Database) -> Backend:
    """A deployment that makes no vectors."""
    room = Discovery(store, database, lambda ids: {}, lambda: None, lambda: None)
    return Backend(Settings(_env_file=None), store, database, lambda _: None, discovery=room)  # type: ignore[call-arg]


def full_backend(folder: Path, store: ObjectStore) -> Backend:
    """A deployment with something to say of everything."""
    database = open_database(f"sqlite:///{folder}/clipfarm.db")
    migrate(database)
    made = backend(store, database)
    assert made.discovery is not None
    made.discovery.index.rebuild(DOCUMENTS, model="m", dim=3)

    def keep(deltas: object) -> None:
        with database.write() as session:
            add(session, deltas, NOW)  # type: ignore[arg-type]

    counts = Measures(keep)
    counts.upstream("twitch", "ok", 0.2)
    counts.upstream("twitch", "rate_limited", 70.0)
    counts.cache(3, 1)
    counts.videos("raw_video", {"success": 7, "fail": 1})
    counts.flush()
    ledger = {"success": 6.0, "no_audio_track": 1.0, "fail": 1.0, "removed": 4.0}
    with database.write() as session:
        figures = {series("ledger_videos", stage="audio_embedding", status=s): n for s, n in ledger.items()}
        replace_all(session, "ledger_videos", figures, NOW)
        since = (NOW - timedelta(hours=3)).timestamp()
        put(session, {series("index_waiting_since"): since, series("index_waiting"): 5.0}, NOW)
    names = ("ndcg_5", "ndcg_10", "mrr", "precision_5", "precision", "recall_5", "recall")
    report = {"measured_at": NOW.isoformat(), "quality": {"hybrid": dict.fromkeys(names, 0.9)}}
    store.put(REPORT_KEY, json.dumps(report).encode())
    return made


def samples(text: str) -> dict[str, float]:
    """Values by name and labels, such as ``up{job=a}``."""
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
