"""A search over a few videos and clips, with a provider that counts what it is asked."""

from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clipfarm_assets.clips.book import create_batch
from clipfarm_assets.clips.model import BatchConfig
from clipfarm_assets.database.clip_tables import Clip
from clipfarm_assets.database.connect import Database
from clipfarm_assets.database.discovery import deleted_by_people
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.discovery.whole import DOCUMENTS_KEY, Synced, gather, read_documents, sync, to_parquet, to_table
from clipfarm_assets.embeddings.text import TextEncoder, load_text_encoder
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.models.catalog import resolve_models
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets.text_provider.cache import FileCache
from clipfarm_assets.text_provider.embedder import Embedder
from clipfarm_assets.text_provider.interface import Answers, Cause, Identity, ProviderSettings, TextFailure
from clipfarm_assets.text_provider.local import LocalProvider

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CLIP = "5f1c1c0e-3c43-5c56-9d0b-8f5f0c8f9b11"
ROWS = (
    Video("ace", "a.mp4", title="Valorant ace on Haven", game_name="Valorant", game_id="516575", language="en",
          channel_title="Ada", published_at="2026-02-01T00:00:00Z", view_count=10),
    Video("bread", "b.mp4", title="How to bake sourdough at home", language="en", channel_title="Bea",
          published_at="2026-02-02T00:00:00Z", view_count=20),
    Video("hanami", "c.mp4", title="桜の花見", language="ja", published_at="2026-02-03T00:00:00Z", view_count=30),
)  # fmt: skip


def text_encoder() -> TextEncoder:
    """The real text model."""
    settings = Settings(_env_file=None, profile="stand-in", device="cpu")
    return load_text_encoder(resolve_models(settings, None).text, settings, None)


class Counting:
    """A local provider that notes the texts it was asked for, and refuses those that hold ``poison``.

    Attributes:
        key_is_wrong: it refuses whatever it is asked.
    """

    key_is_wrong = False

    def __init__(self, encoder: TextEncoder, model: str = "") -> None:
        self._own = LocalProvider(encoder)
        own = self._own.identity
        self.identity = Identity(own.provider, model or own.model, own.revision, own.dim)
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str], keep: Callable[[Answers], None]) -> Iterator[Answers]:
        self.asked += texts
        if self.key_is_wrong:
            keep([])
            yield [(number, TextFailure(Cause.DENIED, "The key is wrong.")) for number in range(len(texts))]
            return
        for group in self._own.embed(texts, lambda group: None):
            refused = TextFailure(Cause.UNAVAILABLE, "No.")
            answers: Answers = [(n, refused if "poison" in texts[n] else o) for n, o in group]
            keep(answers)
            yield answers


class World:
    """A deployment's search without the graph."""

    def __init__(self, folder: Path, store: ObjectStore, database: Database, encoder: TextEncoder) -> None:
        self.folder, self.store, self.database, self.encoder = folder, store, database, encoder
        self.rows = {video.video_id: video for video in ROWS}
        self.provider = Counting(encoder)
        self.cache = FileCache(folder / "vectors.sqlite")
        self.open()

    def open(self) -> Discovery:
        """The search as another process opens it."""
        self.room = Discovery(self.store, self.database, self.videos, self._embedder, lambda: self.cache)
        return self.room

    def _embedder(self) -> Embedder:
        return Embedder(self.provider, self.cache, ProviderSettings(folder=self.folder))

    def videos(self, video_ids: Collection[str]) -> dict[str, Video]:
        with self.database.read() as session:
            gone = deleted_by_people(session, "video")
        return {v: self.rows[v] for v in video_ids if v in self.rows and v not in gone}

    def video(self, video_id: str) -> Video | None:
        return self.videos([video_id]).get(video_id)

    def add_clip(
        self, video_id: str = "bread", title: str = "The secret of a crisp crust", clip_id: str = CLIP
    ) -> None:
        batch, _ = create_batch(self.database, video_id, BatchConfig(), NOW)
        with self.database.write() as session:
            session.add(
                Clip(
                    id=clip_id,
                    clip_batch_id=batch.id,
                    start_time_sec=0.0,
                    end_time_sec=9.0,
                    duration_sec=9.0,
                    title=title,
                    description="",
                    score_parts={},
                    status="candidate",
                    transcript_preview="",
                    hashtags=[],
                    created_at=NOW,
                    updated_at=NOW,
                )
            )

    def run(self) -> Synced:
        """What the graph's fan-in does."""
        versions = {video_id: video.title for video_id, video in self.rows.items()}
        gathered = gather(self.room, self.videos(self.rows).values(), versions)
        self.store.put(DOCUMENTS_KEY, to_parquet(to_table(gathered.rows)))
        return sync(self.room, read_documents(self.store))

    def rows_of_index(self) -> dict[str, Any]:
        """Version at the write, by key: a row that was written again has another."""
        rows = self.room.index.table().search().select(["key", "written"]).limit(None).to_arrow()
        return dict(zip(rows["key"].to_pylist(), rows["written"].to_pylist(), strict=True))
