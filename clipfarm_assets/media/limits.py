"""How much of a file is too much.

A few bytes can declare pictures, lengths and tables that no machine holds. What exceeds a limit is
``UnsupportedMedia`` with the limit's setting in its text, before memory or time is spent on it.
"""

from dataclasses import dataclass

from clipfarm_assets.errors import UnsupportedMedia
from clipfarm_assets.settings import load_settings, setting_variable


@dataclass(frozen=True)
class Limits:
    """One deployment's limits, by the names of their settings."""

    max_frame_pixels: int
    max_video_sec: float
    max_video_frames: int
    max_streams: int

    def check(self, name: str, value: float, what: str) -> None:
        """Refuses a value above the limit ``name``; ``what`` tells of it, such as ``The video lasts 90000 s``.

        Raises:
            UnsupportedMedia: it is above.
        """
        limit = getattr(self, name)
        if value > limit:
            variable = setting_variable(name)
            raise UnsupportedMedia(
                f"{what}, above the limit of {limit:,.10g} ({variable}).",
                hint=f"Replace the file, or raise {variable}.",
            )


def current_limits() -> Limits:
    """The limits of this process's environment, so that they hold in child processes too."""
    settings = load_settings()
    return Limits(
        max_frame_pixels=settings.max_frame_pixels,
        max_video_sec=settings.max_video_sec,
        max_video_frames=settings.max_video_frames,
        max_streams=settings.max_streams,
    )
