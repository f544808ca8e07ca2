"""An artifact is trusted only where the store itself proves what it is."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Artifacts, Identity, Made, Versions, identity_key
from clipfarm_assets.store.object_store import ObjectStore

KEY = "clipfarm/embeddings/video/v1.npy"
VERSIONS = Versions("1", "MCG-NJU/videomae-base", "dc740ce", "frames=16")


@pytest.fixture
def artifacts(store: ObjectStore) -> Artifacts:
    return Artifacts(store)


def _put(artifacts: Artifacts, made: Made, source_hash: str = "hash", versions: Versions = VERSIONS) -> Identity:
    return artifacts.put(KEY, made, stage="video_embedding", video_id="v1", source_hash=source_hash, versions=versions)


def test_what_was_put_is_proven(artifacts: Artifacts) -> None:
    identity = _put(artifacts, Made(b"content", details={"duration_sec": 1.5, "names": ["a", None]}))
    assert artifacts.prove(KEY, "hash", VERSIONS) == identity
    assert artifacts.identity(KEY) == identity
    assert (identity.size, identity.data_version) == (7, identity.sha256)


def test_a_file_is_an_artifact_like_bytes(artifacts: Artifacts, tmp_path: Path) -> None:
    (tmp_path / "made").write_bytes(b"content")
    from_file, from_bytes = _put(artifacts, Made(tmp_path / "made")), _put(artifacts, Made(b"content"))
    assert (from_file.sha256, from_file.etag) == (from_bytes.sha256, from_bytes.etag)


@pytest.mark.parametrize(
    ("source_hash", "versions"),
    [
        ("other", VERSIONS),
        *(("hash", replace(VERSIONS, **{name: "other"})) for name in VERSIONS.__dataclass_fields__),
    ],
)
def test_another_input_or_version_is_unproven(artifacts: Artifacts, source_hash: str, versions: Versions) -> None:
    _put(artifacts, Made(b"content"))
    assert artifacts.prove(KEY, source_hash, versions) is None


@pytest.mark.parametrize("content", [b"another", b"cont", b"content, and more", b"", None])
def test_an_artifact_that_was_changed_cut_or_deleted_is_unproven(artifacts: Artifacts, content: bytes | None) -> None:
    _put(artifacts, Made(b"content"))
    if content is None:
        artifacts.store.delete(KEY)
    else:
        artifacts.store.put(KEY, content)
    assert artifacts.prove(KEY, "hash", VERSIONS) is None


@pytest.mark.parametrize(
    "raw", [None, b"", b"{", b"null", b"5", b'"text"', b"[]", b"{}", b"\xff\xfe", b'{"versions": 1}']
)
def test_an_absent_or_corrupt_identity_proves_nothing(artifacts: Artifacts, raw: bytes | None) -> None:
    _put(artifacts, Made(b"content"))
    if raw is None:
        artifacts.store.delete(identity_key(KEY))
    else:
        artifacts.store.put(identity_key(KEY), raw)
    assert artifacts.identity(KEY) is None
    assert artifacts.prove(KEY, "hash", VERSIONS) is None
    assert _put(artifacts, Made(b"content")) == artifacts.prove(KEY, "hash", VERSIONS)


@pytest.mark.parametrize("field", ["status", "versions", "sha256", "key"])
def test_an_identity_without_a_field_proves_nothing(artifacts: Artifacts, field: str) -> None:
    _put(artifacts, Made(b"content"))
    fields = json.loads(artifacts.store.get(identity_key(KEY)) or b"")
    del fields[field]
    artifacts.store.put(identity_key(KEY), json.dumps(fields).encode())
    assert artifacts.prove(KEY, "hash", VERSIONS) is None


def test_an_identity_copied_to_another_key_proves_nothing_there(artifacts: Artifacts) -> None:
    _put(artifacts, Made(b"content"))
    other = KEY.replace("v1", "v2")
    artifacts.store.put(other, b"something else")
    artifacts.store.put(identity_key(other), artifacts.store.get(identity_key(KEY)) or b"")
    assert artifacts.prove(other, "hash", VERSIONS) is None


def test_a_copied_store_is_still_proven(artifacts: Artifacts) -> None:
    made = _put(artifacts, Made(b"content"))
    fields = json.loads(artifacts.store.get(identity_key(KEY)) or b"")
    artifacts.store.put(identity_key(KEY), json.dumps(fields | {"etag": "another store's"}).encode())
    proven = artifacts.prove(KEY, "hash", VERSIONS)
    assert proven == made, "the etag is the one of the object as it lies here"


def test_the_same_content_is_not_written_again(artifacts: Artifacts) -> None:
    before = _put(artifacts, Made(b"content"))
    after = _put(artifacts, Made(b"content"), source_hash="another input")
    assert after.etag == before.etag == artifacts.store.head(KEY).etag  # type: ignore[union-attr]
    assert artifacts.prove(KEY, "another input", VERSIONS) == after
    assert artifacts.prove(KEY, "hash", VERSIONS) is None
    if artifacts.store.root is not None:
        assert artifacts.store.head(KEY).modified.isoformat() <= after.made_at  # type: ignore[union-attr]


def test_a_second_writer_of_the_same_artifact_writes_nothing(artifacts: Artifacts) -> None:
    first = _put(artifacts, Made(b"content", details={"duration_sec": 1.5}))
    written = artifacts.store.head(identity_key(KEY))
    assert _put(artifacts, Made(b"content", details={"duration_sec": 1.5})) == first
    assert artifacts.store.head(identity_key(KEY)) == written


def test_the_same_content_is_written_where_what_lies_there_is_broken(artifacts: Artifacts) -> None:
    _put(artifacts, Made(b"content"))
    artifacts.store.put(KEY, b"cont")
    _put(artifacts, Made(b"content"))
    assert artifacts.store.get(KEY) == b"content"


def test_an_outcome_without_an_artifact_removes_the_old_one(artifacts: Artifacts) -> None:
    _put(artifacts, Made(b"content"))
    identity = _put(artifacts, Made(None, Status.NO_AUDIO_TRACK), source_hash="new")
    assert artifacts.store.get(KEY) is None
    assert artifacts.prove(KEY, "new", VERSIONS) == identity
    assert (identity.key, identity.sha256, identity.data_version) == (None, None, "no_audio_track")
    assert artifacts.prove(KEY, "hash", VERSIONS) is None


def test_what_is_forgotten_leaves_nothing(artifacts: Artifacts) -> None:
    _put(artifacts, Made(b"content"))
    artifacts.forget(KEY)
    artifacts.forget(KEY)
    assert artifacts.store.list("") == []
    assert artifacts.prove(KEY, "hash", VERSIONS) is None


KILLED = """
import os, signal, sys
from clipfarm_assets.store.artifacts import Made
from clipfarm_assets.store.artifacts import Artifacts, Versions
from clipfarm_assets.store.object_store import ObjectStore, open_store

real_put, puts = ObjectStore.put, []
def put(self, key, content):
    if len(puts) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    puts.append(key)
    return real_put(self, key, content)
ObjectStore.put = put
artifacts = Artifacts(open_store(sys.argv[1]))
artifacts.put(sys.argv[3], Made(b"new content"), stage="s", video_id="v1", source_hash="new", versions=Versions("1"))
"""


@pytest.mark.parametrize("puts_before_death", [0, 1])
def test_a_process_killed_between_artifact_and_identity_leaves_nothing_trusted(
    local_store: ObjectStore, puts_before_death: int
) -> None:
    artifacts = Artifacts(local_store)
    versions = Versions("1")
    artifacts.put(KEY, Made(b"old content"), stage="s", video_id="v1", source_hash="old", versions=versions)
    died = subprocess.run(
        [sys.executable, "-c", KILLED, local_store.url, str(puts_before_death), KEY], check=False, env=dict(os.environ)
    )
    assert died.returncode == -signal.SIGKILL
    assert local_store.get(KEY) == (b"new content" if puts_before_death else b"old content")
    assert artifacts.prove(KEY, "new", versions) is None
    assert (artifacts.prove(KEY, "old", versions) is None) == bool(puts_before_death)


def test_a_process_killed_while_it_writes_leaves_no_half_object(local_store: ObjectStore, tmp_path: Path) -> None:
    """Killed at many moments: what lies under the key is the old content or the new, and torn files are hidden."""
    size = 40 * 1024**2
    (tmp_path / "new").write_bytes(b"n" * size)
    local_store.put("big", b"old")
    code = (
        "import sys; from pathlib import Path; from clipfarm_assets.store.object_store import open_store\n"
        "store = open_store(sys.argv[1]); print('ready', flush=True); store.put('big', Path(sys.argv[2]))"
    )
    for delay_sec in (0.0, 0.005, 0.02):
        command = [sys.executable, "-c", code, local_store.url, str(tmp_path / "new")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                process.wait(timeout=delay_sec)
            except subprocess.TimeoutExpired:
                process.kill()
        info = local_store.head("big")
        assert info is not None
        assert info.size in (3, size)
        assert [info.key for info in local_store.list("")] == ["big"]
    local_store.sweep(older_than_sec=0)
    assert local_store.root is not None
    assert [path.name for path in local_store.root.rglob("*")] == ["big"]


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.sampled_from([b"a", b"bb", None]), st.sampled_from(["h1", "h2"])),
        st.tuples(st.just("overwrite"), st.sampled_from([b"a", b"b", b"bb"]), st.just("")),
        st.tuples(st.sampled_from(["delete", "delete_identity", "forget"]), st.none(), st.just("")),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=ACTIONS)
def test_only_what_lies_there_is_ever_proven(
    local_store: ObjectStore, actions: list[tuple[str, bytes | None, str]]
) -> None:
    artifacts = Artifacts(local_store)
    artifacts.forget(KEY)
    content: bytes | None = None
    claim: tuple[str, bytes | None] | None = None  # what the identity says: the input, and the content
    for action, value, source_hash in actions:
        if action == "make":
            _put(artifacts, Made(value) if value is not None else Made(None, Status.NO_AUDIO_TRACK), source_hash)
            content, claim = value, (source_hash, value)
        elif action == "overwrite":
            local_store.put(KEY, value or b"")
            content = value
        else:
            {"delete": lambda: local_store.delete(KEY), "forget": lambda: artifacts.forget(KEY)}.get(
                action, lambda: local_store.delete(identity_key(KEY))
            )()
            content = content if action == "delete_identity" else None
            claim = claim if action == "delete" else None
        for asked in ("h1", "h2"):
            fits = claim is not None and claim[0] == asked and (claim[1] is None or claim[1] == content)
            assert (artifacts.prove(KEY, asked, VERSIONS) is not None) == fits
