"""LanceDB where the store lies: a folder, or the same bucket and prefix on S3, with the same credentials.

Questions are asked through LanceDB's asynchronous face, on one loop for the process: two searches run side by side, and
the synchronous one asks for the schema twice in each, a third of its time.

LanceDB takes a key id and a secret, not boto3's providers: credentials that expire are read again at every opening.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from clipfarm_assets.errors import IndexUnavailable, SearchError
from clipfarm_assets.store.object_store import ObjectStore

if TYPE_CHECKING:
    from lancedb import AsyncConnection, DBConnection

T = TypeVar("T")

FOLDER = "clipfarm/search"


def place(store: ObjectStore) -> str:
    """Where the index lies: a path, or an s3:// URL."""
    return str(store.root / FOLDER) if store.root else f"{store.url.rstrip('/')}/{FOLDER}"


def connect(store: ObjectStore) -> "DBConnection":
    """LanceDB on the store. A table shows what it held when it was opened or last taken to its latest version."""
    import lancedb

    return lancedb.connect(place(store), storage_options={} if store.root else _s3_options())


async def connect_to_read(store: ObjectStore) -> "AsyncConnection":
    """As ``connect``, for questions."""
    import lancedb

    return await lancedb.connect_async(place(store), storage_options={} if store.root else _s3_options())


def answer_to(question: Coroutine[Any, Any, T]) -> T:
    """What a question to LanceDB gives; its failures by name, as ``named`` has them."""
    with named("be searched"):
        return asyncio.run_coroutine_threadsafe(question, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="search").start()
    return loop


@contextmanager
def named(action: str) -> Iterator[None]:
    """Failures of LanceDB, whichever of Python's errors they come as, by the name of what was being done."""
    try:
        yield
    except SearchError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        # LanceDB's text holds paths of its sources and, on S3, request ids: its kind and first line say enough
        first = str(error).splitlines()[0][:200] if str(error) else ""
        raise IndexUnavailable(f"The search index could not {action} ({type(error).__name__}: {first}).") from None


def _s3_options() -> dict[str, str]:
    import boto3

    session = boto3.Session()
    credentials = session.get_credentials()
    options = {"aws_region": session.region_name or "us-east-1"}
    if credentials is not None:
        frozen = credentials.get_frozen_credentials()
        options |= {"aws_access_key_id": frozen.access_key or "", "aws_secret_access_key": frozen.secret_key or ""}
        if frozen.token:
            options["aws_session_token"] = frozen.token
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        options |= {"aws_endpoint": endpoint, "aws_virtual_hosted_style_request": "false"}
        options |= {"allow_http": str(endpoint.startswith("http://")).lower()}
    return options
