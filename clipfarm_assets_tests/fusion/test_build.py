"""The fused manifests: complete, exact, incremental, guarded, replaced whole."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

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
from clipfarm_assets.fusion.fused_manifest import fused_key, fused_schema
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
    read_fused,
    unit,
)

ALL = ("concat", "sum_pool", "max_pool")
NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def corpus(local_store: ObjectStore) -> Corpus:
    return Corpus(local_store)


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


def test_the_file_is_laid_out_as_the_contract_says(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipfarm_assets.fusion.build.ROWS_PER_GROUP", 8)
    for number in range(20):
        corpus.add(f"v{number:02d}")
    build(corpus)
    file = pq.ParquetFile(pa.BufferReader(corpus.store.get(fused_key("concat"))))
    assert file.schema_arrow.equals(fused_schema(16))
    assert [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)] == [8, 8, 4]
    columns = [file.metadata.row_group(0).column(place) for place in range(file.metadata.num_columns)]
    assert not any("DICTIONARY" in encoding for column in columns for encoding in column.encodings)
    vectors = [column for column in columns if column.path_in_schema.startswith("fused.")]
    assert [column.compression for column in vectors] == ["UNCOMPRESSED"]
    assert (columns[0].statistics.min, columns[0].statistics.max) == ("v00", "v07")


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
    assert [len(read_fused(corpus.store, name)) for name in ALL] == [0, 0, 0]
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
    whole = corpus.store.get(fused_key("concat")) or b""
    other = pa.BufferOutputStream()
    pq.write_table(pa.table({"video_id": ["a"]}), other)
    for raw in (b"", whole[: len(whole) // 2], other.getvalue().to_pybytes()):
        corpus.store.put(fused_key("concat"), raw)
        assert [report.made for report in build(corpus)] == [1, 0, 0]
        assert corpus.store.get(fused_key("concat")) == whole


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


def test_a_build_that_dies_between_its_puts_is_completed_by_the_next(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.add("a")
    build(corpus)
    corpus.dims["audio"] = 9
    corpus.add("a", seed="new")
    real_put = ObjectStore.put
    for survivors in range(6):
        puts: list[str] = []

        def put(self: ObjectStore, key: str, content: bytes | Path, puts=puts, survivors=survivors):  # type: ignore[no-untyped-def]
            if len(puts) == survivors:
                raise KeyboardInterrupt
            puts.append(key)
            return real_put(self, key, content)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(ObjectStore, "put", put)
            build(corpus, accept=True)
        build(corpus, accept=True)
        for name in ALL:
            check_rows(corpus, name)
            corpus.store.delete(schema_key(name))
        corpus.dims["audio"] += 1
        corpus.add("a", seed=survivors)


def test_an_unknown_strategy_is_an_error_before_anything_happens(corpus: Corpus) -> None:
    with pytest.raises(ConfigurationError, match="'mean'"):
        build_fused(corpus.store, ["concat", "mean"], corpus.manifests())
    assert corpus.store.list("clipfarm/fused") == []


IDS = st.sampled_from(["a", "b", "c", "d", "e"])
CHANGES = st.lists(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), IDS, st.integers(0, 3)),
            st.tuples(st.just("drop"), IDS, st.just(0)),
            st.tuples(st.sampled_from(MODALITIES), IDS, st.sampled_from(list(Status))),
        ),
        max_size=6,
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=20, deadline=None)
@given(rounds=CHANGES, group=st.sampled_from([1, 2, 3, 100]))
def test_an_incremental_build_equals_a_full_one(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str, object]]], group: int
) -> None:
    grown = Corpus(open_store(tmp_path_factory.mktemp("grown").as_uri()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clipfarm_assets.fusion.build.ROWS_PER_GROUP", group)
        for changes in rounds:
            for action, video_id, value in changes:
                if action == "add":
                    grown.add(video_id, seed=value)
                elif action == "drop":
                    grown.drop(video_id)
                else:
                    grown.settle(action, video_id, Status(value))  # type: ignore[arg-type]
            build(grown)
    for name in ALL:
        check_rows(grown, name)
    incremental = everything(grown.store)
    for name in ALL:
        grown.store.delete(fused_key(name))
    build(grown)
    full = everything(grown.store)
    for name in ALL:
        assert pq.read_table(pa.BufferReader(full[fused_key(name)])).equals(
            pq.read_table(pa.BufferReader(incremental[fused_key(name)]))
        )


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
    table = read_fused(corpus.store, "concat")
    late = table.filter(pa.compute.equal(table["processed_at"], pa.scalar(LATER, pa.timestamp("us", "UTC"))))
    assert late["video_id"].to_pylist() == sorted(changed)
    expected = np.array([corpus.vectors["video", video_id] for video_id in table["video_id"].to_pylist()])
    stored = table["fused"].combine_chunks().values.to_numpy().reshape(20_000, -1)
    assert (stored[:, :16] == expected).all()
