"""One video's trouble is its own; the platform's is everyone's."""

import errno

import pytest

from clipfarm_assets.attempts import attempt
from clipfarm_assets.errors import ModelMismatch, StoreUnavailable, UnsupportedMedia, VideoError
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.artifacts import Made


def raising(error: Exception) -> Made:
    raise error


@pytest.mark.parametrize(
    "error", [RuntimeError("x"), ValueError("x"), OSError(5, "x"), MemoryError(), ZeroDivisionError()]
)
def test_what_an_input_makes_decoders_and_models_raise_is_a_failure_of_that_video(error: Exception) -> None:
    outcome = attempt(raising, error)
    assert isinstance(outcome, VideoError)
    assert outcome.status is Status.FAIL
    assert type(error).__name__ in str(outcome)


def test_a_video_error_is_kept_as_it_is() -> None:
    error = UnsupportedMedia("nothing decodes")
    assert attempt(raising, error) is error


@pytest.mark.parametrize(
    "error", [StoreUnavailable("x"), ModelMismatch("x"), OSError(errno.ENOSPC, "full"), TypeError("x"), KeyError("x")]
)
def test_platform_errors_and_mistakes_in_the_code_are_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        attempt(raising, error)


def test_a_broken_accelerator_stops_the_run() -> None:
    class AcceleratorError(RuntimeError):
        pass

    with pytest.raises(AcceleratorError):
        attempt(raising, AcceleratorError("device-side assert"))
