"""Typed settings, read from the environment and a ``.env`` file when they are used, never at import."""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from clipfarm_assets.errors import ConfigurationError

Profile = Literal["auto", "real", "stand-in"]
FusionStrategy = Literal["concat", "sum_pool", "max_pool"]

_ONE_SLASH = re.compile(r"[a-z][a-z0-9+.-]*:/(?!/)", re.IGNORECASE)


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(BaseSettings):
    """Everything that a deployment can set. Each field is read from ``CLIPFARM_<NAME>`` unless it names another."""

    model_config = SettingsConfigDict(
        env_prefix="CLIPFARM_", env_file=".env", extra="ignore", frozen=True, hide_input_in_errors=True
    )

    metadata: str = Field("data/shorts_metadata_horizon.csv", description="The metadata CSV: a path or an s3:// URL.")
    store: str = Field("data/store", description="The object store: a folder, file:///… or s3://bucket/prefix.")
    db: str = Field(
        "sqlite:///data/clipfarm.db",
        description="Database of Tasks, clips, votes, corrections, deletions and measurements: SQLite or PostgreSQL, "
        "by URL.",
    )
    profile: Profile = Field("auto", description="Which models: real, stand-in, or auto (real where they can be had).")
    model_dir: Path = Field(Path("data/models"), description="Local folder of model weights, one folder a model.")
    video_model: str = Field("MCG-NJU/videomae-base", description="Any transformers video model.")
    audio_model: str = Field("facebook/wav2vec2-base-960h", description="A transformers wav2vec2 model.")
    text_model: str = Field("all-MiniLM-L6-v2", description="A sentence-transformers model.")
    speech_recogniser: Literal["auto", "off", "whisper", "openai"] = Field(
        "auto",
        description="What recognises speech where a video brings no transcript: whisper, openai (sound is sent to the "
        "API), off, or auto: Whisper where its weights lie here already.",
    )
    speech_model: str = Field("openai/whisper-small", description="A Whisper model of transformers.")
    speech_api_model: str = Field(
        "whisper-1", description="A model of OpenAI's transcription API, or a compatible one."
    )
    speech_language: str | None = Field(
        None,
        pattern="^([a-z]{2,3})?$",
        description="What is spoken, such as en; the recogniser finds out where it is empty.",
    )
    speech_overlap_sec: float = Field(5.0, gt=0, lt=15, description="Seconds that two pieces of a long sound share.")
    speech_timeout_sec: float = Field(
        300.0, gt=0, description="How long one answer of the transcription API is waited for."
    )
    video_precision: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="What a CPU computes the video model in. bfloat16 is quicker where the processor has it, of a "
        "slightly different result: another model, by name, whose vectors are made anew.",
    )
    pooling: Literal["first_token", "mean"] = Field(
        "first_token", description="How the video model's states become one vector."
    )
    num_frames: int = Field(16, ge=1, le=256, description="Frames sampled from a video.")
    max_audio_seconds: float = Field(90.0, gt=0, description="Seconds of sound that the audio model hears.")
    device: str = Field("auto", pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$", description="auto, cpu, mps, cuda or cuda:N.")
    fusion_strategies: Annotated[tuple[FusionStrategy, ...], NoDecode] = Field(
        ("concat", "sum_pool", "max_pool"), min_length=1, description="Which fused manifests to make, commas between."
    )
    executor: Literal["in_process", "multiprocess"] = Field(
        "in_process", description="How a run's steps execute; one process spares each step its start."
    )
    workers: int = Field(default_factory=usable_cores, ge=1, description="Processes that decode and infer; one a core.")
    worker_memory_bytes: int = Field(
        4 * 1024**3, ge=256 * 1024**2, description="Memory that one of them may take; what asks for more fails alone."
    )
    video_timeout_sec: float = Field(
        600.0,
        gt=0,
        description="Longest work on one video in one stage; four seconds more for each of its own, and its download.",
    )
    chunk_size: int = Field(200, ge=1, le=10_000, description="Videos in one run.")
    max_chunks_per_tick: int = Field(20, ge=1, description="Runs requested by one tick of the sensor.")
    run_timeout_sec: float = Field(
        21_600.0, gt=0, description="A run that takes longer hangs: it is killed, and its videos are taken up again."
    )
    max_tries: int = Field(3, ge=1, description="Tries of a video and stage before it is fail_exhausted.")
    retry_pause_sec: float = Field(
        60.0, ge=0, description="Pause before the second try; each later one is five times longer."
    )
    fan_in_quiet_sec: float = Field(30.0, ge=0, description="Quiet seconds before the manifests are made again.")
    file_check_sec: float = Field(
        60.0, ge=0, description="How often local media and sidecars are looked at for changes."
    )
    max_download_bytes: int = Field(4 * 1024**3, gt=0, description="Largest file that is fetched.")
    max_frame_pixels: int = Field(8192 * 4320, gt=0, description="Largest picture that is decoded, width times height.")
    max_video_sec: float = Field(6 * 3600.0, gt=0, description="Longest video, and longest sound, in seconds.")
    max_video_frames: int = Field(1_000_000, gt=0, description="Most pictures in a video.")
    max_streams: int = Field(100, gt=0, description="Most streams in a file.")
    download_timeout_sec: float = Field(60.0, gt=0, description="Longest silence of a source.")
    download_limit_sec: float = Field(3600.0, gt=0, description="Longest time for one download.")
    allow_private_addresses: bool = Field(False, description="Fetch from loopback and private networks too.")
    store_timeout_sec: float = Field(
        20.0, gt=0, description="Longest silence of S3; a failing request is tried again for twice as long."
    )
    hub_timeout_sec: float = Field(3.0, gt=0, description="How long the model hub is waited for.")

    llm_model: str | None = Field(
        None, description="Language model that describes and labels, by name; nothing is sent where it is empty."
    )
    llm_timeout_sec: float = Field(60.0, gt=0, description="How long one answer of the language model is waited for.")
    llm_retries: int = Field(3, ge=0, description="Further tries where the API asks to wait or is in trouble.")
    llm_prices_usd: tuple[float, float] | None = Field(
        None, description="Price of a million tokens in and out, such as [0.25, 2]; costs are unknown without it."
    )
    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="Key of the OpenAI API or a compatible one."
    )
    openai_base_url: str | None = Field(
        None, validation_alias="OPENAI_BASE_URL", description="Address of a compatible API."
    )

    default_clips: bool = Field(True, description="Whether every video gets a batch of clips by itself.")

    http_token: SecretStr | None = Field(
        None, description="Token that callers of the HTTP API must send; none is asked for where it is empty."
    )
    http_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Origins whose pages may call the HTTP API (CORS), such as https://clips.example; commas between.",
    )
    dagster_url: str = Field(
        "http://127.0.0.1:3000", description="Dagster's web server: it starts the runs that the HTTP API asks for."
    )
    dagster_header: SecretStr | None = Field(
        None, description="A header that a proxy before Dagster's web server wants, such as `Authorization: Bearer …`."
    )

    video_segment_clustering_enabled: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",),
        description="Teams whose segments become Tasks, commas between; * for all.",
    )
    segment_imports: Path = Field(
        Path("data/segments"), description="Folder of described segments from elsewhere, CSV or Parquet."
    )
    clustering_interval_minutes: int = Field(
        30, ge=1, validation_alias="CLUSTERING_INTERVAL",
        description="Minutes between two runs of a team: a divisor of 60, or whole hours that divide a day.",
    )  # fmt: skip
    min_cluster_size: int = Field(
        2, ge=2, validation_alias="MIN_CLUSTER_SIZE", description="Segments that make a cluster."
    )
    task_match_threshold: float = Field(
        0.3,
        gt=0,
        le=2,
        validation_alias="TASK_MATCH_THRESHOLD",
        description="Cosine distance within which one belongs (strict).",
    )
    high_impact_noise_threshold: float = Field(
        0.3,
        ge=0,
        validation_alias="HIGH_IMPACT_NOISE_THRESHOLD",
        description="Impact above which a segment alone is a Task.",
    )
    pca_components: int = Field(
        100, ge=1, validation_alias="PCA_COMPONENTS", description="Dimensions in which clusters are sought."
    )
    recency_half_life_days: float = Field(
        7.0, gt=0, validation_alias="RECENCY_HALF_LIFE_DAYS", description="Days after which recency counts half."
    )
    priority_formula: Literal["severity", "additive"] = Field(
        "severity", description="How users, impact and recency become a Task's priority."
    )

    embedding_enabled: bool = Field(
        False, validation_alias="EMBEDDING_ENABLED",
        description="Whether the texts of discovery vectors may be sent to an API; a local model asks nobody.",
    )  # fmt: skip
    embedding_provider: Literal["sentence-transformers", "openai"] = Field(
        "sentence-transformers", validation_alias="EMBEDDING_PROVIDER", description="What makes discovery vectors."
    )
    embedding_model: str = Field(
        "all-MiniLM-L6-v2", validation_alias="EMBEDDING_MODEL", description="The model of discovery vectors, by name."
    )
    embedding_dimensions: int = Field(
        768, ge=1, le=8192, validation_alias="EMBEDDING_DIMENSIONS",
        description="Length that an API is asked for; a local model has its own.",
    )  # fmt: skip
    embedding_requests_per_minute: int = Field(
        500, ge=1, validation_alias="EMBEDDING_REQUESTS_PER_MINUTE",
        description="Requests that the embedding API allows, for all processes of this machine together.",
    )  # fmt: skip
    embedding_price_usd: float | None = Field(
        None, ge=0, validation_alias="EMBEDDING_PRICE_USD",
        description="Price of a million tokens; without it a dry run names no cost.",
    )  # fmt: skip
    embedding_folder: Path = Field(
        Path("data/text_vectors"), validation_alias="EMBEDDING_FOLDER",
        description="Local folder of the cache of vectors, and of what keeps processes below an API's limit.",
    )  # fmt: skip
    embedding_redis_url: SecretStr | None = Field(
        None, validation_alias="EMBEDDING_REDIS_URL",
        description="Redis that keeps vectors of texts for several machines, instead of a file in EMBEDDING_FOLDER.",
    )  # fmt: skip
    search_judgments: Path | None = Field(
        None, description="File that judges answers of the search: CSV or JSON of query, item and relevance (0 to 4)."
    )
    twitch_client_id: str | None = Field(
        None,
        validation_alias="TWITCH_CLIENT_ID",
        description="Of a Twitch application; with its secret it fills games.",
    )
    twitch_client_secret: SecretStr | None = Field(
        None, validation_alias="TWITCH_CLIENT_SECRET", description="Of the same application."
    )
    twitch_api_url: str = Field(
        "https://api.twitch.tv/helix", validation_alias="TWITCH_API_URL", description="Address of the Helix API."
    )
    twitch_token_url: str = Field(
        "https://id.twitch.tv/oauth2/token",
        validation_alias="TWITCH_TOKEN_URL",
        description="Where its token is given.",
    )

    @field_validator("fusion_strategies", "http_origins", "video_segment_clustering_enabled", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",")) if value.strip() else ()

    @field_validator("fusion_strategies")
    @classmethod
    def _once_each(cls, value: tuple[FusionStrategy, ...]) -> tuple[FusionStrategy, ...]:
        return tuple(dict.fromkeys(value))

    @field_validator("dagster_header")
    @classmethod
    def _name_and_value(cls, value: SecretStr | None) -> SecretStr | None:
        name, _, content = value.get_secret_value().partition(":") if value else ("", "", "")
        if value is not None and not (name.strip() and content.strip()):
            raise ValueError("must be a name, a colon and a value")
        return value

    @field_validator("clustering_interval_minutes")
    @classmethod
    def _of_the_clock(cls, value: int) -> int:
        if 60 % value and (value % 60 or 1440 % value):
            raise ValueError("must divide 60, or be whole hours that divide a day, such as 15, 30, 60 or 120")
        return value

    @field_validator("store")
    @classmethod
    def _store_place(cls, value: str) -> str:
        return _place(value, "a folder, file:///… or s3://bucket/prefix")

    @field_validator("metadata")
    @classmethod
    def _metadata_place(cls, value: str) -> str:
        value = _place(value, "a path, file:///… or s3://bucket/file.csv")
        return unquote(urlsplit(value).path) if value.startswith("file://") else value

    @cached_property
    def store_url(self) -> str:
        """The store as a URL; a relative folder is taken from the current directory."""
        return self.store if "://" in self.store else Path(self.store).absolute().as_uri()


def _place(value: str, allowed: str) -> str:
    """A path with its ``~`` expanded, or a file:/// or s3:// URL as it is; ValueError for anything else."""
    value = value.strip()
    if not value or _ONE_SLASH.match(value):
        raise ValueError(f"must be {allowed}" + (", with two slashes after the colon" if value else ", not empty"))
    scheme, separator, rest = value.partition("://")
    if not separator:
        try:
            return str(Path(value).expanduser())
        except RuntimeError:
            raise ValueError("has a ~ whose home folder is not known") from None
    if scheme not in {"file", "s3"} or not rest:
        raise ValueError(f"must be {allowed}")
    if scheme == "file" and not rest.startswith("/"):
        raise ValueError("names a host: write file:///… with three slashes and the whole path")
    return value


def load_settings(**overrides: object) -> Settings:
    """Settings of this process's environment; a wrong value is a ``ConfigurationError`` that names the variable."""
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(f"{_named(str(e['loc'][0]))}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(
            f"Wrong configuration. {problems}.", hint="`clipfarm config` lists every setting."
        ) from None


def setting_variable(field: str) -> str:
    """The environment variable that a field of ``Settings`` is read from."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"CLIPFARM_{field.upper()}"


def _named(location: str) -> str:
    """A validation error names the field, or its variable where that is another."""
    return setting_variable(location) if location in Settings.model_fields else location
