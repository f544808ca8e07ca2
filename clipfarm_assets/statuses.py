"""What can become of one video in one stage.

The table of statuses says of each which partition state Dagster shows, whether the video is finished with until its
input changes, and whether the status costs one of its tries.
"""

from enum import StrEnum
from typing import Literal, NamedTuple


class Meaning(NamedTuple):
    """What a status says of its partition and of what happens next."""

    partition: Literal["Materialized", "Failed"] | None
    terminal: bool
    costs_try: bool
    text: str


class Status(StrEnum):
    """One video's state in one stage; ``status.meaning`` is its row of the table."""

    PENDING = "pending"
    SUCCESS = "success"
    FAIL = "fail"
    FAIL_EXHAUSTED = "fail_exhausted"
    MISSING_RAW_OBJECT = "missing_raw_object"
    UPSTREAM_FAILED = "upstream_failed"
    UNSUPPORTED_MEDIA = "unsupported_media"
    NO_AUDIO_TRACK = "no_audio_track"
    EMPTY_TRANSCRIPT = "empty_transcript"
    NOT_TRANSCRIBED = "not_transcribed"
    NOT_DESCRIBED = "not_described"
    NOT_ENRICHED = "not_enriched"
    TURNED_OFF = "turned_off"
    SOURCE_REMOVED = "source_removed"
    SOURCE_PRIVATE = "source_private"
    SOURCE_UNAVAILABLE = "source_unavailable"
    SOURCE_FORBIDDEN = "source_forbidden"
    SOURCE_UPCOMING = "source_upcoming"
    RATE_LIMITED = "rate_limited"
    SOURCE_NETWORK = "source_network"
    SOURCE_TOO_LARGE = "source_too_large"
    SOURCE_FORMAT = "source_format"
    QUARANTINED = "quarantined"
    MISSING_FROM_METADATA = "missing_from_metadata"
    REMOVED = "removed"

    @property
    def meaning(self) -> Meaning:
        return _MEANINGS[self]

    @property
    def materialized(self) -> bool:
        """The partition is Materialized: the stage has said its last word on this input."""
        return self in _MATERIALIZED

    @property
    def failed(self) -> bool:
        return self.meaning.partition == "Failed"


_MEANINGS = {
    Status.PENDING: Meaning(None, False, False, "due, not tried with this input"),
    Status.SUCCESS: Meaning("Materialized", True, False, "made"),
    Status.FAIL: Meaning("Failed", False, True, "an error; tried again after a pause"),
    Status.FAIL_EXHAUSTED: Meaning("Failed", True, True, "three tries failed; waits for a change or a person"),
    Status.MISSING_RAW_OBJECT: Meaning("Failed", False, True, "the stage before has nothing here"),
    Status.UPSTREAM_FAILED: Meaning(None, False, False, "waits for the stage before"),
    Status.UNSUPPORTED_MEDIA: Meaning("Failed", True, True, "not decodable"),
    Status.NO_AUDIO_TRACK: Meaning("Materialized", True, False, "a video without sound"),
    Status.EMPTY_TRANSCRIPT: Meaning("Materialized", True, False, "nothing said"),
    Status.NOT_TRANSCRIBED: Meaning(
        "Materialized", False, False, "without a transcript, since what recognises speech is out of reach"
    ),
    Status.NOT_DESCRIBED: Meaning(
        "Materialized", False, False, "described by its transcript, since the language model is out of reach"
    ),
    Status.NOT_ENRICHED: Meaning("Materialized", False, False, "as the row says it, since Twitch is out of reach"),
    Status.TURNED_OFF: Meaning("Materialized", True, False, "not made, since a setting says so"),
    Status.SOURCE_REMOVED: Meaning("Failed", True, True, "gone at the source"),
    Status.SOURCE_PRIVATE: Meaning("Failed", True, True, "the source wants a login"),
    Status.SOURCE_UNAVAILABLE: Meaning("Failed", False, True, "the source does not have it now"),
    Status.SOURCE_FORBIDDEN: Meaning("Failed", True, True, "the source refuses, or the address is not allowed"),
    Status.SOURCE_UPCOMING: Meaning("Failed", False, False, "not published yet"),
    Status.RATE_LIMITED: Meaning("Failed", False, False, "the source asks to wait"),
    Status.SOURCE_NETWORK: Meaning("Failed", False, True, "the connection failed"),
    Status.SOURCE_TOO_LARGE: Meaning("Failed", True, True, "larger than the limit"),
    Status.SOURCE_FORMAT: Meaning("Failed", True, True, "not a video"),
    Status.QUARANTINED: Meaning(None, True, False, "a bad row; waits for the row to change"),
    Status.MISSING_FROM_METADATA: Meaning(None, True, False, "the row vanished; what was made is kept"),
    Status.REMOVED: Meaning(None, True, False, "deleted; a tombstone"),
}
_MATERIALIZED = frozenset(status for status, meaning in _MEANINGS.items() if meaning.partition == "Materialized")
