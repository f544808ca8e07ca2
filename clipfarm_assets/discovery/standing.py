"""What there is to be found, and what of it the index finds, by words and by meaning."""

from collections.abc import Collection
from dataclasses import dataclass, field

from sqlalchemy import select

from clipfarm_assets.database.clip_tables import Clip, ClipBatch
from clipfarm_assets.discovery.room import Discovery
from clipfarm_assets.discovery.whole import read_documents
from clipfarm_assets.search.documents import KINDS, Kind, discovery_text, item_key
from clipfarm_assets.search.index import Indexed

_NOT_INDEXED = Indexed("", 0, False)


@dataclass
class Standing:
    """Of one kind of item: how many there are, and how many of them are found.

    Attributes:
        silent: items that say nothing, and so never have a vector.
        missing: keys of the items that are not in the index, or lack a vector that they should have.
    """

    items: int = 0
    indexed: int = 0
    with_vector: int = 0
    silent: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def share(self) -> float:
        """The share of the items of which nothing is missing; 1 where there are none."""
        return 1.0 - len(self.missing) / self.items if self.items else 1.0


def standing(room: Discovery, video_ids: Collection[str], *, with_vectors: bool) -> dict[Kind, Standing]:
    """How the index stands to all that is not removed.

    Args:
        video_ids: the videos that are not removed; their clips belong to them.
        with_vectors: False where a setting turns vectors off, so that none is missing.

    Raises:
        SearchError: there is no index, or it does not answer.
    """
    there = room.index.indexed()
    silent = {row.document.key for row in read_documents(room.store) if not discovery_text(row.document)}
    found: dict[Kind, Standing] = {kind: Standing() for kind in KINDS}
    for kind, key in _items(room, video_ids):
        of_kind, entry = found[kind], there.get(key, _NOT_INDEXED)
        of_kind.items += 1
        of_kind.indexed += key in there
        of_kind.with_vector += entry.with_vector
        of_kind.silent += key in silent
        if key not in there or (with_vectors and not entry.with_vector and key not in silent):
            of_kind.missing.append(key)
    return found


def _items(room: Discovery, video_ids: Collection[str]) -> list[tuple[Kind, str]]:
    made = set(video_ids)
    query = select(Clip.id, ClipBatch.video_source_id).join(ClipBatch, Clip.clip_batch_id == ClipBatch.id)
    with room.database.read() as session:
        clips = [item_key("clip", clip_id) for clip_id, video_id in session.execute(query) if video_id in made]
    videos = [item_key("video", video_id) for video_id in sorted(made)]
    return [*(("video", key) for key in videos), *(("clip", key) for key in sorted(clips))]
