"""Turn pictures upright, as the container's display matrix says.

In: a decoded frame. Out: its RGB picture as a viewer sees it. Quarter turns and mirrorings are exact; any other angle
counts as the nearest quarter turn.
"""

from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


class Turn(NamedTuple):
    """How stored rows and columns become displayed ones: transposed first, then flipped."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def degrees(self) -> int:
        """Clockwise turn that displays the picture: 0, 90, 180 or 270; a mirroring counts as the turn within it."""
        if self.transpose:
            return 90 if self.flip_columns else 270
        return 180 if self.flip_rows and self.flip_columns else 0


def turn_of(frame: av.VideoFrame) -> Turn:
    """The frame's display matrix: displayed (x', y') = (a x + c y, b x + d y) for stored (x, y)."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Turn()
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), dtype=np.int32)[:9].tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, flip_rows=d < 0, flip_columns=a < 0)
    return Turn(True, flip_rows=b < 0, flip_columns=c < 0)


def upright(frame: av.VideoFrame) -> Image:
    """RGB, uint8, (height, width, 3), turned; stored pixels, neither scaled to a pixel aspect nor tone-mapped."""
    image: Image = frame.to_ndarray(format="rgb24")  # type: ignore[assignment]
    return turned(image, turn_of(frame))


def turned(image: Image, turn: Turn) -> Image:
    """The picture of stored pixels as a viewer sees it."""
    if turn.transpose:
        image = image.transpose(1, 0, 2)
    if turn.flip_rows:
        image = image[::-1]
    if turn.flip_columns:
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
