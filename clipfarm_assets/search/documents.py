"""What of a video or a clip is searched, shown and filtered by.

In: a metadata row, what enrichment found, what a person has overridden. Out: a ``Document``. Its text for the
discovery vector and the words for full text both follow from it, so that one fingerprint says whether either changed.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, get_args

from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.search.words import prefixes, spellings, words

Kind = Literal["video", "clip"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Source = Literal["title", "broadcaster", "game", "tag"]

FIELD_WEIGHTS: Mapping[str, int] = {"title": 3, "description": 2, "tags": 2, "broadcaster": 1, "creator": 1, "game": 1}
"""How often a field's words count. A document is searched as one text with its fields repeated so often, which is BM25F
(Robertson, Zaragoza, Taylor 2004): a word's occurrences are weighted first and saturate together afterwards."""

_TAG_SEPARATORS = re.compile(r"[,;|\n]")
_DISCOVERY_SEPARATOR = " · "
_LONGEST_INDEXED = 20_000


@dataclass(frozen=True)
class Document:
    """An item as it is found.

    Attributes:
        tags: as they are shown; compared without regard to case.
        created_at: when it was published, else captured; None where nobody says.
        views: as the newest row counts them.
    """

    kind: Kind
    id: str
    title: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()
    game_id: str = ""
    game: str = ""
    broadcaster_id: str = ""
    broadcaster: str = ""
    creator_id: str = ""
    creator: str = ""
    language: str = ""
    created_at: datetime | None = None
    views: int = 0

    @property
    def key(self) -> str:
        """The item's name everywhere, such as ``video/abc``."""
        return item_key(self.kind, self.id)


def item_key(kind: Kind, item_id: str) -> str:
    """``video/<id>`` or ``clip/<id>``."""
    return f"{kind}/{item_id}"


def of_video(video: Video) -> Document:
    """The document of a metadata row; the channel stands in for a broadcaster that the row does not name."""
    return Document(
        kind="video",
        id=video.video_id,
        title=video.title.strip(),
        description=video.description.strip(),
        tags=read_tags(video.tags),
        game_id=video.game_id,
        game=video.game_name.strip(),
        broadcaster_id=video.broadcaster_id or video.channel_id,
        broadcaster=video.broadcaster_name.strip() or video.channel_title.strip(),
        creator_id=video.creator_id,
        creator=video.creator_name.strip(),
        language=video.language,
        created_at=_moment(video.published_at or video.captured_at),
        views=video.view_count or 0,
    )


def read_tags(text: str) -> tuple[str, ...]:
    """Tags as a row writes them, with commas, semicolons, bars or lines between, or as a JSON list; each once."""
    parts: list[str] = []
    if text.lstrip().startswith("["):
        try:
            listed = json.loads(text)
            parts = [str(each) for each in listed] if isinstance(listed, list) else []
        except ValueError:
            pass
    shown: dict[str, str] = {}
    for tag in parts or _TAG_SEPARATORS.split(text):
        if tag.strip():
            shown.setdefault(tag.strip().casefold(), tag.strip())
    return tuple(shown.values())


def overridden(
    document: Document, title: str | None = None, description: str | None = None, tags: tuple[str, ...] | None = None
) -> Document:
    """The document with what a person has written in place of what its source says; None leaves the source's."""
    changed: dict[str, str | tuple[str, ...]] = {}
    if title is not None:
        changed["title"] = title
    if description is not None:
        changed["description"] = description
    if tags is not None:
        changed["tags"] = tags
    return replace(document, **changed)  # type: ignore[arg-type]


def discovery_text(document: Document) -> str:
    """What the discovery vector is made of; ``""`` where the item says nothing.

    Title, broadcaster, creator (if another), game, description, tags, without the empty ones.
    """
    creator = document.creator if document.creator.casefold() != document.broadcaster.casefold() else ""
    tags = ", ".join(document.tags)
    parts = (document.title, document.broadcaster, creator, document.game, document.description, tags)
    return _DISCOVERY_SEPARATOR.join(part.strip() for part in parts if part.strip())


def search_words(document: Document) -> str:
    """The document as the words that BM25 counts, blanks between; each field as often as it weighs."""
    return " ".join(word for text, weight in _weighted(document) for word in words(text) * weight)


def spelled_words(document: Document) -> str:
    """The document's different words as they are spelled, blanks between: what typing errors are forgiven by.

    Stems are too far apart: Valorant's is ``valor``, that of Valoratn is ``valoratn``.
    """
    return " ".join(spellings("\n".join(text for text, _ in _weighted(document))))


def suggested_texts(document: Document) -> list[tuple[Source, str]]:
    """What may be suggested because of this document: its title, broadcaster, game and tags."""
    texts: list[tuple[Source, str]] = [("title", document.title), ("broadcaster", document.broadcaster)]
    texts += [("game", document.game), *(("tag", tag) for tag in document.tags)]
    return [(source, text) for source, text in texts if text.strip()]


def prefix_words(document: Document) -> str:
    """The beginnings of all words that suggestions are found by, blanks between."""
    return " ".join(prefixes(text[:1000] for _, text in suggested_texts(document)))


def fingerprint(document: Document) -> str:
    """SHA-256 of everything that shapes the index entry or the vector; views are left out."""
    shaping = [str(getattr(document, name)) for name in Document.__dataclass_fields__ if name != "views"]
    return hashlib.sha256(json.dumps(shaping).encode("utf-8", "surrogatepass")).hexdigest()


def _weighted(document: Document) -> Iterator[tuple[str, int]]:
    for field, weight in FIELD_WEIGHTS.items():
        value = getattr(document, field)
        text = "\n".join(value) if isinstance(value, tuple) else value
        yield text[:_LONGEST_INDEXED], weight


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
