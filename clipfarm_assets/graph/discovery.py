"""Discovery, a video at a time: what of it is searched, and the vector of that."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from urllib.parse import urlsplit

import dagster as dg

from clipfarm_assets.discovery.items import ENRICHED, edited, from_json, row_document, to_json, written_of
from clipfarm_assets.discovery.vectors import vector_key
from clipfarm_assets.enrichment.enrich import Enriched, enrich
from clipfarm_assets.errors import MissingRawObject, RateLimited, VideoError
from clipfarm_assets.graph.chunk import run_chunk
from clipfarm_assets.graph.platform import Chunk, Platform, Workshop
from clipfarm_assets.graph.stage import Stage
from clipfarm_assets.graph.videos import VIDEO_ASSET
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.outcomes import Item, Result
from clipfarm_assets.settings import Settings
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made, Versions
from clipfarm_assets.text_provider.interface import Cause, TextFailure

_AT_ONCE = 100  # texts of one request to an embedding API, ids of one to Twitch
_TWITCH = "clips.twitch.tv"


def embedded_by(settings: Settings) -> str:
    """What the discovery vectors of this deployment are signed with."""
    if settings.embedding_provider == "openai" and not settings.embedding_enabled:
        return Status.TURNED_OFF.value
    return f"{settings.embedding_provider}/{settings.embedding_model}"


def enriched_by(settings: Settings) -> str:
    """Where a video's game and people come from."""
    return "twitch" if settings.twitch_client_id and settings.twitch_client_secret else "row"


def _source_versions(settings: Settings, models: ModelSet) -> Versions:
    return Versions("1", enriched_by(settings))


def _vector_versions(settings: Settings, models: ModelSet) -> Versions:
    if settings.embedding_provider == "openai":
        return Versions("1", embedded_by(settings), settings.openai_base_url or "", str(settings.embedding_dimensions))
    own = settings.embedding_model == settings.text_model
    return Versions("1", embedded_by(settings), models.text.revision if own else "")


ENRICHED_METADATA = Stage(
    name="enriched_metadata", artifact=ENRICHED,
    fields=(
        *("url", "title", "description", "tags", "language", "game_id", "game_name", "broadcaster_id"),
        *("broadcaster_name", "creator_id", "creator_name", "channel_id", "channel_title", "published_at"),
        "first_captured_at",
    ),
    upstream=(), code_version="1", model=_source_versions,
)  # fmt: skip
DISCOVERY_EMBEDDING = Stage(
    name="discovery_embedding", artifact=vector_key("video", "{video_id}"), fields=(), upstream=(ENRICHED_METADATA,),
    code_version="1", model=_vector_versions,
)  # fmt: skip


@dg.asset(
    **VIDEO_ASSET, group_name="discovery", kinds={"json"}, code_version=ENRICHED_METADATA.code_version,
    deps=["video_metadata"],
)  # fmt: skip
def enriched_metadata(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """What of each video is searched: `clipfarm/enriched/<video_id>.json`.

    From the row; where `TWITCH_CLIENT_ID` and `TWITCH_CLIENT_SECRET` are set, Twitch fills what the row leaves empty.
    A video without tags gets its game and its channel as tags.
    """
    shop = platform.open()
    run_chunk(context, ENRICHED_METADATA, shop, chunk, lambda items: enrich_videos(items, shop))


@dg.asset(
    **VIDEO_ASSET, group_name="discovery", kinds={"numpy"}, code_version=DISCOVERY_EMBEDDING.code_version,
    deps=[enriched_metadata],
)  # fmt: skip
def discovery_embedding(context: dg.AssetExecutionContext, platform: Platform, chunk: Chunk) -> None:
    """One vector of each video's title, people, game, description and tags.

    `clipfarm/embeddings/discovery/video/<video_id>.npy`, by `EMBEDDING_PROVIDER` and `EMBEDDING_MODEL`. The same text
    is embedded once in 30 days.
    """
    shop = platform.open()
    run_chunk(context, DISCOVERY_EMBEDDING, shop, chunk, lambda items: embed_videos(items, shop))


def enrich_videos(items: Iterable[Item], workshop: Workshop) -> Iterator[Result]:
    """The document of each item's row, with what Twitch knows of it.

    Raises:
        ProviderError: Twitch refuses the credentials.
    """
    twitch = workshop.twitch
    for some in _groups(items):
        documents = [row_document(item.video) for item in some]
        clip_ids = {d.key: i for d, item in zip(documents, some, strict=True) if (i := _twitch_clip(item.video))}
        for item, enriched in zip(some, enrich(documents, clip_ids, twitch), strict=True):
            yield item, _enriched(enriched)


def embed_videos(items: Iterable[Item], workshop: Workshop) -> Iterator[Result]:
    """The discovery vector of each item, of its text as persons have edited it.

    Raises:
        ProviderError, ModelError: texts cannot be embedded at all.
    """
    room = workshop.discovery
    with room.database.read() as session:
        written = written_of(session)
    for some in _groups(items):
        contents = [(item, workshop.store.get(ENRICHED_METADATA.key(item.video.video_id))) for item in some]
        for item, content in contents:
            if content is None:
                yield item, MissingRawObject(f"There is no enriched metadata of {item.video.video_id}.")
        there = [(item, edited(from_json(content), written)) for item, content in contents if content is not None]
        made = room.vectors.of_stage([document for _, document in there])
        for (item, _), each in zip(there, made, strict=True):
            yield item, _without_vector(each) if isinstance(each, TextFailure) else each


def _enriched(enriched: Enriched) -> Made:
    status = Status.SUCCESS if enriched.failure is None else Status.NOT_ENRICHED
    return Made(to_json(enriched.document), status, {"source": enriched.source, "failure": enriched.failure})


def _without_vector(failure: TextFailure) -> Made | VideoError:
    if failure.cause is Cause.EMPTY:
        return Made(None, Status.EMPTY_TRANSCRIPT, {"why": failure.what})
    return RateLimited(failure.what) if failure.cause is Cause.RATE_LIMITED else VideoError(failure.what)


def _twitch_clip(video: Video) -> str | None:
    """Twitch's id of the clip behind the row's address; None for what is no clip of Twitch."""
    try:
        parts = urlsplit(video.url)
    except ValueError:
        return None
    names = [name for name in parts.path.split("/") if name]
    if parts.hostname == _TWITCH:
        return names[-1] if names else None
    ours = parts.hostname in ("twitch.tv", "www.twitch.tv", "m.twitch.tv")
    return names[-1] if ours and "clip" in names[:-1] else None


def _groups(items: Iterable[Item]) -> Iterator[Sequence[Item]]:
    waiting = iter(items)
    while some := list(islice(waiting, _AT_ONCE)):
        yield some
