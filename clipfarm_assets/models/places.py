"""Where a model's weights can lie: the model folder, the store, the hub's cache, the hub.

Nothing here imports torch or transformers. A model folder is ``<CLIPFARM_MODEL_DIR>/<name with / replaced by -->``;
in the store the files lie below ``clipfarm/models/<name>/<revision>/``.
"""

import os
import threading
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from clipfarm_assets.models.lock import LockEntry
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore

Model = LockEntry | ModelRef

DOWNLOAD_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.model")
WEIGHT_FILES = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
PREPROCESSOR_FILES = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
REVISION_FILE = ".revision"
_REFUSALS_OF_THE_FILE = range(400, 500)


def model_folder(name: str, settings: Settings) -> Path:
    """The local folder of a model, such as ``data/models/MCG-NJU--videomae-base``; it may not exist."""
    return settings.model_dir / name.replace("/", "--")


def store_prefix(name: str, revision: str) -> str:
    """Where the store keeps a model's files, with a slash at the end."""
    return f"clipfarm/models/{name}/{revision}/"


def complete(names: Collection[str], model: Model) -> bool:
    """Whether files of these names make the model.

    That is a configuration, weights, what video and audio are preprocessed by, and every file with a locked hash.
    """
    hashed = {file for file, sha256 in model.files.items() if sha256}
    needed = [("config.json",), WEIGHT_FILES] + ([] if model.modality == "text" else [PREPROCESSOR_FILES])
    return all(any(file in names for file in files) for files in needed) and hashed <= set(names)


def in_folder(entry: LockEntry, settings: Settings) -> bool:
    """Whether the model folder holds the locked revision.

    A folder that `clipfarm models pull` filled tells its revision; one that a person filled is taken at its word, and
    the hashes of the lock decide at load.
    """
    folder = model_folder(entry.name, settings)
    told = folder / REVISION_FILE
    if told.is_file() and told.read_text("utf-8").strip() != entry.revision:
        return False
    return complete(files_below(folder), entry)


def in_store(entry: LockEntry, store: ObjectStore | None) -> bool:
    """Whether the store holds the locked revision."""
    return store is not None and complete(list(stored_files(entry.name, entry.revision, store)), entry)


def stored_files(name: str, revision: str, store: ObjectStore) -> dict[str, str]:
    """Store keys of a model's files, by file name."""
    prefix = store_prefix(name, revision)
    return {info.key.removeprefix(prefix): info.key for info in store.list(prefix)}


def in_hub_cache(model: Model) -> Path | None:
    """The folder of a model's revision in the hub's local cache, where all of it lies there; else None."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(model.name, "config.json", revision=model.revision)
    if isinstance(config, str) and complete(files_below(Path(config).parent), model):
        return Path(config).parent
    return None


def files_below(folder: Path) -> set[str]:
    """Names of the files in a folder and its subfolders, relative and with slashes; empty where it is absent."""
    paths: Iterable[Path] = folder.rglob("*") if folder.is_dir() else ()
    return {str(PurePosixPath(path.relative_to(folder))) for path in paths if path.is_file()}


class _HubAnswers:
    """What the hub said, asked at most once a process for each model and once where it gives no answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._problems: dict[tuple[str, str, str], str | None] = {}
        self._silent: dict[str, str] = {}

    def problem(self, name: str, revision: str, timeout_sec: float) -> str | None:
        """Why the hub does not give the model, or None where it answers for it."""
        endpoint = hub_endpoint()
        if _offline():
            return "the hub is switched off (HF_HUB_OFFLINE)"
        with self._lock:
            if endpoint in self._silent:
                return self._silent[endpoint]
            asked = (endpoint, name, revision)
            if asked not in self._problems:
                status, problem = _ask(f"{endpoint}/{name}/resolve/{revision}/config.json", timeout_sec)
                if problem and status not in _REFUSALS_OF_THE_FILE:
                    self._silent[endpoint] = problem
                self._problems[asked] = problem
            return self._problems[asked]

    def forget(self) -> None:
        with self._lock:
            self._problems.clear()
            self._silent.clear()


_answers = _HubAnswers()


def hub_problem(name: str, revision: str, timeout_sec: float) -> str | None:
    """Why the hub does not give a model, in words, or None where it answers for it within ``timeout_sec``."""
    return _answers.problem(name, revision, timeout_sec)


def forget_hub_answers() -> None:
    """Makes this process ask the hub again, as a command that a person runs should."""
    _answers.forget()


def hub_endpoint() -> str:
    """The hub's address: ``HF_ENDPOINT``, else huggingface.co."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"


def _offline() -> bool:
    switches = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return any(value.strip().upper() in {"1", "ON", "YES", "TRUE"} for value in switches)


def _ask(url: str, timeout_sec: float) -> tuple[int, str | None]:
    """HTTP status (0 where there is none) and the problem in words.

    The request runs in a thread of its own: a name server that does not answer holds a request longer than any
    timeout that it is given.
    """
    answer: list[tuple[int, str | None]] = []
    thread = threading.Thread(target=lambda: answer.append(_head(url, timeout_sec)), daemon=True)
    thread.start()
    thread.join(timeout_sec)
    return answer[0] if answer else (0, f"{hub_endpoint()} gives no answer within {timeout_sec:g} s")


def _head(url: str, timeout_sec: float) -> tuple[int, str | None]:
    import requests
    from huggingface_hub import get_token

    token = get_token()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    try:
        response = requests.head(url, headers=headers, timeout=timeout_sec, allow_redirects=False)
    except requests.RequestException as error:
        return 0, f"{hub_endpoint()} cannot be reached ({type(error).__name__})"
    # Only a hub names the commit: the login page of a network that answers for everyone does not.
    if response.status_code < 400 and "x-repo-commit" in response.headers:
        return response.status_code, None
    return response.status_code, f"{hub_endpoint()} answers {response.status_code} for it"
