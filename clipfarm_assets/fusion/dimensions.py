"""The guard: ``clipfarm/fused/<strategy>/schema.json`` says how long each modality's vectors are.

A manifest whose vectors have another length stops the whole build before anything is written: one that mixes lengths
would break every reader. When a model was changed on purpose and every video was embedded again, the new lengths are
accepted by deleting ``schema.json`` of each strategy, or once by ``build_fused(..., accept_new_dimensions=True)``;
every fused vector is then made again.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from clipfarm_assets.embeddings.manifest import MODALITIES, Modality, has_vector, manifest_dim
from clipfarm_assets.errors import DimensionMismatch
from clipfarm_assets.fusion.strategies import Strategy
from clipfarm_assets.store.object_store import ObjectStore

Manifests = Mapping[Modality, pa.Table]


def schema_key(strategy: str) -> str:
    """Where the guard of a strategy lies."""
    return f"clipfarm/fused/{strategy}/schema.json"


def guarded_dims(
    store: ObjectStore, strategies: Sequence[Strategy], manifests: Manifests, *, accept_new_dimensions: bool
) -> dict[Modality, int]:
    """Length of each modality's vectors, agreed on by its manifest and every strategy's ``schema.json``.

    A modality without any vector has the length that a ``schema.json`` remembers, else 0.

    Raises:
        DimensionMismatch: a manifest mixes lengths, or has another length than a ``schema.json`` says.
    """
    dims = {modality: manifest_dim(modality, manifests[modality]) for modality in MODALITIES}
    for strategy in strategies:
        remembered = {} if accept_new_dimensions else _remembered(store, strategy.name)
        for modality, dim in remembered.items():
            now = dims[modality]
            if now is None:
                dims[modality] = dim
            elif now != dim:
                raise _mismatch(strategy.name, modality, dim, now, manifests[modality])
    return {modality: dim or 0 for modality, dim in dims.items()}


def schema_contents(
    strategies: Sequence[Strategy], dims: Mapping[Modality, int], manifests: Manifests
) -> dict[str, bytes]:
    """``schema.json`` by strategy: the lengths, and which models made the vectors; the same manifests give the same."""
    modalities = {m: {"dim": dims[m] or None, "models": _models(manifests[m])} for m in MODALITIES}
    contents = {}
    for one in strategies:
        content = {"fusion_strategy": one.name, "fused_dim": one.dim(dims), "modalities": modalities}
        contents[one.name] = (json.dumps(content, indent=1) + "\n").encode()
    return contents


def _models(manifest: pa.Table) -> list[dict[str, str]]:
    columns = ["model_name", "model_version"]
    found = manifest.select(columns).filter(pa.array(has_vector(manifest))).group_by(columns).aggregate([])
    models: list[dict[str, str]] = found.to_pylist()
    return sorted(models, key=lambda model: [str(value) for value in model.values()])


def _remembered(store: ObjectStore, strategy: str) -> dict[Modality, int]:
    key = schema_key(strategy)
    raw = store.get(key)
    if raw is None:
        return {}
    try:
        modalities: dict[str, dict[str, Any]] = json.loads(raw)["modalities"]
        dims = {modality: modalities[modality]["dim"] for modality in MODALITIES}
        return {modality: int(dim) for modality, dim in dims.items() if dim is not None}
    except (ValueError, TypeError, KeyError) as error:
        raise DimensionMismatch(
            f"{store.location(key)} cannot be read, so the lengths of the vectors are not known to fit.",
            hint="Delete it; the next build writes it anew.",
        ) from error


def _mismatch(strategy: str, modality: Modality, before: int, now: int, manifest: pa.Table) -> DimensionMismatch:
    example = manifest["video_id"].filter(pa.array(has_vector(manifest)))[0].as_py()
    return DimensionMismatch(
        f"The {modality} vectors have {now} components, such as that of {example}, and {schema_key(strategy)} says "
        f"{before}. Nothing was written.",
        hint="Go back to the model that schema.json names. If the model was changed on purpose and every video was "
        "embedded again, delete clipfarm/fused/<strategy>/schema.json of every strategy (or build once with "
        "accept_new_dimensions=True): every fused vector is then made again.",
    )
