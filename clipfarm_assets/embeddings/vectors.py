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
    return _npy(np.asarray(vector).reshape(-1))


def from_npy(content: bytes) -> Vector:
    """The vector in ``.npy`` bytes.

    Raises:
        ValueError: they hold anything but a finite 1-D float32 vector.
    """
    return _finite(content, 1, "1-D float32 vector")


def rows_to_npy(vectors: NDArray[Any]) -> bytes:
    """As ``to_npy``, of several vectors: (n, dim)."""
    return _npy(np.asarray(vectors))


def rows_from_npy(content: bytes) -> NDArray[np.float32]:
    """The vectors in ``.npy`` bytes, (n, dim).

    Raises:
        ValueError: they hold anything but finite rows of float32.
    """
    return _finite(content, 2, "rows of float32")


def _npy(array: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array, "<f4"), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def _finite(content: bytes, ndim: int, what: str) -> NDArray[np.float32]:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)
    except EOFError as error:
        raise ValueError("The bytes are no .npy file.") from error
    if not isinstance(array, np.ndarray) or array.ndim != ndim or array.dtype != np.float32:
        raise ValueError(f"The .npy file holds no {what}.")
    if not np.isfinite(array).all():
        raise ValueError("The vector has components that are not finite.")
    return array
