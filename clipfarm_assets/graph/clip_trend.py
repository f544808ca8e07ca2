"""The trend of a video, out of the metadata's snapshots and the fused vectors as they are when it is asked for."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from clipfarm_assets.clips.local_score import Judged
from clipfarm_assets.clips.trend import NO_VECTOR_YET, KnownViews, Views, judge_trend
from clipfarm_assets.fusion.fused_manifest import fused_key, read_fused
from clipfarm_assets.fusion.parts import PartUnreadable
from clipfarm_assets.fusion.vectors import read_vectors
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.metadata.rows import Video
from clipfarm_assets.metadata.tables import parquet_key, table_from_parquet

_NEAREST = 20
_LATEST = 20_000  # videos that are compared: 120 MB of vectors
_COLUMNS = ("video_id", "captured_at", "published_at", "view_count", "horizon_days", "horizon_view_count")


class Trends:
    """For the time of one run; reads nothing before it is asked."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def of(self, video: Video) -> Judged:
        """The trend of a video; unknown, with a reason, where its neighbours are not known."""
        published_at = datetime.fromisoformat(video.published_at) if video.published_at else None
        if published_at is None:
            return judge_trend(video.video_id, None, (), KnownViews({}))
        if video.video_id not in self._latest:
            return Judged.unknown(f"The video is not among the {_LATEST} most recent ones, which are compared.")
        try:
            ids, vectors = self._vectors
        except PartUnreadable:
            return NO_VECTOR_YET  # the fused manifest says what is wrong, and its next build heals it
        if video.video_id not in ids:
            return NO_VECTOR_YET
        near = vectors @ vectors[ids[video.video_id]]
        best = np.argsort(-near)[: _NEAREST + 1]
        names = list(ids)
        return judge_trend(video.video_id, published_at, [(names[n], float(near[n])) for n in best], self._views)

    @cached_property
    def _latest(self) -> Mapping[str, None]:
        """The videos that are compared, in order."""
        videos = self._workshop.videos_table().select(["video_id", "published_at"]).sort_by(
            [("published_at", "descending")]
        )  # fmt: skip
        return dict.fromkeys(videos["video_id"].slice(0, _LATEST).to_pylist())

    @cached_property
    def _vectors(self) -> tuple[Mapping[str, int], NDArray[np.float32]]:
        """Place in the matrix by id, and unit vectors: (n, dim)."""
        strategy = self._workshop.settings.fusion_strategies[0]
        ids, vectors = read_vectors(self._workshop.store, strategy, list(self._latest))
        norms = np.linalg.norm(vectors, axis=1, keepdims=True) if len(ids) else np.ones((0, 1), np.float32)
        return {name: place for place, name in enumerate(ids)}, vectors / np.maximum(norms, 1e-12)

    @cached_property
    def _views(self) -> KnownViews:
        content = self._workshop.store.get(parquet_key("snapshots"))
        return KnownViews({} if content is None else views_of(table_from_parquet("snapshots", content)))


def videos_with_vectors(workshop: Workshop) -> set[str]:
    """Those whose trend can be judged now."""
    manifest = read_fused(workshop.store, workshop.settings.fusion_strategies[0], ("video_id", "fused_dim"))
    if manifest is None:
        return set()
    return set(manifest.rows.filter(manifest.rows["fused_dim"].is_valid())["video_id"].to_pylist())


def vectors_etag(workshop: Workshop) -> str | None:
    """What tells the fused vectors from those of another build; None where there are none."""
    info = workshop.store.head(fused_key(workshop.settings.fusion_strategies[0]))
    return info.etag if info else None


def views_of(snapshots: pa.Table) -> dict[str, Views]:
    """The counts of every video in the table of snapshots, horizon counts at their moment among them."""
    rows = snapshots.select(_COLUMNS).filter(pc.is_valid(snapshots["published_at"]))
    counts: dict[str, set[tuple[datetime, int]]] = {}
    published: dict[str, datetime] = {}
    for name, captured, at, count, days, later in zip(*(column.to_pylist() for column in rows.columns), strict=True):
        published[name] = _aware(at)
        of_video = counts.setdefault(name, set())
        if captured is not None and count is not None:
            of_video.add((_aware(captured), count))
        if days is not None and later is not None:
            of_video.add((_aware(at) + timedelta(days=days), later))
    return {name: Views(published[name], tuple(sorted(each))) for name, each in counts.items()}


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
