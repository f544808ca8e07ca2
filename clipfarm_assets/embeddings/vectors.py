"""Vectors and the ``.npy`` bytes that they are stored as."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


def l2_normalize(vector: NDArray[Any]) -> Vector:
    """A 1-D float32 vector of length one; zeros stay zeros.

    Raises:
        ValueError: a component is not a finite number.
    """
    flat = np.asarray(vector, np.float64).reshape(-1)
    if not np.isfinite(flat).all():
        raise ValueError("The model gave a vector with components that are not finite.")
    length = float(np.linalg.norm(flat))
    return (flat / length if length else flat).astype(np.float32)


def to_npy(vector: NDArray[Any]) -> bytes:
    """``.npy`` format 1.0 of a 1-D float32 vector, C order, little-endian: the same bytes for the same numbers."""
    buffer = io.BytesIO()
    content = np.ascontiguousarray(vector, "<f4").reshape(-1)
    np.lib.format.write_array(buffer, content, version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def from_npy(content: bytes) -> Vector:
    """The vector in ``.npy`` bytes.

    Raises:
        ValueError: they hold anything but a finite 1-D float32 vector.
    """
    try:
        vector = np.load(io.BytesIO(content), allow_pickle=False)
    except EOFError as error:
        raise ValueError("The bytes are no .npy file.") from error
    if not isinstance(vector, np.ndarray) or vector.ndim != 1 or vector.dtype != np.float32:
        raise ValueError("The .npy file holds no 1-D float32 vector.")
    if not np.isfinite(vector).all():
        raise ValueError("The vector has components that are not finite.")
    return vector
