"""Artifacts whose identity can be proven from the store itself.

Beside every artifact lies ``<key>.identity.json``, written last: what shaped the artifact, which code and model made
it, and its own SHA-256. An artifact without a fitting identity is made again, never trusted because a file of that
name exists. An outcome that leaves no artifact (a video without sound) has an identity alone.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectStore

_HASH_CHUNK_BYTES = 1024**2

Json = str | int | float | bool | None | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True)
class Made:
    """What a stage made of one video: bytes, a local file that the store takes over, or nothing but a status."""

    content: bytes | Path | None
    status: Status = Status.SUCCESS
    details: Mapping[str, Json] = field(default_factory=dict)
    picture: bytes | None = None  # PNG or JPEG for the UI, where looking beats reading
    by_model: bool = True  # False where the stage's model had no part in it
    seconds: float | None = None  # wall seconds of the work, where a worker has measured them


@dataclass(frozen=True)
class Versions:
    """Which code and which model make a stage's artifacts; empty strings where a stage has no model."""

    code_version: str
    model_name: str = ""
    model_version: str = ""
    preprocess_version: str = ""

    def give(self, now: "Versions", status: Status, *, model_as_needed: bool = False) -> bool:
        """Whether what these versions made, with that status, is what those of ``now`` give of the same input.

        Args:
            model_as_needed: the model makes only what nothing else brings. What succeeded without a model stands
                whichever there is now, and what a model has made stands while there is none.
        """
        same = self is now or self == now
        if same or not model_as_needed:
            return same
        succeeded_without = not self.model_name and status is Status.SUCCESS
        is_none_now = not now.model_name and status.materialized
        return self.code_version == now.code_version and (succeeded_without or is_none_now)


@dataclass(frozen=True)
class Identity:
    """What an artifact is.

    Attributes:
        key: of the artifact; None where the outcome leaves none.
        data_version: changes when, and only when, the content does: the artifact's SHA-256, else the status.
        sha256: of the artifact's bytes.
        etag: the store's own, a short cut past hashing; another etag is not another artifact.
        details: facts for later stages and for the UI, such as a duration.
    """

    stage: str
    video_id: str
    key: str | None
    source_hash: str
    versions: Versions
    status: Status
    data_version: str
    sha256: str | None
    size: int | None
    etag: str | None
    made_at: str
    details: dict[str, Json] = field(default_factory=dict)

    @property
    def embedding_dim(self) -> int | None:
        """The length of the vector, where the artifact is one."""
        dim = self.details.get("embedding_dim")
        return dim if isinstance(dim, int) else None

    def fits(self, source_hash: str, versions: Versions, *, model_as_needed: bool = False) -> bool:
        """Whether it speaks of this input and is what this code and model give of it; see ``Versions.give``."""
        given = self.versions.give(versions, self.status, model_as_needed=model_as_needed)
        return self.source_hash == source_hash and given


class Artifacts:
    """The artifacts of one store."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store

    def prove(
        self, key: str, source_hash: str, versions: Versions, *, model_as_needed: bool = False
    ) -> Identity | None:
        """The identity of what lies at ``key``, where it fits what is asked for and the content is what it says."""
        identity = self.identity(key)
        if identity is None or identity.key not in (None, key):
            return None
        if not identity.fits(source_hash, versions, model_as_needed=model_as_needed):
            return None
        return self._verified(identity)

    def present(self, key: str) -> Identity | None:
        """The identity of what lies at ``key``, whatever shaped it, where the content is what it says."""
        identity = self.identity(key)
        return None if identity is None else self._verified(identity)

    def identity(self, key: str) -> Identity | None:
        """What the store says of ``key``, content unseen; None where nothing readable is said."""
        raw = self.store.get(identity_key(key))
        return None if raw is None else _parse(raw)

    def put(self, key: str, made: Made, *, stage: str, video_id: str, source_hash: str, versions: Versions) -> Identity:
        """Stores what a stage made: the artifact, then its identity."""
        sha256 = None if made.content is None else content_sha256(made.content)
        identity = Identity(
            stage=stage, video_id=video_id, key=None if made.content is None else key, source_hash=source_hash,
            versions=versions, status=made.status, data_version=sha256 or made.status.value, sha256=sha256, size=None,
            etag=None, made_at=datetime.now(UTC).isoformat(timespec="microseconds"), details=dict(made.details),
        )  # fmt: skip
        if made.content is not None:
            before = self.identity(key)
            kept = self._verified(before) if before and before.sha256 == sha256 else None
            if kept is not None:
                identity = replace(identity, size=kept.size, etag=kept.etag)
                if replace(identity, made_at=kept.made_at) == kept:
                    return kept  # a second writer, or one that was stopped before it could book it
            else:
                info = self.store.put(key, made.content)
                identity = replace(identity, size=info.size, etag=info.etag)
        else:
            self.store.delete(key)
        self.store.put(identity_key(key), _dump(identity))
        return identity

    def forget(self, key: str) -> None:
        """Deletes the identity, then the artifact: a crash in between leaves nothing that is trusted."""
        self.store.delete(identity_key(key))
        self.store.delete(key)

    def _verified(self, identity: Identity) -> Identity | None:
        if identity.key is None:
            return identity
        info = self.store.head(identity.key)
        if info is None or info.size != identity.size:
            return None
        if info.etag == identity.etag:
            return identity
        with self.store.local_file(identity.key) as path:
            if path is None or content_sha256(path) != identity.sha256:
                return None
        return replace(identity, etag=info.etag)


def identity_key(key: str) -> str:
    """Where the identity of the artifact at ``key`` lies."""
    return f"{key}.identity.json"


def content_sha256(content: bytes | Path) -> str:
    """Hex digest of bytes or of a file."""
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()
    with content.open("rb") as file:
        while block := file.read(_HASH_CHUNK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _dump(identity: Identity) -> bytes:
    plain = vars(identity) | {"versions": vars(identity.versions)}  # asdict would copy every value on its way
    return json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()


def _parse(raw: bytes) -> Identity | None:
    try:
        fields: dict[str, Any] = json.loads(raw)
        versions, status = Versions(**fields.pop("versions")), Status(fields.pop("status"))
        return Identity(versions=versions, status=status, **fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # written by another version, or not by us: not proven, so made again
