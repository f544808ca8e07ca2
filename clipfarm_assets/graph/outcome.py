"""The record of one video in one stage, as it travels with a Dagster event."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Versions


class Outcome(NamedTuple):
    """What happened to one video in one stage: the ledger's columns, less the video and the stage.

    Attributes:
        store_id: of the store that holds the artifact; another store knows nothing of it.
        data_version: of what the stage has for the video; None where it has nothing.
        etag: the store's own, of the artifact.
        embedding_dim: length of the vector, where the artifact is one.
        retry_count: tries that failed with this input so far.
        retry_after_sec: how long the source asked to wait, 0 where it did not say.
        duration_sec: wall seconds that the stage spent on the video.
        apart: of a death that a step has noted before it tries again, how it does: among other ``suspects``, or
            ``alone``.
    """

    status: Status
    source_hash: str
    versions: Versions
    processed_at: str
    run_id: str
    data_version: str | None = None
    artifact_key: str | None = None
    etag: str | None = None
    embedding_dim: int | None = None
    error: str | None = None
    retry_count: int = 0
    retry_after_sec: float = 0.0
    duration_sec: float = 0.0
    store_id: str = ""
    apart: str = ""

    def same_input(self, source_hash: str, versions: Versions, *, model_as_needed: bool = False) -> bool:
        """Whether it speaks of this input and is what this code and model give of it; see ``Versions.give``."""
        given = self.versions.give(versions, self.status, model_as_needed=model_as_needed)
        return self.source_hash == source_hash and given

    def to_fields(self) -> dict[str, Any]:
        """Plain JSON values by name, without those that are as by default."""
        fields = {**self._asdict(), "status": self.status.value, "versions": dict(vars(self.versions))}
        return {name: value for name, value in fields.items() if name not in _DEFAULTS or value != _DEFAULTS[name]}

    def to_json(self) -> str:
        return json.dumps(self.to_fields(), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Outcome":
        """The outcome that ``to_fields`` gave; fields that this version does not know are left out."""
        given = {**_DEFAULTS, **fields}
        versions = one_of_versions(*_parts_of_versions(given["versions"]))
        return cls._make((_STATUSES[given["status"]], given["source_hash"], versions, *_after_versions(given)))


_DEFAULTS = Outcome._field_defaults
_STATUSES = {status.value: status for status in Status}
_parts_of_versions = itemgetter("code_version", "model_name", "model_version", "preprocess_version")
one_of_versions = lru_cache(maxsize=1024)(Versions)  # few of them stand behind very many outcomes: equal ones are one
_after_versions = itemgetter(*Outcome._fields[Outcome._fields.index("versions") + 1 :])


def outcomes_from_json(texts: Sequence[str]) -> list[Outcome]:
    """The outcomes that ``to_json`` gave; parsed as one array, since a call a text costs as much as its parsing."""
    return [Outcome.from_fields(fields) for fields in json.loads(f"[{','.join(texts)}]")]
