"""The parts that hold the fused vectors: what is rewritten, what is deleted, what a reader gets."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipfarm_assets.errors import StoreError
from clipfarm_assets.fusion import build as build_module
from clipfarm_assets.fusion import vectors
from clipfarm_assets.fusion.build import FusionReport, build_fused
from clipfarm_assets.fusion.fused_manifest import fused_key
from clipfarm_assets.fusion.parts import ROWS_PER_PART, PartUnreadable, list_parts, may_move, rows_in, to_rewrite
from clipfarm_assets.fusion.vectors import read_vectors
from clipfarm_assets.fusion.verify import fused_problems
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.fusion.corpus import DIMS, Corpus, check_rows, read_manifest, without_pointers

NOON = datetime(2026, 2, 1, 12, tzinfo=UTC)


@pytest.fixture
def corpus(local_store: ObjectStore) -> Corpus:
    return Corpus(local_store)


def build(corpus: Corpus) -> FusionReport:
    return build_fused(corpus.store, ["concat"], corpus.manifests(), now=NOON)[0]


def keys(corpus: Corpus) -> list[str]:
    return list(list_parts(corpus.store, "concat"))


def used(corpus: Corpus) -> set[str]:
    return set(read_manifest(corpus.store, "concat")["fused_part"].to_pylist()) - {None}


PARTS = st.dictionaries(
    st.integers(0, 10**6), st.tuples(st.integers(1, ROWS_PER_PART), st.integers(1, ROWS_PER_PART)), max_size=60
)


@given(parts=PARTS, added=st.integers(0, 50_000))
def test_a_build_moves_no_more_than_it_may_and_takes_what_is_most_dead(
    parts: dict[int, tuple[int, int]], added: int
) -> None:
    live = {f"parts/{number:x}-{max(pair)}.parquet": min(pair) for number, pair in parts.items()}
    chosen = to_rewrite(live, added)
    assert len(set(chosen)) == len(chosen)
    assert sum(live[key] for key in chosen) <= may_move(live, added)
    dead = {key: 1 - live[key] / rows_in(key) for key in live}
    left = [key for key in live if dead[key] and key not in chosen]
    taken = sum(live[key] for key in chosen if dead[key])
    for key in left:  # what stays is less dead than what goes, or did not fit any more
        fits = taken + live[key] <= may_move(live, added)
        assert not fits
    assert not any(live[key] == ROWS_PER_PART for key in chosen)


@given(batches=st.lists(st.integers(1, 5_000), min_size=1, max_size=40))
def test_however_videos_come_there_are_few_parts_and_none_is_moved_often(batches: Sequence[int]) -> None:
    live: dict[str, int] = {}
    moved = 0
    for number, added in enumerate(batches):
        chosen = to_rewrite(live, added)
        gathered = added + sum(live.pop(key) for key in chosen)
        moved += gathered - added
        sizes = [ROWS_PER_PART] * (gathered // ROWS_PER_PART) + [gathered % ROWS_PER_PART]
        live |= {f"parts/{number}x{place}-{size}.parquet": size for place, size in enumerate(sizes) if size}
    assert len(live) <= sum(batches) / ROWS_PER_PART + 12
    assert moved <= sum(batches) * 11


def test_removed_vectors_leave_the_parts_at_once_where_they_are_few(corpus: Corpus) -> None:
    for number in range(50):
        corpus.add(f"v{number:02d}")
    build(corpus)
    for number in range(10):
        corpus.drop(f"v{number:02d}")
    report = build(corpus)
    assert (report.removed, report.moved, report.parts) == (10, 40, 1)
    assert [rows_in(key) for key in used(corpus)] == [40]
    check_rows(corpus, "concat")


def test_parts_stay_for_one_generation_and_then_go(corpus: Corpus) -> None:
    corpus.add("a")
    build(corpus)
    first = used(corpus)
    corpus.add("b")
    build(corpus)
    second = used(corpus)
    assert set(keys(corpus)) == first | second
    build(corpus)
    assert set(keys(corpus)) == first | second, "nothing changed: a reader may still have the manifest before"
    corpus.add("c")
    build(corpus)
    assert set(keys(corpus)) == second | used(corpus)


def test_what_a_dead_build_left_is_swept_when_it_is_a_day_old(corpus: Corpus) -> None:
    corpus.add("a")
    build(corpus)
    young, old = (f"clipfarm/fused/concat/parts/{name}-1.parquet" for name in ("young", "old"))
    for key in (young, old):
        corpus.store.put(key, b"x")
    then = time.time() - timedelta(days=1, seconds=5).total_seconds()
    for key in (old, *used(corpus)):
        os.utime(corpus.store.location(key), (then, then))
    build(corpus)
    assert set(keys(corpus)) == {young} | used(corpus)


def test_a_name_that_a_sweep_could_be_about_to_delete_is_not_used_again(corpus: Corpus) -> None:
    corpus.add("a")
    build(corpus)
    left = used(corpus)
    corpus.store.delete(fused_key("concat"))
    build(corpus)
    assert not left & used(corpus)
    check_rows(corpus, "concat")


@pytest.mark.parametrize("what", ["delete", "cut", "another"])
def test_a_part_that_is_lost_or_broken_is_said_and_made_again(corpus: Corpus, what: str) -> None:
    for name in ("a", "b"):
        corpus.add(name)
    build(corpus)
    rows, (key,) = without_pointers(corpus.store, "concat"), used(corpus)
    raw = corpus.store.get(key) or b""
    if what == "delete":
        corpus.store.delete(key)
    else:
        corpus.store.put(key, raw[:-20] if what == "cut" else b"PAR1")
    (problem,) = fused_problems(corpus.store, "concat", corpus.dims, seed=1)
    assert "not there" in problem or "cannot be read" in problem
    with pytest.raises(PartUnreadable, match="makes its vectors again"):
        read_vectors(corpus.store, "concat")
    corpus.add("c")  # the small part would be merged into the new one
    corpus.add("d")
    build(corpus)
    assert fused_problems(corpus.store, "concat", corpus.dims, seed=1) == []
    check_rows(corpus, "concat")
    assert {name: row for name, row in without_pointers(corpus.store, "concat").items() if name in rows} == rows


def test_a_lost_part_is_made_again_though_nothing_else_has_changed(corpus: Corpus) -> None:
    corpus.add("a")
    build(corpus)
    corpus.store.delete(*used(corpus))
    assert build(corpus).made == 1
    check_rows(corpus, "concat")


def test_two_builds_at_once_never_leave_a_manifest_without_its_vectors(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus.add("a")
    build(corpus)
    corpus.add("b")
    real, manifests = build_module._rows, corpus.manifests()

    def meanwhile(*arguments: object) -> object:
        monkeypatch.setattr(build_module, "_rows", real)
        corpus.add("c")
        build(corpus)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(build_module, "_rows", meanwhile)
    with pytest.raises(StoreError, match="Another build replaced"):
        build_fused(corpus.store, ["concat"], manifests, now=NOON)
    check_rows(corpus, "concat")
    corpus.add("d")
    build(corpus)
    check_rows(corpus, "concat")


class TestReader:
    def test_vectors_come_in_the_order_asked_for_and_those_without_are_left_out(self, store: ObjectStore) -> None:
        corpus = Corpus(store)
        for name in ("a", "b", "c"):
            corpus.add(name)
        corpus.add("waiting", audio=Status.FAIL)
        build(corpus)
        ids, matrix = read_vectors(store, "concat", ["c", "nobody", "waiting", "a"])
        assert ids == ["c", "a"]
        assert matrix.dtype == np.float32
        assert matrix.tolist() == [corpus.reference("concat", name) for name in ids]
        assert read_vectors(store, "concat", ["nobody"])[0] == []
        assert read_vectors(store, "concat")[0] == ["a", "b", "c"]

    def test_without_a_manifest_there_are_no_vectors(self, local_store: ObjectStore) -> None:
        ids, matrix = read_vectors(local_store, "concat")
        assert (ids, matrix.shape) == ([], (0, 0))

    def test_a_reader_overtaken_by_builds_reads_the_newest_manifest(
        self, corpus: Corpus, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        corpus.add("a")
        build(corpus)
        real = vectors.read_fused

        def overtaken(*arguments: object) -> object:
            monkeypatch.setattr(vectors, "read_fused", real)
            opened = real(*arguments)  # type: ignore[arg-type]
            for name in ("b", "c"):
                corpus.add(name)
                build(corpus)
            return opened

        monkeypatch.setattr(vectors, "read_fused", overtaken)
        assert read_vectors(corpus.store, "concat")[0] == ["a", "b", "c"]


class TestVerify:
    @pytest.fixture
    def built(self, corpus: Corpus) -> Corpus:
        corpus.add("a")
        corpus.add("b", text=Status.EMPTY_TRANSCRIPT)
        build(corpus)
        return corpus

    def test_a_sound_manifest_has_no_problems(self, built: Corpus) -> None:
        assert fused_problems(built.store, "concat", built.dims, seed=3) == []

    def test_no_manifest_is_a_problem(self, local_store: ObjectStore) -> None:
        assert "no fused manifest" in fused_problems(local_store, "concat", DIMS, seed=3)[0]

    @pytest.mark.parametrize(
        ("strategy_dims", "said"),
        [({"video": 7}, "lengths"), ({"video": 5, "audio": 6}, "neither of unit length")],
    )
    def test_lengths_and_parts_that_do_not_fit_are_said(
        self, built: Corpus, strategy_dims: dict[str, int], said: str
    ) -> None:
        problems = fused_problems(built.store, "concat", built.dims | strategy_dims, seed=3)  # type: ignore[operator]
        assert any(said in problem for problem in problems)

    def test_a_part_with_other_vectors_is_said(self, built: Corpus) -> None:
        (before,) = used(built)
        built.settle("video", "a", Status.SUCCESS, seed="other")
        build(built)
        (now,) = used(built)
        built.store.put(now, built.store.get(before) or b"")
        assert any("made of other inputs" in said for said in fused_problems(built.store, "concat", DIMS, seed=3))
