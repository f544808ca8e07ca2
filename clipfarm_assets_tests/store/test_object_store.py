"""Local folders and S3 behave alike."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipfarm_assets.errors import StoreMissing
from clipfarm_assets.store.object_store import ObjectStore, copy_out, open_store, sweep_temporary

KEY = "clipfarm/raw/text/v1.json"


def test_an_absent_key_is_none(store: ObjectStore) -> None:
    assert store.get(KEY) is None
    assert store.head(KEY) is None
    with store.local_file(KEY) as path:
        assert path is None


def test_what_was_put_is_there_whole(store: ObjectStore) -> None:
    info = store.put(KEY, b"hello")
    assert (info.key, info.size) == (KEY, 5)
    assert store.get(KEY) == b"hello"
    assert store.head(KEY) == info
    with store.local_file(KEY) as path:
        assert path is not None
        assert path.read_bytes() == b"hello"
        assert path.suffix == ".json"


def test_an_empty_object_is_an_object(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    for key, content in (("a/bytes", b""), ("a/file", tmp_path / "empty")):
        assert store.put(key, content).size == 0
        assert store.get(key) == b""


def test_a_put_replaces_and_changes_the_etag(store: ObjectStore) -> None:
    before = store.put(KEY, b"one")
    after = store.put(KEY, b"two")
    assert before.etag != after.etag
    assert store.get(KEY) == b"two"


def test_deleting_is_idempotent(store: ObjectStore) -> None:
    store.put(KEY, b"hello")
    store.delete(KEY)
    store.delete(KEY)
    assert store.get(KEY) is None


def test_listings_are_sorted_and_by_folder(store: ObjectStore) -> None:
    for key in ("b/2", "b/10", "a/1", "b/1.json", "bb/1", "b/c/d"):
        store.put(key, b"x")
    assert [info.key for info in store.list("b")] == ["b/1.json", "b/10", "b/2", "b/c/d"]
    assert [info.key for info in store.list("b/")] == ["b/1.json", "b/10", "b/2", "b/c/d"]
    assert store.list("nothing/here") == []
    assert [info.size for info in store.list("a")] == [1]


def test_a_listing_pages_past_a_thousand(s3_store: ObjectStore) -> None:
    for number in range(1005):
        s3_store._backend.put(f"many/{number:04d}", b"")
    assert [info.key for info in s3_store.list("many")] == [f"many/{number:04d}" for number in range(1005)]


def test_a_folder_is_not_an_object(store: ObjectStore) -> None:
    store.put("a/b/c", b"x")
    assert store.get("a/b") is None
    assert store.head("a/b") is None
    store.delete("a/b")
    assert store.get("a/b/c") == b"x"


def test_a_file_is_streamed_and_left_where_it_is(store: ObjectStore, tmp_path: Path) -> None:
    content = os.urandom(1024) * 18 * 1024  # more than one part of an upload, more than one chunk of a download
    source = tmp_path / "source.mp4"
    source.write_bytes(content)
    assert store.put("v.mp4", source).size == len(content)
    assert source.read_bytes() == content
    with store.local_file("v.mp4") as path:
        assert path is not None
        assert path.read_bytes() == content
    assert copy_out(store, "v.mp4", tmp_path / "copy.mp4")
    assert (tmp_path / "copy.mp4").read_bytes() == content
    assert not copy_out(store, "absent.mp4", tmp_path / "absent.mp4")
    assert not (tmp_path / "absent.mp4").exists()


def test_keys_of_odd_video_ids_come_back_as_they_were(store: ObjectStore) -> None:
    keys = [f"clipfarm/raw/text/{name}.json" for name in ("-_.", "a.b-c_D", "0" * 128, "~", "v=1", "ä")]
    for key in keys:
        store.put(key, key.encode())
    assert [info.key for info in store.list("clipfarm")] == sorted(keys)
    assert all(store.get(key) == key.encode() for key in keys)


def test_what_killed_writes_left_is_hidden_and_swept(local_store: ObjectStore) -> None:
    local_store.put(KEY, b"whole")
    root = local_store.root
    assert root is not None
    torn, fresh = root / f"{KEY}#1", root / f"{KEY}#23"
    for path in (torn, fresh):
        path.write_bytes(b"to")
    os.utime(torn, (0, 0))
    assert [info.key for info in local_store.list("")] == [KEY]
    assert local_store.sweep() == 1
    assert not torn.exists()
    assert fresh.exists(), "a write that is under way is not torn"
    assert local_store.sweep(older_than_sec=0) == 1
    assert local_store.get(KEY) == b"whole"


def test_there_is_nothing_to_sweep_in_s3(s3_store: ObjectStore) -> None:
    s3_store.put(KEY, b"whole")
    assert s3_store.sweep() == 0


def test_a_local_folder_is_made_and_one_that_cannot_be_is_missing(tmp_path: Path) -> None:
    open_store((tmp_path / "new" / "folder").as_uri()).put(KEY, b"x")
    assert (tmp_path / "new" / "folder" / KEY).read_bytes() == b"x"
    (tmp_path / "file").touch()
    with pytest.raises(StoreMissing, match="Create it, or correct CLIPFARM_STORE"):
        open_store((tmp_path / "file" / "folder").as_uri())


def test_two_prefixes_of_one_bucket_do_not_see_each_other(s3_url: str) -> None:
    one, other = open_store(f"{s3_url}/one"), open_store(f"{s3_url}/other")
    one.put(KEY, b"x")
    assert other.get(KEY) is None
    assert other.list("") == []
    assert [info.key for info in one.list("")] == [KEY]
    assert one.location(KEY) == f"{s3_url}/one/{KEY}"


KEYS = st.sampled_from(["a", "b/c", "b/d", "b/e/f"])
STEPS = st.lists(st.tuples(st.sampled_from(["put", "delete"]), KEYS, st.binary(max_size=8)), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_a_store_behaves_like_a_dictionary(store: ObjectStore, steps: list[tuple[str, str, bytes]]) -> None:
    for info in store.list(""):
        store.delete(info.key)
    model: dict[str, bytes] = {}
    for action, key, content in steps:
        if action == "put":
            store.put(key, content)
            model[key] = content
        else:
            store.delete(key)
            model.pop(key, None)
    assert {info.key: info.size for info in store.list("")} == {key: len(model[key]) for key in model}
    assert [store.get(key) for key in ("a", "b/c", "b/d", "b/e/f")] == [
        model.get(key) for key in ("a", "b/c", "b/d", "b/e/f")
    ]


def test_old_folders_of_killed_processes_are_swept_and_young_ones_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("clipfarm-old", "clipfarm-young", "another-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half.mp4").write_bytes(b"half")
        if name.endswith("old"):
            os.utime(tmp_path / name, (10**9, 10**9))
    assert sweep_temporary() == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another-old", "clipfarm-young"]
