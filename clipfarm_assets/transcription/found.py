"""Which recogniser this deployment has.

``find_recogniser`` decides quickly, without torch: OpenAI's API where it is asked for, else Whisper where this
deployment has it, else None. There are no stand-in transcripts: without a recogniser a video that brings no transcript
has an empty one, and is due again when a recogniser appears.
"""

from dataclasses import dataclass

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.measures import Measures
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.models.ref import ModelRef
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.transcription.api import ApiRecogniser
from clipfarm_assets.transcription.recogniser import Recogniser, TranscriptionSettings
from clipfarm_assets.transcription.whisper import WhisperRecogniser


def transcription_settings(settings: Settings) -> TranscriptionSettings:
    """As the deployment has them."""
    return TranscriptionSettings(
        language=settings.speech_language or None,
        overlap_sec=settings.speech_overlap_sec,
        api_timeout_sec=settings.speech_timeout_sec,
    )


@dataclass(frozen=True)
class WhisperFound:
    """Whisper's weights can be had; ``open_recogniser`` loads them."""

    ref: ModelRef

    @property
    def name(self) -> str:
        return self.ref.name

    @property
    def revision(self) -> str:
        return self.ref.revision

    @property
    def identity(self) -> str:
        """What transcripts are signed with."""
        return f"{self.ref.name}@{self.ref.revision[:12]}"


@dataclass(frozen=True)
class ApiFound:
    """OpenAI's API, or a compatible one, is asked for, by the name of a model. An API tells no revision of it."""

    name: str
    revision: str = ""

    @property
    def identity(self) -> str:
        """What transcripts are signed with."""
        return self.name


Found = WhisperFound | ApiFound


def find_recogniser(settings: Settings, models: ModelSet) -> Found | None:
    """Which recogniser there is; ``models.reasons`` tell why.

    Raises:
        ConfigurationError: the API is asked for, and there is neither a key nor another address than OpenAI's.
    """
    if settings.speech_recogniser != "openai":
        return None if models.speech is None else WhisperFound(models.speech)
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else ""
    if not key and not settings.openai_base_url:
        raise ConfigurationError(
            "CLIPFARM_SPEECH_RECOGNISER is openai, and there is no key.",
            hint="Set OPENAI_API_KEY, or OPENAI_BASE_URL of a server that needs none; or choose another recogniser.",
        )
    return ApiFound(settings.speech_api_model)


def open_recogniser(
    found: Found,
    options: TranscriptionSettings,
    settings: Settings,
    store: ObjectStore | None,
    measures: Measures | None = None,
) -> Recogniser:
    """The recogniser itself; a model is loaded once a process. ``measures`` are told what an API is asked.

    Raises:
        ModelUnavailable, ModelMismatch, ConfigurationError, StoreError: as their names say.
    """
    if isinstance(found, ApiFound):
        return ApiRecogniser(found.name, options, settings, measures)
    return WhisperRecogniser(found.ref, found.identity, options, settings, store)
