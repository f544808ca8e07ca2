"""The fused manifests: complete, exact, incremental, guarded, replaced whole."""

import contextlib
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clipfarm_assets.embeddings.manifest import MODALITIES
from clipfarm_assets.errors import ConfigurationError, DimensionMismatch, StoreUnavailable
from clipfarm_assets.fusion.build import FusionReport, build_fused
from clipfarm_assets.fusion.dimensions import schema_key
from clipfarm_assets.fusion.fused_manifest import FUSED_SCHEMA, fused_key
from clipfarm_assets.fusion.parts import part_schema, rows_in
from clipfarm_assets.fusion.vectors import read_vectors
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectStore, open_store
from clipfarm_assets_tests.fusion.corpus import (
    Corpus,
    check_rows,
    counted,
    everything,
    fused_rows,
    npy,
    plain_put,
    read_manifest,
    unit,
    without_pointers,
)

ALL = ("concat", "sum_pool", "max_pool")
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def corpus(local_store: ObjectStore) -> Corpus:
    return Corpus(local_store)


def die_after(patch: pytest.MonkeyPatch, survivors: int) -> None:
    """The process dies at the write or deletion of an object after so many."""
    done: list[str] = []
    for name in ("put", "delete"):
        real = getattr(ObjectStore, name)

        def mortal(self: ObjectStore, key: str, *content: bytes, real=real):  # type: ignore[no-untyped-def]
            if len(done) == survivors:
                raise KeyboardInterrupt
            done.append(key)
            return real(self, key, *content)

        patch.setattr(ObjectStore, name, mortal)


def build(corpus: Corpus, *, now: datetime = NOON, accept: bool = False) -> tuple[FusionReport, ...]:
    return build_fused(corpus.store, ALL, corpus.manifests(), now=now, accept_new_dimensions=accept)


def test_every_outcome_has_its_row_mask_and_vector(store: ObjectStore) -> None:
    corpus = Corpus(store)
    corpus.add("whole")
    corpus.add("silent", audio=Status.NO_AUDIO_TRACK)
    corpus.add("wordless", text=Status.EMPTY_TRANSCRIPT)
    corpus.add("titled")
    corpus.settle("text", "titled", Status.EMPTY_TRANSCRIPT, vector=True)
    corpus.add("broken", video=Status.UNSUPPORTED_MEDIA)
    corpus.add("early", video=Status.PENDING, audio=Status.PENDING)
    corpus.add("waiting", audio=Status.FAIL)
    corpus.add("given_up", audio=Status.FAIL_EXHAUSTED)
    corpus.add("stale")
    corpus.settle("text", "stale", Status.FAIL, vector=True)
    corpus.settle("video", "video_only", Status.SUCCESS)
    for report in build(corpus):
        assert report.rows == report.made == 10
        assert report.by_status == {"missing_required_modality": 2, "pending": 3, "success": 5}
        check_rows(corpus, report.strategy)
        rows = fused_rows(store, report.strategy)
        assert {name: rows[name]["fused"][-1] for name in ("whole", "silent", "wordless", "titled", "given_up")} == {
            "whole": 1, "silent": 1, "wordless": 0, "titled": 1, "given_up": 1,
        }  # fmt: skip
        assert rows["given_up"]["reason"] == "audio is fail_exhausted"
        assert rows["stale"]["reason"] == "text is fail"
        assert rows["video_only"]["reason"] == "audio is pending; text is pending"
        assert rows["whole"]["reason"] is None
        assert {row["processed_at"] for row in rows.values()} == {NOON}
        assert rows["whole"]["captured_at"] == "2026-01-01"
        assert rows["whole"]["audio_model_name"] == "model"


def test_the_files_are_laid_out_as_the_contract_says(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipfarm_assets.fusion.fused_manifest.ROWS_PER_GROUP", 8)
    monkeypatch.setattr("clipfarm_assets.fusion.parts.ROWS_PER_PART", 8)
    for number in range(20):
        corpus.add(f"v{number:02d}")
    build(corpus)
    file = pq.ParquetFile(pa.BufferReader(corpus.store.get(fused_key("concat"))))
    assert file.schema_arrow.equals(FUSED_SCHEMA)
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [8, 8, 4]
    assert "DICTIONARY" not in str(file.metadata.row_group(0).to_dict())
    manifest = read_manifest(corpus.store, "concat")
    assert manifest["fused_row"].to_pylist() == [*range(8), *range(8), *range(4)]
    for start, key in zip((0, 8, 16), dict.fromkeys(manifest["fused_part"].to_pylist()), strict=True):
        part = pq.ParquetFile(pa.BufferReader(corpus.store.get(key)))
        assert part.schema_arrow.equals(part_schema(16))
        assert part.num_row_groups == 1
        columns = [part.metadata.row_group(0).column(place) for place in range(part.metadata.num_columns)]
        assert not any("DICTIONARY" in encoding for column in columns for encoding in column.encodings)
        assert {column.compression for column in columns} == {"UNCOMPRESSED"}
        assert columns[0].statistics.min == f"v{start:02d}"
        hashes = manifest["source_hash"].slice(start, 8).to_pylist()
        assert part.read()["source_hash"].to_pylist() == hashes


def test_a_rebuild_gives_the_same_bytes_and_one_without_changes_writes_nothing(store: ObjectStore) -> None:
    corpus = Corpus(store)
    for number in range(30):
        corpus.add(f"v{number}", **({"audio": Status.NO_AUDIO_TRACK} if number % 3 else {}))
    first = build(corpus)
    bytes_before, infos = everything(store), store.list("clipfarm/fused")
    again = build(corpus, now=LATER)
    assert [(r.written, r.made, r.reused, r.files_read) for r in again] == [(False, 0, 30, 0)] * 3
    assert [(r.by_status, r.data_version) for r in again] == [(r.by_status, r.data_version) for r in first]
    assert store.list("clipfarm/fused") == infos
    for key in bytes_before:
        store.delete(key)
    build(corpus)
    assert everything(store) == bytes_before


def test_only_changed_vectors_are_read_and_the_other_rows_keep_their_time(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        corpus.add(f"v{number:02d}")
    build(corpus)
    corpus.settle("audio", "v03", Status.SUCCESS, seed="new")
    corpus.add("v99")
    corpus.drop("v05")
    read = counted(corpus.store, monkeypatch)
    for report in build(corpus, now=LATER):
        assert (report.rows, report.made, report.reused, report.removed) == (20, 2, 18, 1)
        rows = fused_rows(corpus.store, report.strategy)
        assert {name for name, row in rows.items() if row["processed_at"] == LATER} == {"v03", "v99"}
        check_rows(corpus, report.strategy)
    assert sorted(read) == sorted(f"clipfarm/embeddings/{m}/{v}.npy" for m in MODALITIES for v in ("v03", "v99"))


def test_a_newer_observation_changes_the_facts_and_reads_no_vector(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.add("a")
    before = build(corpus)
    for modality in MODALITIES:
        corpus.change(modality, "a", captured_at="2026-05-05", etag="copied")
    read = counted(corpus.store, monkeypatch)
    reports = build(corpus, now=LATER)
    assert [(r.written, r.made, r.reused) for r in reports] == [(True, 0, 1)] * 3
    assert [r.data_version for r in reports] == [r.data_version for r in before]
    assert read == []
    row = fused_rows(corpus.store, "concat")["a"]
    assert (row["captured_at"], row["audio_etag"], row["processed_at"]) == ("2026-05-05", "copied", NOON)
    check_rows(corpus, "concat")


def test_text_that_appears_is_fused(corpus: Corpus) -> None:
    corpus.add("a", text=Status.EMPTY_TRANSCRIPT)
    corpus.add("b")
    build(corpus)
    assert fused_rows(corpus.store, "concat")["a"]["fused"][-1] == 0
    corpus.settle("text", "a", Status.SUCCESS)
    assert [report.made for report in build(corpus)] == [1, 1, 1]
    assert fused_rows(corpus.store, "concat")["a"]["fused"][-1] == 1
    check_rows(corpus, "concat")


def test_a_forgotten_video_leaves_at_the_next_build_even_the_last_one(corpus: Corpus) -> None:
    corpus.add("a")
    build(corpus)
    corpus.drop("a")
    assert [(r.rows, r.removed, r.written) for r in build(corpus)] == [(0, 1, True)] * 3
    assert [len(read_manifest(corpus.store, name)) for name in ALL] == [0, 0, 0]
    assert [r.written for r in build(corpus)] == [False] * 3
    corpus.add("a")
    build(corpus)
    check_rows(corpus, "max_pool")


@pytest.mark.parametrize("what", ["delete", "replace", "cut"])
def test_a_vector_that_is_not_the_manifests_costs_its_own_video_only(corpus: Corpus, what: str) -> None:
    for name in ("a", "b", "c"):
        corpus.add(name)
    key = corpus.rows["audio"]["b"].embedding_key or ""
    good = corpus.store.get(key) or b""
    if what == "delete":
        corpus.store.delete(key)
    else:
        corpus.store.put(key, npy(unit("other", 5)) if what == "replace" else good[:-2])
    for _ in range(2):
        for report in build(corpus):
            assert report.by_status == {"pending": 1, "success": 2}
    row = fused_rows(corpus.store, "concat")["b"]
    assert "the audio vector is not the one of the manifest" in str(row["reason"])
    assert row["fused"] is None
    corpus.store.put(key, good)
    assert [(r.made, r.by_status) for r in build(corpus)] == [(1, {"success": 3})] * 3
    check_rows(corpus, "concat")


class TestGuard:
    def test_the_guard_names_lengths_and_models(self, corpus: Corpus) -> None:
        corpus.add("a", text=Status.EMPTY_TRANSCRIPT)
        build(corpus)
        assert json.loads(corpus.store.get(schema_key("concat")) or b"") == {
            "fusion_strategy": "concat",
            "fused_dim": 12,
            "modalities": {
                "video": {"dim": 6, "models": [{"model_name": "model", "model_version": "1"}]},
                "audio": {"dim": 5, "models": [{"model_name": "model", "model_version": "1"}]},
                "text": {"dim": None, "models": []},
            },
        }

    @pytest.mark.parametrize("modality", MODALITIES)
    def test_another_length_stops_every_strategy_before_anything_is_written(
        self, corpus: Corpus, modality: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        corpus.add("a")
        build_fused(corpus.store, ["max_pool"], corpus.manifests(), now=NOON)
        before = everything(corpus.store)
        corpus.dims[modality] = 9  # type: ignore[index]
        corpus.add("a", seed="new")
        read = counted(corpus.store, monkeypatch)
        with pytest.raises(DimensionMismatch, match=rf"{modality} vectors have 9 .*that of a.*accept_new_dimensions"):
            build(corpus)
        assert everything(corpus.store) == before
        assert read == []

    def test_a_manifest_that_mixes_lengths_stops_even_where_new_ones_are_accepted(self, corpus: Corpus) -> None:
        corpus.add("a")
        corpus.change("audio", "a", embedding_dim=7)
        corpus.add("b")
        with pytest.raises(DimensionMismatch, match="audio vectors differ in length"):
            build(corpus, accept=True)
        assert everything(corpus.store) == {}

    @pytest.mark.parametrize("way", ["accept", "delete"])
    def test_after_a_change_of_models_the_user_gets_out(self, corpus: Corpus, way: str) -> None:
        corpus.add("a")
        build(corpus)
        corpus.dims = {"video": 3, "audio": 9, "text": 2}
        corpus.add("a")
        corpus.add("b")
        if way == "delete":
            for name in ALL:
                corpus.store.delete(schema_key(name))
        assert [report.made for report in build(corpus, accept=way == "accept")] == [2, 2, 2]
        for name in ALL:
            check_rows(corpus, name)
        assert not any(report.written for report in build(corpus))

    def test_a_modality_that_appears_later_is_no_mismatch(self, corpus: Corpus) -> None:
        corpus.add("a", audio=Status.NO_AUDIO_TRACK)
        assert build(corpus)[0].dim == 11
        corpus.add("b")
        assert build(corpus)[0].dim == 16
        check_rows(corpus, "concat")
        corpus.drop("b")
        assert build(corpus)[0].dim == 16, "the guard remembers a length that no vector shows any more"
        check_rows(corpus, "concat")

    @pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"modalities": 1}', b'{"modalities": {"video": {}}}'])
    def test_a_guard_that_cannot_be_read_stops_the_build_and_says_what_to_do(self, corpus: Corpus, raw: bytes) -> None:
        corpus.add("a")
        corpus.store.put(schema_key("concat"), raw)
        with pytest.raises(DimensionMismatch, match="Delete it"):
            build(corpus)


def test_a_previous_manifest_that_cannot_be_read_is_made_again(corpus: Corpus) -> None:
    corpus.add("a")
    build(corpus)
    whole, rows = corpus.store.get(fused_key("concat")) or b"", without_pointers(corpus.store, "concat")
    other = pa.BufferOutputStream()
    pq.write_table(pa.table({"video_id": ["a"]}), other)
    for raw in (b"", whole[: len(whole) // 2], other.getvalue().to_pybytes()):
        corpus.store.put(fused_key("concat"), raw)
        assert [report.made for report in build(corpus)] == [1, 0, 0]
        assert without_pointers(corpus.store, "concat") == rows


def test_a_manifest_of_the_earlier_layout_with_vectors_inside_is_made_again(corpus: Corpus) -> None:
    corpus.add("a")
    corpus.add("b", audio=Status.FAIL)
    build(corpus)
    rows = without_pointers(corpus.store, "concat")
    earlier = read_manifest(corpus.store, "concat").drop_columns(["fused_part", "fused_row"])
    vectors = pa.array([row["fused"] for row in rows.values()], pa.list_(pa.float32(), 16))
    sink = pa.BufferOutputStream()
    pq.write_table(earlier.add_column(5, "fused", vectors), sink)
    for info in corpus.store.list("clipfarm/fused/concat/parts"):
        corpus.store.delete(info.key)
    corpus.store.put(fused_key("concat"), sink.getvalue().to_pybytes())
    assert [report.made for report in build(corpus)] == [2, 0, 0]
    assert without_pointers(corpus.store, "concat") == rows


def test_a_store_that_fails_leaves_the_previous_manifests(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(50):
        corpus.add(f"v{number}")
    build(corpus)
    before = everything(corpus.store)
    corpus.settle("audio", "v7", Status.SUCCESS, seed="new")
    real_get = corpus.store.get

    def get(key: str) -> bytes | None:
        if key.endswith("audio/v7.npy"):
            raise StoreUnavailable("The store is away.")
        return real_get(key)

    with monkeypatch.context() as patch, pytest.raises(StoreUnavailable):
        patch.setattr(corpus.store, "get", get)
        build(corpus)
    assert everything(corpus.store) == before
    build(corpus)
    check_rows(corpus, "concat")


@pytest.mark.parametrize("survivors", range(9))
def test_a_build_that_dies_between_its_writes_leaves_whole_manifests_and_is_completed_by_the_next(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, survivors: int
) -> None:
    corpus.add("a")
    corpus.add("b")
    build(corpus)
    before = {name: without_pointers(corpus.store, name) for name in ALL}
    corpus.dims["audio"] = 9
    corpus.add("a", seed="new")
    corpus.add("b")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        die_after(patch, survivors)
        build(corpus, accept=True)
    found = {name: without_pointers(corpus.store, name) for name in ALL}
    build(corpus, accept=True)
    for name in ALL:
        check_rows(corpus, name)
        assert found[name] in (before[name], without_pointers(corpus.store, name))
        corpus.store.delete(schema_key(name))


def test_an_unknown_strategy_is_an_error_before_anything_happens(corpus: Corpus) -> None:
    with pytest.raises(ConfigurationError, match="'mean'"):
        build_fused(corpus.store, ["concat", "mean"], corpus.manifests())
    assert corpus.store.list("clipfarm/fused") == []


IDS = st.sampled_from(["a", "b", "c", "d", "e", "f", "g"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("add"), IDS, st.integers(0, 3)),
        st.tuples(st.just("drop"), IDS, st.just(0)),
        st.tuples(st.sampled_from(MODALITIES), IDS, st.sampled_from(list(Status))),
    ),
    max_size=6,
)
STRATEGIES = st.lists(st.sampled_from(ALL), min_size=1, unique=True)
DEATHS = st.one_of(st.none(), st.integers(0, 12))
ROUNDS = st.lists(st.tuples(CHANGES, STRATEGIES, DEATHS), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(rounds=ROUNDS, part_rows=st.sampled_from([1, 2, 3, 100]))
def test_builds_of_any_changes_strategies_and_deaths_end_where_one_from_scratch_does(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[list[tuple[str, str, object]], list[str], int | None]],
    part_rows: int,
) -> None:  # fmt: skip
    grown = Corpus(open_store(tmp_path_factory.mktemp("grown").as_uri()))
    grown.add("always there")  # a modality without any vector has no length yet, which the reference cannot know
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clipfarm_assets.fusion.parts.ROWS_PER_PART", part_rows)
        for changes, names, death in rounds:
            for change in changes:
                apply(grown, *change)
            opened = {name: opened_manifest(grown.store, name) for name in ALL}
            with pytest.MonkeyPatch.context() as mortal, contextlib.suppress(KeyboardInterrupt):
                if death is not None:
                    die_after(mortal, death)
                build_fused(grown.store, names, grown.manifests(), now=NOON)
            for name, rows in opened.items():
                vectors_of(grown.store, rows)  # a reader that opened the manifest before still finds its parts
                vectors_of(grown.store, opened_manifest(grown.store, name))
        build(grown)
    incremental = {name: without_pointers(grown.store, name) for name in ALL}
    for name in ALL:
        check_rows(grown, name)
        ids, matrix = read_vectors(grown.store, name)
        assert dict(zip(ids, matrix.tolist(), strict=True)) == {
            video_id: row["fused"] for video_id, row in incremental[name].items() if row["fused"] is not None
        }
    for key in everything(grown.store):
        if not key.endswith("schema.json"):
            grown.store.delete(key)
    build(grown)
    assert {name: without_pointers(grown.store, name) for name in ALL} == incremental


def apply(corpus: Corpus, action: str, video_id: str, value: object) -> None:
    if action == "add":
        corpus.add(video_id, seed=value)
    elif action == "drop":
        corpus.drop(video_id)
    else:
        corpus.settle(action, video_id, Status(value))  # type: ignore[arg-type]


def opened_manifest(store: ObjectStore, strategy: str) -> list[dict[str, object]]:
    return read_manifest(store, strategy).to_pylist() if store.head(fused_key(strategy)) else []


def vectors_of(store: ObjectStore, rows: list[dict[str, object]]) -> dict[object, object]:
    """The vectors that a manifest's rows point at, each checked to be its own."""
    found: dict[object, object] = {}
    for row in rows:
        if row["fused_part"] is not None:
            part = pq.read_table(pa.BufferReader(store.get(str(row["fused_part"])))).to_pylist()
            there = part[int(str(row["fused_row"]))]
            assert (there["video_id"], there["source_hash"]) == (row["video_id"], row["source_hash"])
            found[row["video_id"]] = there["fused"]
    return found


def test_one_percent_of_20_000_rows_reads_one_percent_of_the_vectors(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.dims = dict.fromkeys(MODALITIES, 16)
    monkeypatch.setattr(corpus.store, "put", plain_put(corpus.store))
    for number in range(20_000):
        corpus.add(f"v{number:05d}", audio=Status.NO_AUDIO_TRACK, text=Status.EMPTY_TRANSCRIPT)
    first = build_fused(corpus.store, ALL, corpus.manifests(), now=NOON)
    assert first[0].files_read == 20_000
    changed = [f"v{number:05d}" for number in np.random.default_rng(1).choice(20_000, 200, replace=False)]
    for video_id in changed:
        corpus.settle("video", video_id, Status.SUCCESS, seed="new")
    read = counted(corpus.store, monkeypatch)
    reports = build_fused(corpus.store, ALL, corpus.manifests(), now=LATER)
    assert sorted(read) == sorted(f"clipfarm/embeddings/video/{video_id}.npy" for video_id in changed)
    assert [(report.made, report.reused, report.files_read) for report in reports] == [(200, 19_800, 200)] * 3
    table = read_manifest(corpus.store, "concat")
    late = table.filter(pa.compute.equal(table["processed_at"], pa.scalar(LATER, pa.timestamp("us", "UTC"))))
    assert late["video_id"].to_pylist() == sorted(changed)
    expected = np.array([corpus.vectors["video", video_id] for video_id in table["video_id"].to_pylist()])
    ids, stored = read_vectors(corpus.store, "concat")
    assert ids == table["video_id"].to_pylist()
    assert (stored[:, :16] == expected).all()
    assert sum(map(rows_in, set(table["fused_part"].to_pylist()))) < 1.1 * 20_000, "dead vectors do not pile up"
