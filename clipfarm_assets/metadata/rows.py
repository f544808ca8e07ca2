"""One video as its metadata row tells it.

Text that a row does not give is ``""``, never None, so that a missing column and an empty field are one thing and hash
alike. Numbers that a row does not give are None, since 0 is a count.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NamedTuple

Kind = Literal["video_id", "url", "text", "name", "integer", "seconds", "time", "flag"]
Presence = Literal["present", "missing"]
Value = str | int | float | bool | None

MAX_VIDEO_ID = 128
DEFAULT_TEAM = "default"


class Column(NamedTuple):
    """A column that the platform knows.

    Attributes:
        kind: ``text`` is kept as written; ``name``, ``video_id`` and ``url`` lose white space around them; ``integer``
            is a whole number of 0 or more; ``seconds`` a finite number of 0 or more; ``time`` a moment in UTC with
            microseconds; ``flag`` true or false, false where empty.
        required: a file without this column, or a row without a value in it, is refused.
    """

    kind: Kind
    required: bool = False


COLUMNS: Mapping[str, Column] = MappingProxyType(
    {
        "video_id": Column("video_id", required=True),
        "url": Column("url", required=True),
        "title": Column("text"),
        "description": Column("text"),
        "query": Column("text"),
        "captured_at": Column("time"),
        "published_at": Column("time"),
        "duration_seconds": Column("seconds"),
        "channel_id": Column("name"),
        "channel_title": Column("text"),
        "language": Column("name"),
        "view_count": Column("integer"),
        "like_count": Column("integer"),
        "comment_count": Column("integer"),
        "horizon_days": Column("integer"),
        "horizon_view_count": Column("integer"),
        "removed": Column("flag"),
        "game_id": Column("name"),
        "game_name": Column("text"),
        "broadcaster_id": Column("name"),
        "broadcaster_name": Column("text"),
        "creator_id": Column("name"),
        "creator_name": Column("text"),
        "tags": Column("text"),
        "team": Column("name"),
        "user_id": Column("name"),
        "transcript_path": Column("name"),
        "video_type": Column("name"),
    }
)
"""The known columns, in the order of the tables and of ``Video``. A file may order its own as it likes."""


@dataclass(frozen=True, slots=True)
class Video:
    """The latest metadata row of one video.

    Attributes:
        captured_at: ISO 8601 in UTC (``2026-01-31T12:00:00Z``, with six more digits where the row has fractions), or
            ``""``. ``published_at`` likewise.
        horizon_days: days after publication at which ``horizon_view_count`` was read.
        removed: the row asks for the video to be deleted everywhere.
        tags: as the row writes them.
        team: ``default`` where the row names none.
        user_id: the row's, else ``creator_id``, else ``channel_id``.
        extra: the columns that the platform does not know, as written, by name.
        url_fingerprint: what tells whether the file behind ``url`` changed under the same name; None where nothing can.
        transcript_fingerprint: the same of ``transcript_path``.
        presence: ``missing`` where the video's rows vanished from the file.
        first_captured_at: of all its rows; unlike ``captured_at`` it stays when another snapshot is appended.
    """

    video_id: str
    url: str
    title: str = ""
    description: str = ""
    query: str = ""
    captured_at: str = ""
    published_at: str = ""
    duration_seconds: float | None = None
    channel_id: str = ""
    channel_title: str = ""
    language: str = ""
    view_count: int | None = None
    like_count: int | None = None
    comment_count: int | None = None
    horizon_days: int | None = None
    horizon_view_count: int | None = None
    removed: bool = False
    game_id: str = ""
    game_name: str = ""
    broadcaster_id: str = ""
    broadcaster_name: str = ""
    creator_id: str = ""
    creator_name: str = ""
    tags: str = ""
    team: str = DEFAULT_TEAM
    user_id: str = ""
    transcript_path: str = ""
    video_type: str = ""
    extra: Mapping[str, str] = field(default_factory=dict, hash=False)
    url_fingerprint: str | None = None
    transcript_fingerprint: str | None = None
    presence: Presence = "present"
    first_captured_at: str = ""


_SAFE_ID = re.compile(rf"[A-Za-z0-9_.-]{{1,{MAX_VIDEO_ID}}}")


def valid_video_id(text: str) -> str | None:
    """Why ``text`` is not safe as an object key and a file name, or None where it is."""
    if _SAFE_ID.fullmatch(text) and ".." not in text and text != ".":
        return None
    if not text:
        return "is empty"
    if len(text) > MAX_VIDEO_ID:
        return f"is longer than {MAX_VIDEO_ID} characters"
    if text == "." or (".." in text and _SAFE_ID.fullmatch(text)):
        return "names a folder (. or ..)"
    return "may hold letters a-z, digits, '-', '_' and '.' only"
