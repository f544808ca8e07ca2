"""Vectors and their bytes."""

import io

import numpy as np
import pytest

from clipfarm_assets.embeddings.vectors import from_npy, l2_normalize, to_npy


def test_a_normalised_vector_has_length_one_and_is_float32() -> None:
    vector = l2_normalize(np.array([[3.0, 4.0]]))
    assert vector.dtype == np.float32
    assert vector.tolist() == pytest.approx([0.6, 0.8])


def test_zeros_stay_zeros() -> None:
    assert not l2_normalize(np.zeros(4)).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_component_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        l2_normalize(np.array([1.0, bad]))


def test_npy_bytes_read_back_and_are_the_same_every_time() -> None:
    vector = np.arange(5, dtype=np.float32)
    content = to_npy(vector)
    assert content == to_npy(vector.astype(np.float64)[::1]) == to_npy(vector[None])
    assert content[:8] == b"\x93NUMPY\x01\x00"
    np.testing.assert_array_equal(from_npy(content), vector)
    np.testing.assert_array_equal(np.load(io.BytesIO(content)), vector)


@pytest.mark.parametrize("wrong", [np.zeros((2, 2), np.float32), np.zeros(3), np.array([np.nan], np.float32)])
def test_anything_but_a_finite_flat_float32_vector_is_refused(wrong: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, wrong)
    with pytest.raises(ValueError):
        from_npy(buffer.getvalue())


@pytest.mark.parametrize("content", [b"", b"<html>", to_npy(np.ones(9))[:-3]])
def test_torn_bytes_are_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        from_npy(content)
