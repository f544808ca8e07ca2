"""What every asset works with, opened once a process: settings, the store, the models, the metadata."""

import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import dagster as dg
import pyarrow as pa
from dagster_aws.s3 import S3Resource
from pydantic import Field

from clipfarm_assets.attempts import limits_of
from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.database.discovery import deleted_by_people
from clipfarm_assets.database.measurements import add
from clipfarm_assets.database.migrate import migrate
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.embeddings.text import TextEncoder, load_text_encoder
from clipfarm_assets.enrichment.twitch import Twitch, TwitchSettings
from clipfarm_assets.errors import ClipfarmError
from clipfarm_assets.llm.client import Llm, open_llm
from clipfarm_assets.measures import Deltas, Measures
from clipfarm_assets.media.download import FetchOptions
from clipfarm_assets.media.raw import Sources
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.metadata.tables import (
    MetadataTables,
    parquet_key,
    select_videos,
    table_from_parquet,
    tables_from_parquet,
    tables_to_parquet,
    videos_from_table,
    with_removed,
)
from clipfarm_assets.models.catalog import ModelSet, resolve_models
from clipfarm_assets.segments.describe import LocalFlags
from clipfarm_assets.segments.stages import Describing, flagged_by
from clipfarm_assets.settings import Settings, load_settings
from clipfarm_assets.store.access import Access
from clipfarm_assets.store.artifacts import Artifacts
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.text_provider.cache import VectorCache
from clipfarm_assets.text_provider.embedder import Embedder, open_cache, open_embedder, provider_settings
from clipfarm_assets.text_provider.local import LocalProvider
from clipfarm_assets.workers.messages import Limits

_STORE_ID_KEY = "clipfarm/state/store_id.txt"


class Workshop:
    """The open tools of one process; the same for assets, sensors and the command line."""

    def __init__(
        self, settings: Settings, s3: S3Resource | None = None, *, keep_measures: bool = False
    ) -> None:  # fmt: skip
        self.settings = settings
        self.measures = Measures(self._keep if keep_measures else None)
        self._s3 = s3 or S3Resource()
        self._read: tuple[str | None, pa.Table] | None = None

    @cached_property
    def store(self) -> ObjectStore:
        return self.open_store(self.settings.store_url)

    @cached_property
    def access(self) -> Access:
        """How this deployment reaches its stores."""
        s3, settings = self._s3, self.settings
        account = {
            "aws_access_key_id": s3.aws_access_key_id,
            "aws_secret_access_key": s3.aws_secret_access_key,
            "aws_session_token": s3.aws_session_token,
            "region_name": s3.region_name,
            "profile_name": s3.profile_name,
        }
        places = {"CLIPFARM_STORE": settings.store_url, "CLIPFARM_METADATA": settings.metadata}
        return Access(account, s3.endpoint_url, places, settings.store_timeout_sec)

    def open_store(self, url: str) -> ObjectStore:
        """A store by URL, with this deployment's credentials."""
        return self.access.open_store(url)

    @cached_property
    def store_id(self) -> str:
        """What tells this store from another: a copy is the same store, an emptied one is another."""
        if (found := self.store.get(_STORE_ID_KEY)) is None:
            self.store.put(_STORE_ID_KEY, uuid.uuid4().hex.encode())
            found = self.store.get(_STORE_ID_KEY) or b""
        return found.decode()

    @cached_property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.store)

    @cached_property
    def models(self) -> ModelSet:
        return resolve_models(self.settings, self.store)

    @cached_property
    def database(self) -> Database:
        """The database of `CLIPFARM_DB`, its tables as this version needs them."""
        opened = open_database(self.settings.db)
        migrate(opened)
        return opened

    @cached_property
    def llm(self) -> Llm | None:
        """The language model; None where `CLIPFARM_LLM_MODEL` names none."""
        return open_llm(self.settings, self.measures)

    @cached_property
    def text_encoder(self) -> TextEncoder:
        return load_text_encoder(self.models.text, self.settings, self.store)

    @cached_property
    def discovery(self) -> Discovery:
        """Search, its documents and its vectors."""
        return Discovery(self.store, self.database, self._videos_if_any, self._open_embedder, self._text_cache)

    @property
    def twitch(self) -> Twitch | None:
        """Twitch's API; None where no credentials are set."""
        settings = self.settings
        if not settings.twitch_client_id or settings.twitch_client_secret is None:
            return None
        return Twitch(
            TwitchSettings(
                settings.twitch_client_id, settings.twitch_client_secret, settings.twitch_api_url,
                settings.twitch_token_url, folder=settings.embedding_folder,
            ),
            measures=self.measures,
        )  # fmt: skip

    def _open_embedder(self) -> Embedder | None:
        """What embeds texts for discovery; None for an API that may not be asked."""
        provider = provider_settings(self.settings)
        if provider.provider == "openai" and not self.settings.embedding_enabled:
            return None
        if provider.provider == "sentence-transformers" and provider.model == self.settings.text_model:
            return Embedder(LocalProvider(self.text_encoder), self._text_cache(), provider, self.measures)
        return open_embedder(provider, self.settings, self.store, self.measures)

    def _keep(self, deltas: Deltas) -> None:
        with self.database.write() as session:
            add(session, deltas, datetime.now(UTC))

    def _text_cache(self) -> VectorCache:
        return open_cache(provider_settings(self.settings))

    def _videos_if_any(self, video_ids: Collection[str]) -> dict[str, Video]:
        return self.videos(list(video_ids)) if self.videos_etag() else {}

    @cached_property
    def describing(self) -> Describing:
        """What describes segments: the language model where there is one, and the reader of flags."""
        local = LocalFlags(flagged_by(self.models.text), self.text_encoder.embed_sentences)
        return Describing(self.store, local, self.llm)

    @cached_property
    def sources(self) -> Sources:
        """Where videos come from: relative names start from the metadata's folder."""
        settings = self.settings
        options = FetchOptions(
            base_folder=self.base_folder,
            max_bytes=settings.max_download_bytes,
            timeout_sec=settings.download_timeout_sec,
            deadline_sec=settings.download_limit_sec,
            allow_private=settings.allow_private_addresses,
            open_store=self.access.open_store,
        )
        return Sources(self.store, options)

    @property
    def limits(self) -> Limits:
        """How much the workers of a stage may take."""
        return limits_of(self.settings)

    @property
    def base_folder(self) -> Path:
        """The folder that relative names in the CSV start from: its own."""
        source = self.settings.metadata
        return Path(source).absolute().parent if "://" not in source else Path.cwd()

    def tables(self) -> MetadataTables | None:
        """The tables that `video_metadata` last wrote, if it has."""
        keys = [parquet_key(name) for name in ("videos", "snapshots", "quarantine")]
        found = {key: self.store.get(key) for key in keys}
        contents = {key: content for key, content in found.items() if content is not None}
        return tables_from_parquet(contents) if len(contents) == len(keys) else None

    def save_tables(self, tables: MetadataTables) -> None:
        """Replaces the tables; `videos` last, since the others only explain it."""
        for key, content in sorted(tables_to_parquet(tables).items()):
            self.store.put(key, content)

    def metadata(self) -> MetadataTables:
        """The tables that `video_metadata` last wrote; an error that says what to do where it has not.

        A video that a person has deleted is marked as removed in them, whatever the CSV says.
        """
        tables = self.tables()
        if tables is None:
            raise _no_metadata()
        return replace(tables, videos=with_removed(tables.videos, self._deleted()))

    def videos_etag(self) -> str | None:
        """What tells the `videos` table from one written later, deletions included; None where there is none."""
        info = self.store.head(parquet_key("videos"))
        return f"{info.etag} {info.size} {info.modified.isoformat()} {len(self._deleted())}" if info else None

    def videos_table(self) -> pa.Table:
        """The table of the latest rows alone, read once for all who find the same one.

        Raises:
            ClipfarmError: there is none, and what to do.
        """
        etag = self.videos_etag()
        if self._read is None or self._read[0] != etag:
            content = self.store.get(parquet_key("videos"))
            if content is None:
                raise _no_metadata()
            self._read = (etag, with_removed(table_from_parquet("videos", content), self._deleted()))
        return self._read[1]

    def _deleted(self) -> set[str]:
        """Videos that a person has deleted; a deletion is never undone, so their number says which."""
        with self.database.read() as session:
            return deleted_by_people(session, "video")

    def videos(self, video_ids: list[str]) -> dict[str, Video]:
        """The latest metadata row of each of the videos that has one."""
        return {video.video_id: video for video in videos_from_table(select_videos(self.videos_table(), video_ids))}


def _no_metadata() -> ClipfarmError:
    return ClipfarmError(
        "There is no metadata in the store yet.", hint="Run `clipfarm run`, or materialize video_metadata."
    )


class Platform(dg.ConfigurableResource[Workshop]):
    """Settings from the environment, S3 credentials from `S3Resource`."""

    s3: dg.ResourceDependency[S3Resource]

    @cached_property
    def _workshop(self) -> Workshop:
        return Workshop(load_settings(), self.s3, keep_measures=True)

    def open(self) -> Workshop:
        return self._workshop


class Chunk(dg.ConfigurableResource[None]):
    """Which videos a run handles, where its partitions do not say so.

    Partition keys of a run are one key or one contiguous range; a scattered set stands here.
    """

    videos: list[str] = Field(default_factory=list, description="Video ids.")
    force: bool = Field(False, description="Make again what is current.")
