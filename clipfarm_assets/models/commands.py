"""What `clipfarm models lock`, `pull` and `verify` do; each gives rows to print, one a file.

They work on the models that the settings name, Whisper unless something else recognises speech, and on the packaged
text model where it is the default's source.
"""

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from clipfarm_assets.errors import ModelError, ModelMismatch, ModelUnavailable
from clipfarm_assets.models import places
from clipfarm_assets.models.catalog import (
    DEFAULT_TEXT_MODEL,
    PACKAGED_TEXT_MODEL,
    hub_name,
    locked,
    new_entry,
    packaged_text_folder,
    ref_of,
)
from clipfarm_assets.models.load import fetch_from_hub, weights_folder
from clipfarm_assets.models.lock import LockEntry, overlay_path, read_lock, read_lock_file, verify, write_lock_file
from clipfarm_assets.models.ref import Modality, ModelRef
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.artifacts import content_sha256
from clipfarm_assets.store.object_store import ObjectStore

FileStatus = Literal["locked", "kept", "ok", "unverified", "mismatch", "pulled", "present", "unavailable"]
_SHAPING_SUFFIXES = (".safetensors", ".bin", ".json", ".txt", ".model")


@dataclass(frozen=True)
class FileRow:
    """One line of output.

    Attributes:
        file: ``*`` where the row is about the model as a whole.
        status: ``locked`` a hash was computed and written; ``kept`` the lock already had it; ``ok`` the file is the
            locked one; ``unverified`` no hash is locked; ``mismatch`` another file; ``pulled`` and ``present`` where
            it was fetched to or lay already; ``unavailable`` it cannot be had here.
    """

    model: str
    file: str
    status: FileStatus
    note: str = ""


def lock_models(settings: Settings, store: ObjectStore | None) -> list[FileRow]:
    """Computes the hashes of the files that can be had without a download, and writes them to the overlay lock.

    A hash that is locked is never replaced by another: that row says ``mismatch`` and the lock stays as it is. A model
    that no lock knows is locked at the commit that the hub names, or, from a model folder that tells no commit, at a
    hash of its files.

    Raises:
        ModelError: a lock file cannot be read.
    """
    rows: list[FileRow] = []
    overlay = overlay_path(settings.model_dir)
    entries = read_lock_file(overlay) if overlay.is_file() else {}
    for name, modality in _named(settings):
        try:
            entry = _entry_to_lock(name, modality, settings)
            if entry.name not in read_lock(settings.model_dir):
                entries[entry.name] = entry
                rows.append(FileRow(entry.name, "*", "locked", f"at {entry.revision}"))
            folder = weights_folder(_located(entry, settings, store), settings, store)
        except ModelError as error:
            rows.append(FileRow(name, "*", "unavailable", str(error)))
            continue
        found = {file: content_sha256(folder / file) for file in sorted(_shaping_files(folder))}
        compared = [_compared(entry, file, sha256) for file, sha256 in found.items()]
        rows += compared
        if any(row.status == "locked" for row in compared):
            known = {file: sha256 for file, sha256 in entry.files.items() if sha256}
            entries[entry.name] = replace(entry, files=dict(entry.files) | found | known)
    if any(row.status == "locked" for row in rows):
        write_lock_file(overlay, entries)
    return rows


def verify_models(settings: Settings, store: ObjectStore | None) -> list[FileRow]:
    """Checks the files that are here against the lock."""
    rows: list[FileRow] = []
    for name, modality in _named(settings):
        try:
            entry = _entry(name, modality, settings)
            ref = _located(entry, settings, store)
            unverified = verify(ref, weights_folder(ref, settings, store))
        except ModelMismatch as error:
            rows.append(FileRow(name, "*", "mismatch", str(error)))
        except ModelError as error:
            rows.append(FileRow(name, "*", "unavailable", str(error)))
        else:
            for file in entry.files or ("*",):
                open_question = file in unverified or file == "*"
                note = "no hash is locked" if open_question else ref.origin
                rows.append(FileRow(entry.name, file, "unverified" if open_question else "ok", note))
    return rows


def pull_models(
    settings: Settings, store: ObjectStore | None, to: Literal["folder", "store"] = "folder"
) -> list[FileRow]:
    """Fetches what the settings name and this deployment lacks, to the model folder or to the store.

    Raises:
        ModelUnavailable: the hub does not answer, within ``hub_timeout_sec``; or the store is asked for and None.
        ModelMismatch: what came is not what the lock names; nothing of it is kept.
    """
    if to == "store" and store is None:
        raise ModelUnavailable("There is no store to pull the models to.")
    places.forget_hub_answers()
    rows: list[FileRow] = []
    for name, modality in _named(settings):
        entry = _entry(name, modality, settings)
        if entry.name == PACKAGED_TEXT_MODEL:
            rows.append(FileRow(entry.name, "*", "present", f"installed as a package, {entry.revision}"))
        elif to == "folder":
            rows += _pull_to_folder(entry, settings)
        elif store is not None:
            rows += _pull_to_store(entry, settings, store)
    return rows


def _pull_to_folder(entry: LockEntry, settings: Settings) -> list[FileRow]:
    target = places.model_folder(entry.name, settings)
    if places.in_folder(entry, settings):
        return [FileRow(entry.name, "*", "present", str(target))]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".arriving-") as arriving:
        folder = Path(arriving) / "model"
        files = _fetched(entry, settings, folder)
        (folder / places.REVISION_FILE).write_text(entry.revision + "\n", "utf-8")
        if target.exists():
            target.rename(Path(arriving) / "another-revision")
        folder.rename(target)
    return [_pulled(entry, file, target) for file in files]


def _pull_to_store(entry: LockEntry, settings: Settings, store: ObjectStore) -> list[FileRow]:
    prefix = places.store_prefix(entry.name, entry.revision)
    if places.in_store(entry, store):
        return [FileRow(entry.name, "*", "present", store.location(prefix))]
    with tempfile.TemporaryDirectory(prefix="clipfarm-") as arriving:
        folder = Path(arriving)
        files = _fetched(entry, settings, folder)
        for file in sorted(files, key=lambda file: file == "config.json"):  # last: with it the model counts as there
            store.put(prefix + file, folder / file)
    return [_pulled(entry, file, store.location(prefix)) for file in files]


def _fetched(entry: LockEntry, settings: Settings, folder: Path) -> list[str]:
    """Downloads and checks a model; returns the names of its files."""
    fetch_from_hub(entry.name, entry.revision, settings, folder)
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    verify(ref_of(entry, "hub"), folder)
    files = places.files_below(folder)
    if not places.complete(files, entry):
        raise ModelUnavailable(
            f"The hub's {entry.name} at {entry.revision} has no configuration, no weights or no preprocessing."
        )
    return sorted(files)


def _pulled(entry: LockEntry, file: str, where: object) -> FileRow:
    return FileRow(entry.name, file, "pulled", str(where) if entry.files.get(file) else f"{where}; no hash is locked")


def _named(settings: Settings) -> Iterator[tuple[str, Modality]]:
    yield settings.video_model, "video"
    yield settings.audio_model, "audio"
    yield settings.text_model, "text"
    if settings.speech_recogniser in ("auto", "whisper"):
        yield settings.speech_model, "speech"


def _entry(name: str, modality: Modality, settings: Settings) -> LockEntry:
    """The lock's entry; the packaged one for the default text model, unless the model folder holds the hub's."""
    entry = locked(name, modality, settings)
    default = modality == "text" and entry.name == DEFAULT_TEXT_MODEL
    if default and not places.in_folder(entry, settings) and packaged_text_folder() is not None:
        return read_lock(settings.model_dir)[PACKAGED_TEXT_MODEL]
    return entry


def _entry_to_lock(name: str, modality: Modality, settings: Settings) -> LockEntry:
    if hub_name(name, modality) in read_lock(settings.model_dir) or "@" in name:
        return _entry(name, modality, settings)
    entry = new_entry(name, modality, "")
    folder = places.model_folder(entry.name, settings)
    told = folder / places.REVISION_FILE
    if told.is_file():
        return replace(entry, revision=told.read_text("utf-8").strip())
    if places.in_folder(entry, settings):
        hashes = "".join(content_sha256(folder / file) for file in sorted(_shaping_files(folder)))
        return replace(entry, revision="local-" + content_sha256(hashes.encode())[:12])
    return replace(entry, revision=_commit_of(entry.name, settings))


def _commit_of(name: str, settings: Settings) -> str:
    """The commit that the hub's main branch stands at; ModelUnavailable where the hub does not say."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    if problem := places.hub_problem(name, "main", settings.hub_timeout_sec):
        raise ModelUnavailable(f"{name} is not locked, and {problem}.")
    try:
        sha = HfApi(endpoint=places.hub_endpoint()).model_info(name, timeout=settings.hub_timeout_sec).sha
    except (OSError, HFValidationError) as error:
        raise ModelUnavailable(f"{name} is not locked, and the hub fails: {type(error).__name__}.") from error
    if not sha:
        raise ModelUnavailable(f"{name} is not locked, and the hub names no commit.")
    return str(sha)


def _located(entry: LockEntry, settings: Settings, store: ObjectStore | None) -> ModelRef:
    """Where the files of an entry lie without a download; ModelUnavailable where nowhere."""
    if entry.name == PACKAGED_TEXT_MODEL:
        return ref_of(entry, "package")
    if places.in_folder(entry, settings):
        return ref_of(entry, "folder")
    if places.in_store(entry, store):
        return ref_of(entry, "store")
    if places.in_hub_cache(entry):
        return ref_of(entry, "hub")
    raise ModelUnavailable(f"{entry.name} at {entry.revision} is neither in {settings.model_dir} nor in the store.")


def _shaping_files(folder: Path) -> set[str]:
    """The files that shape vectors: weights, configurations, tokenizers."""
    hidden = {file for file in places.files_below(folder) if file.split("/")[-1].startswith(".")}
    return {file for file in places.files_below(folder) - hidden if file.endswith(_SHAPING_SUFFIXES)}


def _compared(entry: LockEntry, file: str, sha256: str) -> FileRow:
    expected = entry.files.get(file, "")
    if not expected:
        return FileRow(entry.name, file, "locked", sha256)
    if expected == sha256:
        return FileRow(entry.name, file, "kept", sha256)
    return FileRow(entry.name, file, "mismatch", f"locked {expected}, found {sha256}")
