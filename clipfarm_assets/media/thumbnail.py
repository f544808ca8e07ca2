"""One small picture of a video.

In: a local path. Out: JPEG bytes. What can go wrong: ``UnsupportedMedia`` where no picture decodes.
"""

import io
from pathlib import Path

from PIL import Image

from clipfarm_assets.media.frames import frames_at, select_frames


def thumbnail(path: Path | str, at_sec: float | None = None, max_side: int = 320) -> bytes:
    """The frame on display at ``at_sec``, the middle frame without it: JPEG, upright, neither side over ``max_side``.

    Raises:
        UnsupportedMedia: no picture of the video decodes.
    """
    frames = select_frames(path, lambda times: [len(times) // 2]) if at_sec is None else frames_at(path, [at_sec])
    picture = Image.fromarray(frames.images[0])
    picture.thumbnail((max_side, max_side))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
