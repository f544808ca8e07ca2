"""The metadata of the samples: several observations of each, in the order in which they were made."""

import csv
import io
import math
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from clipfarm_assets.samples.model import Listing, Sample

COLUMNS: Final = (
    "video_id",
    "url",
    "title",
    "description",
    "query",
    "captured_at",
    "published_at",
    "duration_seconds",
    "channel_id",
    "channel_title",
    "language",
    "view_count",
    "like_count",
    "comment_count",
    "horizon_days",
    "horizon_view_count",
    "removed",
    "game_id",
    "game_name",
    "broadcaster_id",
    "broadcaster_name",
    "creator_id",
    "creator_name",
    "tags",
    "team",
    "user_id",
    "transcript_path",
    "video_type",
)
HORIZON_DAYS: Final = 30


def metadata_csv(samples: Sequence[Sample], seconds: Mapping[str, float]) -> str:
    """The CSV's text; ``seconds`` are the lengths by video_id. Paths are relative to the CSV's folder."""
    rows = [row for sample in samples for row in _rows(sample, seconds[sample.video_id])]
    rows.sort(key=lambda row: (row["captured_at"], row["video_id"]))
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def views_after(listing: Listing, days: float) -> int:
    """Views so many days after publication: an exponential that slows down, or an S that starts slowly."""

    def share(at: float) -> float:
        if listing.start == "decay":
            return 1 - math.exp(-at / listing.spread_days)
        middle = 1.2 * listing.spread_days
        return 1 / (1 + math.exp(-(at - middle) / (0.3 * listing.spread_days))) - 1 / (1 + math.exp(4))

    return round(listing.views * share(days) / share(HORIZON_DAYS))


def _rows(sample: Sample, seconds: float) -> list[dict[str, str | int | float]]:
    listing = sample.listing
    published = datetime.fromisoformat(listing.published_at)
    fixed: dict[str, str | int | float] = {
        "video_id": sample.video_id,
        "url": f"samples/{sample.video_id}.mp4",
        "title": listing.title,
        "description": listing.description,
        "query": listing.query,
        "published_at": listing.published_at,
        "duration_seconds": round(seconds, 3),
        "channel_id": _id("ch", listing.channel),
        "channel_title": listing.channel,
        "language": "en",
        "horizon_days": HORIZON_DAYS,
        "removed": "false",
        "game_id": _id("game", listing.game),
        "game_name": listing.game,
        "broadcaster_id": _id("bc", listing.broadcaster),
        "broadcaster_name": listing.broadcaster,
        "creator_id": _id("cr", listing.creator),
        "creator_name": listing.creator,
        "tags": listing.tags,
        "team": listing.team,
        "user_id": listing.user_id,
        "transcript_path": f"samples/{sample.video_id}.{sample.sidecar}" if sample.sidecar else "",
        "video_type": listing.video_type,
    }
    return [fixed | _observed(listing, published, days) for days in listing.snapshots]


def _observed(listing: Listing, published: datetime, days: float) -> dict[str, str | int | float]:
    views = views_after(listing, days)
    captured = (published + timedelta(days=days)).astimezone(UTC)
    return {
        "captured_at": captured.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "view_count": views,
        "like_count": round(views * listing.like_rate),
        "comment_count": round(views * listing.comment_rate),
        # Known only to an observation made at the horizon or later.
        "horizon_view_count": listing.views if days >= HORIZON_DAYS else "",
    }


def _id(kind: str, name: str) -> str:
    return f"{kind}-{zlib.crc32(name.encode()) % 1_000_000:06d}" if name else ""
