"""Brings a model into memory: finds its files, checks them against the lock, loads them once a process.

Every model is in ``eval`` mode, on the device of the settings, float32 unless its name says otherwise. Weights that the
store holds are copied to ``$XDG_CACHE_HOME/clipfarm/models`` first, unless the store is a local folder, which is read
where it lies.
"""

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from clipfarm_assets.errors import ConfigurationError, ModelMismatch, ModelUnavailable
from clipfarm_assets.models import places, standin
from clipfarm_assets.models.catalog import packaged_text_folder, remember_real
from clipfarm_assets.models.lock import verify
from clipfarm_assets.models.ref import Modality, ModelRef, Precision
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore, copy_out

_UNUSED_AT_INFERENCE = frozenset({"masked_spec_embed"})  # a training mask that published checkpoints leave out


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory.

    Attributes:
        model: the torch module, in ``eval`` mode, of the reference's precision.
        processor: what turns frames or sound into the model's input; None for text, whose model holds its own.
        device: as torch names it.
        unverified: files that no hash is locked for.
    """

    ref: ModelRef
    model: Any
    processor: Any
    device: str
    unverified: tuple[str, ...] = ()


_loaded: dict[tuple[ModelRef, str, Path], LoadedModel] = {}
_loading = threading.Lock()


def load_video_model(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> LoadedModel:
    """``VideoMAEModel`` with ``VideoMAEImageProcessorPil``, or what ``AutoModel`` makes of another video model.

    Raises:
        ModelUnavailable, ModelMismatch, ConfigurationError, StoreError: as their names say.
    """
    return _once(ref, settings, store)


def load_audio_model(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> LoadedModel:
    """``Wav2Vec2Model`` with ``Wav2Vec2Processor``; with its feature extractor alone where no vocabulary is there.

    Raises:
        ModelUnavailable, ModelMismatch, ConfigurationError, StoreError: as their names say.
    """
    return _once(ref, settings, store)


def load_text_model(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> LoadedModel:
    """``SentenceTransformer``; its processor is None.

    Raises:
        ModelUnavailable, ModelMismatch, ConfigurationError, StoreError: as their names say.
    """
    return _once(ref, settings, store)


def load_speech_model(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> LoadedModel:
    """``WhisperForConditionalGeneration`` with ``WhisperProcessor``.

    Raises:
        ModelUnavailable, ModelMismatch, ConfigurationError, StoreError: as their names say.
    """
    return _once(ref, settings, store)


def weights_folder(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> Path:
    """The folder with a model's files, fetched first where they are in a remote store or at the hub.

    Raises:
        ModelUnavailable: they cannot be had.
    """
    if ref.origin == "folder":
        return places.model_folder(ref.name, settings)
    if ref.origin == "package" and (packaged := packaged_text_folder()) is not None:
        return packaged
    if ref.origin == "store" and store is not None:
        return _from_store(ref, store)
    if ref.origin == "hub":
        return places.in_hub_cache(ref) or fetch_from_hub(ref.name, ref.revision, settings)
    raise ModelUnavailable(f"{ref.name} has no files: its origin is {ref.origin}.")


def fetch_from_hub(name: str, revision: str, settings: Settings, folder: Path | None = None) -> Path:
    """Downloads a model's files; returns their folder, the hub's local cache where None is asked for.

    Raises:
        ModelUnavailable: the hub does not answer (quickly) or breaks off.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled

    if problem := places.hub_problem(name, revision, settings.hub_timeout_sec):
        raise ModelUnavailable(f"{name} cannot be fetched: {problem}.")
    endpoint = places.hub_endpoint()
    try:
        # Unlike a listing of the tree, which is tried again for half a minute, this fails at once.
        told = HfApi(endpoint=endpoint).model_info(name, revision=revision, timeout=settings.hub_timeout_sec)
        patterns = list(places.DOWNLOAD_PATTERNS)
        if not any(file.rfilename.endswith(".safetensors") for file in told.siblings or ()):
            patterns.append("pytorch_model*.bin")
        target = snapshot_download(
            name,
            revision=revision,
            local_dir=folder,
            allow_patterns=patterns,
            endpoint=endpoint,
            etag_timeout=settings.hub_timeout_sec,
        )
    except (OSError, HFValidationError, OfflineModeIsEnabled, _http_error()) as error:
        raise ModelUnavailable(f"{name} could not be fetched from {endpoint}: {type(error).__name__}.") from error
    return Path(target)


def _http_error() -> type[Exception]:
    """The base of what the hub's HTTP client raises, whichever client this version of huggingface_hub has."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")  # type: ignore[return-value]


def device_of(settings: Settings) -> str:
    """The device's name as torch has it; ConfigurationError where it is not there."""
    import torch

    if settings.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(settings.device)
    except RuntimeError as error:
        raise ConfigurationError(f"CLIPFARM_DEVICE: {settings.device!r} is no device.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(f"CLIPFARM_DEVICE: {settings.device} is not on this machine.")
    return settings.device


def _once(ref: ModelRef, settings: Settings, store: ObjectStore | None) -> LoadedModel:
    with _loading:
        key = (ref, device_of(settings), settings.model_dir)
        if key not in _loaded:
            _loaded[key] = _load(ref, settings, store, key[1])
        return _loaded[key]


def _load(ref: ModelRef, settings: Settings, store: ObjectStore | None, device: str) -> LoadedModel:
    if ref.origin == "stand-in":
        model, processor = standin.build_video() if ref.modality == "video" else standin.build_audio()
        return LoadedModel(ref, _ready(model, device, ref.precision), processor, device)
    folder = weights_folder(ref, settings, store)
    unverified = verify(ref, folder)
    try:
        with _quiet():
            model, processor = _LOADERS[ref.modality](ref, folder)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelUnavailable(
            f"{ref.name} cannot be loaded from {folder}: {type(error).__name__}: {str(error)[:300]}.",
            hint="Remove that folder and run `clipfarm models pull`.",
        ) from error
    if ref.modality in ("video", "audio"):
        remember_real(store)
    return LoadedModel(ref, _ready(model, device, ref.precision), processor, device, unverified)


def _ready(model: Any, device: str, precision: Precision) -> Any:
    """The module where it is to infer, and as quick as it can be there. On CUDA weights stay float32."""
    from clipfarm_assets.models.kernels import has_bfloat16, in_bfloat16, with_onednn

    placed = model.to(device).eval()
    if precision == "bfloat16" and not (device.startswith("cuda") or (device == "cpu" and has_bfloat16())):
        raise ConfigurationError(
            f"This machine's {device} does not compute in bfloat16.", hint="Set CLIPFARM_VIDEO_PRECISION=float32."
        )
    if device != "cpu":
        return placed
    return in_bfloat16(placed) if precision == "bfloat16" else with_onednn(placed)


def _video(ref: ModelRef, folder: Path) -> tuple[Any, Any]:
    from transformers import AutoConfig, AutoModel, VideoMAEImageProcessorPil, VideoMAEModel

    if AutoConfig.from_pretrained(folder).model_type == "videomae":
        return _whole(ref, VideoMAEModel, folder), VideoMAEImageProcessorPil.from_pretrained(folder)
    return _whole(ref, AutoModel, folder), _auto_processor(folder)


def _auto_processor(folder: Path) -> Any:
    """The model's own video or image processor; a Pillow one with its numbers where that needs torchvision."""
    from transformers import AutoImageProcessor, AutoVideoProcessor, VideoMAEImageProcessorPil

    for automatic in (AutoVideoProcessor, AutoImageProcessor):
        try:
            return automatic.from_pretrained(folder)  # type: ignore[no-untyped-call]
        except (ImportError, OSError, ValueError):
            continue
    names = ("video_preprocessor_config.json", "preprocessor_config.json")
    name = next((name for name in names if (folder / name).is_file()), None)
    if name is None:
        raise ModelUnavailable(f"{folder} has no preprocessor configuration.")
    return VideoMAEImageProcessorPil.from_pretrained(folder, image_processor_filename=name)


def _audio(ref: ModelRef, folder: Path) -> tuple[Any, Any]:
    from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model, Wav2Vec2Processor

    processor = Wav2Vec2Processor if (folder / "vocab.json").is_file() else Wav2Vec2FeatureExtractor
    return _whole(ref, Wav2Vec2Model, folder), processor.from_pretrained(folder)


def _text(ref: ModelRef, folder: Path) -> tuple[Any, Any]:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True), None


def _speech(ref: ModelRef, folder: Path) -> tuple[Any, Any]:
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    return _whole(ref, WhisperForConditionalGeneration, folder), WhisperProcessor.from_pretrained(folder)


_LOADERS: Mapping[Modality, Callable[[ModelRef, Path], tuple[Any, Any]]] = {
    "video": _video,
    "audio": _audio,
    "text": _text,
    "speech": _speech,
}


def _whole(ref: ModelRef, model_class: Any, folder: Path) -> Any:
    """Loads weights, all of them: transformers fills with random numbers what a file does not hold."""
    import torch

    model, report = model_class.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    missing = sorted({*report["missing_keys"], *map(str, report["mismatched_keys"])} - _UNUSED_AT_INFERENCE)
    if missing:
        raise ModelMismatch(
            f"{ref.name}: the weights in {folder} do not fill {len(missing)} parameters, the first {missing[0]}."
        )
    return model


def _from_store(ref: ModelRef, store: ObjectStore) -> Path:
    if store.root is not None:
        return store.root / places.store_prefix(ref.name, ref.revision)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "clipfarm" / "models"
    folder = cache / ref.name.replace("/", "--") / ref.revision
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    arriving = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".arriving-"))
    try:
        for file, key in places.stored_files(ref.name, ref.revision, store).items():
            (arriving / file).parent.mkdir(parents=True, exist_ok=True)
            if not copy_out(store, key, arriving / file):
                raise ModelUnavailable(f"{key} vanished from the store.")
        arriving.replace(folder)
    except OSError as error:
        if not folder.is_dir():  # else another process was first, with the same files
            raise ModelUnavailable(f"{ref.name} cannot be copied to {folder}: {error.strerror}.") from error
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return folder


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps transformers' progress bars and load reports out of the logs; what matters in them is an error here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
