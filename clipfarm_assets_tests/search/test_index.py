"""The index under several writers, sudden deaths and rebuilds."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clipfarm_assets.errors import DimensionMismatch, IndexBusy, IndexMissing, IndexOutdated
from clipfarm_assets.search.index import IndexSettings, SearchIndex
from clipfarm_assets.search.lock import exclusive
from clipfarm_assets.search.query import Question, search
from clipfarm_assets.search.rows import Entry, to_document
from clipfarm_assets.store.object_store import ObjectStore, open_store
from clipfarm_assets_tests.search.corpus import DIM, NOW, entries

WRITER = """
import sys
from clipfarm_assets.search.index import SearchIndex
from clipfarm_assets.store.object_store import open_store
from clipfarm_assets_tests.search.corpus import DIM, entries

index, act, seed = SearchIndex(open_store(sys.argv[1])), sys.argv[2], int(sys.argv[3])
made = entries(400, seed)
print("ready", flush=True)
sys.stdin.readline()
if act == "upsert":
    for start in range(0, 400, 40):
        index.upsert(made[start : start + 40])
        print(start + 40, flush=True)
elif act == "optimize":
    while True:
        index.upsert(made[:5])
        index.optimize()
elif act == "rebuild":
    while True:
        index.rebuild(made, model="m", dim=DIM)
"""


def started(store: ObjectStore, act: str, seed: int = 0) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", WRITER, store.url, act, str(seed)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def all_keys(index: SearchIndex) -> list[str]:
    found: list[str] = index.table().search().select(["key"]).limit(None).to_arrow()["key"].to_pylist()
    return found


@pytest.mark.parametrize("kind", ["local", pytest.param("s3", marks=pytest.mark.slow)])
def test_three_processes_at_once_lose_and_double_nothing(kind: str, request: pytest.FixtureRequest) -> None:
    store: ObjectStore = request.getfixturevalue(f"{kind}_store")
    SearchIndex(store).rebuild([], model="m", dim=DIM)
    writers = [started(store, "upsert", seed) for seed in (1, 2, 3)]
    go(*writers)
    for writer in writers:
        writer.communicate(timeout=200)
        assert writer.returncode == 0
    index = SearchIndex(store)
    assert sorted(all_keys(index)) == sorted(entry.document.key for entry in entries(400))
    written = {
        row["key"]: to_document(row["shown"]).title
        for row in index.table().search().select(["key", "shown"]).limit(None).to_list()
    }
    titles = [{entry.document.key: entry.document.title for entry in entries(400, seed)} for seed in (1, 2, 3)]
    assert all(title in {each[key] for each in titles} for key, title in written.items())


@pytest.mark.slow
def test_two_machines_that_write_one_s3_index_lose_and_double_nothing(s3_store: ObjectStore, tmp_path: Path) -> None:
    """Each has locks of its own, as on another machine: what keeps them apart is LanceDB's commits."""
    SearchIndex(s3_store).rebuild([], model="m", dim=DIM)
    machines = []
    for seed in (1, 2):
        (tmp_path / f"machine-{seed}").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TMPDIR", str(tmp_path / f"machine-{seed}"))
            machines.append(started(s3_store, "upsert", seed))
    go(*machines)
    for machine in machines:
        machine.communicate(timeout=400)
        assert machine.returncode == 0
    assert len({path.parent for path in tmp_path.glob("machine-*/clipfarm-*-write.lock")}) == 2
    index = SearchIndex(s3_store)
    assert sorted(all_keys(index)) == sorted(entry.document.key for entry in entries(400))
    index.optimize()
    assert sorted(all_keys(index)) == sorted(entry.document.key for entry in entries(400))


@pytest.mark.parametrize("act", ["upsert", "optimize", "rebuild"])
def test_a_killed_writer_leaves_a_readable_index_that_lost_nothing(local_store: ObjectStore, act: str) -> None:
    index = SearchIndex(local_store, IndexSettings(keep_sec=0))
    before = entries(300, 9)
    index.rebuild(before, model="m", dim=DIM)
    draw = random.Random(act)
    for _ in range(4):
        writer = started(local_store, act)
        go(writer)
        time.sleep(draw.uniform(0.02, 0.4))
        os.kill(writer.pid, signal.SIGKILL)
        said = writer.communicate()[0].split()
        keys = all_keys(index)
        assert len(keys) == len(set(keys))
        assert {entry.document.key for entry in before} <= set(keys)
        if said:
            assert {entry.document.key for entry in entries(400)[: int(said[-1])]} <= set(keys)
        assert search(index, Question("castle", "text"), now=NOW).hits
    assert index.upsert(entries(400)) == 400
    index.optimize()
    assert sorted(all_keys(index)) == sorted(entry.document.key for entry in entries(400))
    index.rebuild(entries(400), model="m", dim=DIM)
    tables = index._connection().list_tables().tables
    assert len([name for name in tables if name.startswith("documents-")]) == 2  # the one that serves, the one before


def test_a_rebuild_serves_the_old_index_and_keeps_what_changes_meanwhile(index: SearchIndex) -> None:
    made = entries(60)
    index.upsert(made)
    edited = replace(made[2], document=replace(made[2].document, title="zebra"))
    added = replace(made[2], document=replace(made[2].document, id="added", title="zebra"))
    half, go_on = threading.Event(), threading.Event()

    def source() -> Iterator[Entry]:
        yield from made[:30]
        half.set()
        assert go_on.wait(60)
        yield from made[30:]

    rebuild = threading.Thread(target=lambda: index.rebuild(source(), model="m", dim=DIM))
    rebuild.start()
    assert half.wait(60)
    other = SearchIndex(index._store)
    old = other.pointer().table
    other.upsert([edited, added])
    other.delete([made[5].document.key, made[40].document.key])
    assert len(search(other, Question("zebra", "text"), now=NOW).hits) == 2
    go_on.set()
    rebuild.join(120)
    assert other.pointer(fresh=True).table != old
    assert len(search(other, Question("zebra", "text"), now=NOW).hits) == 2
    gone = {made[5].document.key, made[40].document.key}
    assert set(all_keys(other)) == {entry.document.key for entry in made} - gone | {added.document.key}


def test_another_model_is_built_beside_and_switched_to(local_index: SearchIndex) -> None:
    made = entries(20)
    local_index.upsert(made)
    wider = [
        replace(entry, vector=None if entry.vector is None else np.concatenate([entry.vector, entry.vector]))
        for entry in made
    ]
    facts = local_index.rebuild(wider, model="other", dim=2 * DIM)
    assert (facts.model, facts.dim, facts.documents, facts.with_vector) == ("other", 2 * DIM, 20, 17)
    with pytest.raises(DimensionMismatch):
        local_index.upsert(made)
    assert search(local_index, Question("any", "semantic"), now=NOW, vector=wider[1].vector).hits


def test_what_stands_twice_in_one_write_is_written_once(local_index: SearchIndex) -> None:
    first = entries(3)[1]
    last = replace(first, document=replace(first.document, title="the last"))
    assert local_index.upsert([first, last]) == 1
    assert search(local_index, Question("last", "text"), now=NOW).total == 1


def test_a_wrong_vector_writes_nothing_of_its_thousand(local_index: SearchIndex) -> None:
    made = entries(5)
    for wrong in (np.ones(3, np.float32), np.zeros(DIM, np.float32), np.full(DIM, np.inf, np.float32)):
        with pytest.raises(DimensionMismatch):
            local_index.upsert([*made, replace(made[1], vector=wrong)])
    assert local_index.facts().documents == 0


def test_a_writer_that_waits_too_long_is_told_so(local_store: ObjectStore) -> None:
    index = SearchIndex(local_store, IndexSettings(wait_sec=0.2))
    index.rebuild([], model="m", dim=DIM)
    with exclusive(index._place, "write", 1), pytest.raises(IndexBusy, match="held the index"):
        index.upsert(entries(1))


def test_an_index_that_is_not_there_or_of_other_rules_is_named(local_store: ObjectStore) -> None:
    index = SearchIndex(local_store)
    with pytest.raises(IndexMissing, match="rebuild"):
        index.facts()
    index.rebuild([], model="m", dim=DIM)
    pointer = local_store.get("clipfarm/search/current.json")
    assert pointer is not None
    for content in (pointer.replace(b'"format": 2', b'"format": 99'), b"{", b"[]"):
        local_store.put("clipfarm/search/current.json", content)
        with pytest.raises(IndexOutdated):
            SearchIndex(local_store).facts()


def test_replaced_tables_and_versions_do_not_pile_up(local_store: ObjectStore) -> None:
    index = SearchIndex(local_store, IndexSettings(keep_sec=0))
    assert local_store.root is not None

    def size() -> int:
        assert local_store.root is not None
        return sum(path.stat().st_size for path in Path(local_store.root).rglob("*") if path.is_file())

    index.rebuild(entries(200), model="m", dim=DIM)
    index.optimize()
    once = size()
    for seed in range(6):
        index.upsert(entries(200, seed))
        index.optimize()
        index.rebuild(entries(200), model="m", dim=DIM)
        index.optimize()
    assert size() < 2.5 * once


def test_an_index_in_a_copied_store_answers(local_index: SearchIndex, tmp_path: Path) -> None:
    import shutil

    local_index.upsert(entries(10))
    local_index.optimize()
    shutil.copytree(str(local_index._store.root), tmp_path / "copy")
    copied = SearchIndex(open_store((tmp_path / "copy").as_uri()))
    assert copied.facts().documents == 10
    assert search(copied, Question(""), now=NOW).total == 10
