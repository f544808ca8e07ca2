"""What the workers of these tests do: things that kill, hang, flood and fail. Importable, so that it is picklable."""

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import mkdtemp

from clipfarm_assets.errors import ModelMismatch, ModelUnavailable, StoreUnavailable
from clipfarm_assets.workers.worker import allow

Work = Callable[[str], object]


def _doing(order: str) -> object:
    """An order is a word, and for some a number behind a space."""
    word, _, number = order.partition(" ")
    if word == "die":
        os.kill(os.getpid(), int(number))
    elif word == "leave":
        os._exit(int(number))
    elif word == "sleep":
        time.sleep(float(number))
    elif word == "allowed":
        allow(30.0)
        time.sleep(float(number))
    elif word == "flood":
        held = [bytes(range(256)) * 4096 for _ in range(int(number))]
        time.sleep(int(number) / 100)
        del held
    elif word == "store":
        raise StoreUnavailable("The store is away.", hint="Wait.")
    elif word == "mistake":
        raise KeyError("a mistake in the code")
    elif word == "file":
        path = Path(mkdtemp()) / "made"
        path.write_text(number)
        return path
    elif word == "environment":
        return os.environ.get(number)
    return f"{order} by {os.getpid()}"


def obey() -> Work:
    """Does what each item says."""
    return _doing


def refuse(mismatch: bool) -> Work:
    """A preparation that fails, as a model's loading does."""
    raise ModelMismatch("Other weights.") if mismatch else ModelUnavailable("No weights.")


def vanish() -> Work:
    """A preparation that takes the foreman with it."""
    os.kill(os.getpid(), signal.SIGKILL)
    return _doing


refuse_mismatch = partial(refuse, True)
