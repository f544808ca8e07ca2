"""``models.lock``: every model's name, revision, licence and the SHA-256 of its files.

The lock that ships with the package is overlaid by ``<CLIPFARM_MODEL_DIR>/models.lock``, where `clipfarm models lock`
writes what it could compute here. A hash that nobody could compute is an empty string, never a guess: such a file is
accepted, and reported as unverified.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from clipfarm_assets.errors import ModelError, ModelMismatch
from clipfarm_assets.models.ref import Modality, ModelRef
from clipfarm_assets.store.artifacts import content_sha256

LOCK_VERSION = 1
PACKAGED_LOCK = Path(__file__).with_name("models.lock")


@dataclass(frozen=True)
class LockEntry:
    """One model of the lock.

    Attributes:
        name: as the hub or PyPI has it.
        model_class: the class that loads it, such as ``transformers.VideoMAEModel``.
        revision: the hub's commit SHA, or a package's version.
        files: SHA-256 in hex by file name; ``""`` where nobody could compute it.
    """

    name: str
    modality: Modality
    model_class: str
    revision: str
    licence: str
    files: Mapping[str, str] = field(hash=False)


def overlay_path(model_dir: Path) -> Path:
    """Where this deployment keeps its own additions to the lock."""
    return model_dir / "models.lock"


def read_lock(model_dir: Path) -> dict[str, LockEntry]:
    """The packaged lock and this deployment's overlay, by model name.

    The overlay adds models, and hashes of models at their packaged revision. Where the package moved on to another
    revision, what the overlay says of the old one is void.

    Raises:
        ModelError: the overlay cannot be read as a lock.
    """
    packaged, overlay = read_lock_file(PACKAGED_LOCK), overlay_path(model_dir)
    added = read_lock_file(overlay) if overlay.is_file() else {}
    valid = {
        name: entry
        for name, entry in added.items()
        if name not in packaged or entry.revision == packaged[name].revision
    }
    return packaged | valid


def read_lock_file(path: Path) -> dict[str, LockEntry]:
    """One lock file, by model name; ModelError where it is not one."""
    try:
        content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if content["lock_version"] != LOCK_VERSION:
            raise ValueError(f"its lock_version is {content['lock_version']}, not {LOCK_VERSION}")
        return {name: _entry(name, fields) for name, fields in content["models"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ModelError(
            f"{path} cannot be read as a model lock: {error}.",
            hint="Remove it and run `clipfarm models lock` again.",
        ) from error


def write_lock_file(path: Path, entries: Mapping[str, LockEntry]) -> None:
    """Writes a lock file, whole or not at all; models and files stand in alphabetical order."""
    models = {
        name: {
            "modality": entry.modality,
            "class": entry.model_class,
            "revision": entry.revision,
            "licence": entry.licence,
            "files": dict(sorted(entry.files.items())),
        }
        for name, entry in sorted(entries.items())
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"lock_version": LOCK_VERSION, "models": models}, indent=2, ensure_ascii=False) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".part", delete=False, encoding="utf-8") as file:
        file.write(text)
    Path(file.name).replace(path)


def verify(ref: ModelRef, folder: Path) -> tuple[str, ...]:
    """Checks a model's files against the lock; one that was checked by this process is not read again.

    Returns:
        The files that no hash is locked for: accepted, unverified.

    Raises:
        ModelMismatch: a file is absent or has another SHA-256 than the lock says; names file, expected and found.
    """
    return _verify(ref.name, tuple(sorted(ref.files.items())), folder)


@lru_cache(maxsize=64)
def _verify(name: str, files: tuple[tuple[str, str], ...], folder: Path) -> tuple[str, ...]:
    for file, expected in files:
        if not expected:
            continue
        path = folder / file
        found = content_sha256(path) if path.is_file() else "no such file"
        if found != expected:
            raise ModelMismatch(
                f"{name}: {path} is not the locked file (expected {expected}, found {found}).",
                hint="Remove the wrong files and run `clipfarm models pull`; `clipfarm models verify` checks them all.",
            )
    return tuple(file for file, expected in files if not expected)


def _entry(name: str, fields: Mapping[str, Any]) -> LockEntry:
    modality, files = fields["modality"], fields["files"]
    if modality not in get_args(Modality):
        raise ValueError(f"the modality of {name} is {modality!r}")
    if not all(isinstance(text, str) for pair in files.items() for text in pair):
        raise ValueError(f"the files of {name} are not hashes by file name")
    return LockEntry(
        name=name,
        modality=modality,
        model_class=str(fields["class"]),
        revision=str(fields["revision"]),
        licence=str(fields["licence"]),
        files=dict(files),
    )
