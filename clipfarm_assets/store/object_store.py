"""One object store for everything: a local folder or S3, by URL.

obstore does the work; what differs between its backends is hidden here: an absent key is ``None`` or nothing to
delete, listings are sorted, a put is whole or absent, and every failure is one of ``errors.StoreError``.
"""

import errno
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore import exceptions as obstore_errors
from obstore.store import LocalStore, S3Store

from clipfarm_assets.errors import StoreAccessDenied, StoreError, StoreMissing, StoreUnavailable
from clipfarm_assets.store.failures import (
    NOT_FOUND,
    folder_hint,
    is_cut_once,
    is_lack_of_bucket,
    is_refusal,
    store_error,
)

T = TypeVar("T")

BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_READ_CHUNK_BYTES = 16 * 1024**2
_SWEEP_AGE_SEC = 600.0  # a write that is under way touches its file far more often
_TEMPORARY_AGE_SEC = 86_400.0  # no run may take that long
_TORN_PUT = re.compile(r"#\d+$")  # what a killed local put leaves beside its key
_CUT_PAUSES_SEC = (0.2, 1.0)


@dataclass(frozen=True)
class ObjectInfo:
    """Size in bytes, the store's own etag, and when the object was written."""

    key: str
    size: int
    etag: str | None
    modified: datetime


class ObjectStore:
    """Reads and writes whole objects by key, such as ``clipfarm/raw/video/<video_id>.mp4``.

    Another process gets it by ``pickle`` and opens it anew there.
    """

    def __init__(
        self, backend: LocalStore | S3Store, url: str, root: Path | None, reopen: "Callable[[], ObjectStore]"
    ) -> None:
        self.url = url
        self.root = root
        self._backend = backend
        self._reopen = reopen

    def __reduce__(self) -> "tuple[Callable[[], ObjectStore], tuple[()]]":
        return self._reopen, ()

    def __repr__(self) -> str:
        return f"ObjectStore({self.url!r})"

    def location(self, key: str) -> str:
        """Where a person finds the object: a path, or an s3:// URL."""
        return str(self.root / key) if self.root else f"{self.url.rstrip('/')}/{key}"

    def get(self, key: str) -> bytes | None:
        """The object's bytes, or None where the key is absent."""
        with self._named(f"read {key}"):
            try:
                return bytes(obstore.get(self._backend, key).bytes())
            except NOT_FOUND as error:
                self._absent(error)
                return None

    def head(self, key: str) -> ObjectInfo | None:
        """The object's facts, or None where the key is absent."""
        with self._named(f"look at {key}"):
            try:
                return _info(obstore.head(self._backend, key))
            except NOT_FOUND:
                return None if self.root is not None else self._look_closer(key)
            except obstore_errors.BaseError as error:
                if self.root is not None or not is_refusal(error):
                    raise
                return self._look_closer(key)

    def put(self, key: str, content: bytes | Path) -> ObjectInfo:
        """Writes the object whole; a file is streamed and left where it is."""
        with self._named(f"write {key}"):
            obstore.put(self._backend, key, content)
        info = self.head(key)
        if info is None:
            raise StoreUnavailable(f"The store took {key} and does not have it.")
        return info

    def delete(self, key: str) -> None:
        """Removes the object; an absent key is already as it should be, and a local folder is none."""
        if self.root is not None and (self.root / key).is_dir():
            return
        with self._named(f"delete {key}"):
            try:
                _again_if_cut(lambda: obstore.delete(self._backend, key))
            except NOT_FOUND as error:
                self._absent(error)

    def list(self, prefix: str) -> list[ObjectInfo]:
        """Every object below the prefix, by key."""
        with self._named(f"list {prefix}"):
            found = _again_if_cut(
                lambda: [_info(meta) for page in obstore.list(self._backend, prefix) for meta in page]
            )
        return sorted((info for info in found if not _TORN_PUT.search(info.key)), key=lambda info: info.key)

    @contextmanager
    def local_file(self, key: str) -> Iterator[Path | None]:
        """The object as a file for the time of the block, or None where it is absent.

        In a local store it is the object itself: read it only.
        """
        if self.root is not None:
            path = self.root / key
            yield path if path.is_file() else None
            return
        with tempfile.TemporaryDirectory(prefix="clipfarm-") as folder:
            path = Path(folder) / key.rsplit("/", 1)[-1]
            yield path if self._download(key, path) else None

    def sweep(self, *, older_than_sec: float = _SWEEP_AGE_SEC) -> int:
        """Deletes what killed writes left in a local store; returns how many. Younger ones may be under way."""
        if self.root is None:
            return 0
        latest = time.time() - older_than_sec
        torn = [path for path in self.root.rglob("*#*") if _TORN_PUT.search(path.name) and _mtime(path) <= latest]
        for path in torn:
            path.unlink(missing_ok=True)
        return len(torn)

    def ranges(self, info: ObjectInfo, first: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The object's bytes, a range at a time: a broken connection costs one range, and each has its own tries.

        Args:
            info: the object, as ``head`` found it.
            first: the first byte that is wanted.
            stop: the one after the last; all to the end where None.

        Raises:
            FileNotFoundError: the object is gone.
            StoreError: the object was replaced meanwhile, or the store does not do what it should.
        """
        end = info.size if stop is None else stop
        for start in range(first, end, _READ_CHUNK_BYTES):
            span = (start, min(start + _READ_CHUNK_BYTES, end))
            part = None
            with self._named(f"read {info.key}"):
                try:
                    # If-Match: an object that is replaced meanwhile must not come as half of each
                    options: Any = {"range": span, "if_match": info.etag}
                    part = bytes(obstore.get(self._backend, info.key, options=options).bytes())
                except NOT_FOUND as error:
                    self._absent(error)
            if part is None:
                raise FileNotFoundError(info.key)
            yield part

    def _download(self, key: str, path: Path) -> bool:
        info = self.head(key)
        if info is None:
            return False
        with path.open("wb") as file:
            try:
                for part in self.ranges(info):
                    with self._named(f"copy {key}"):
                        file.write(part)
            except FileNotFoundError:
                return False
        return True

    def _look_closer(self, key: str) -> ObjectInfo | None:
        """Asks for one byte: S3 says why it refuses in the body of its answer, and the answer to a HEAD has none."""
        try:
            return _info(obstore.get(self._backend, key, options={"range": (0, 1)}).meta)
        except NOT_FOUND as error:
            self._absent(error)
            return None

    def _absent(self, error: Exception) -> None:
        """A missing key is an answer; a missing bucket is an error."""
        if self.root is None and is_lack_of_bucket(error):
            raise StoreMissing(f"There is no bucket behind {self.url}.") from None

    @contextmanager
    def _named(self, action: str) -> Iterator[None]:
        try:
            yield
        except StoreError:
            raise
        except (obstore_errors.BaseError, OSError) as error:
            # not chained: the backend's own text can carry key ids and signatures into logs and the event log
            raise store_error(action, self.url, self.root, error) from None


def open_store(
    url: str,
    *,
    account: Mapping[str, str | None] | None = None,
    endpoint: str | None = None,
    region: str | None = None,
    timeout_sec: float = 20.0,
) -> ObjectStore:
    """Opens the store behind a URL.

    Args:
        url: ``file:///folder`` (made where it is absent) or ``s3://bucket/prefix``.
        account: what ``boto3.Session`` takes S3 credentials from; the usual AWS variables and files where None.
        endpoint: an S3 endpoint other than AWS's own; AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL where None.
        region: an S3 region other than the session's.
        timeout_sec: longest silence of S3. A request that fails is sent again for twice as long, ten times at most,
            with growing pauses; one that goes on all the time ends after thirty times as long.
    """
    parts = urlsplit(url)
    reopen = partial(open_store, url, account=account, endpoint=endpoint, region=region, timeout_sec=timeout_sec)
    if parts.scheme == "file":
        root = Path(unquote(parts.path))
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES, errno.EROFS):
                what = f"The folder {root} cannot be made: {error.strerror}."
                raise StoreAccessDenied(what, hint=folder_hint(root)) from error
            raise StoreMissing(f"The folder {root} cannot be made: {error.strerror}.") from error
        return ObjectStore(LocalStore(root), url, root, reopen)
    backend = _s3(parts.netloc, parts.path.strip("/"), account or {}, endpoint, region, timeout_sec)
    return ObjectStore(backend, url, None, reopen)


def _s3(
    bucket: str, prefix: str, account: Mapping[str, str | None], endpoint: str | None, region: str | None,
    timeout_sec: float,
) -> S3Store:  # fmt: skip
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session(**account)
    if session.get_credentials() is None:
        raise StoreAccessDenied(f"No AWS credentials were found for s3://{bucket}.")
    endpoint = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    options: dict[str, Any] = {"region": region or session.region_name or "us-east-1"}
    if endpoint:
        options |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    return S3Store(
        bucket,
        prefix=prefix or None,
        credential_provider=Boto3CredentialProvider(session),
        client_options={
            "timeout": timedelta(seconds=30 * timeout_sec),  # of a request whole: a range, a part of an upload
            "read_timeout": timedelta(seconds=timeout_sec),  # of silence
            "connect_timeout": timedelta(seconds=min(5.0, timeout_sec)),
            "allow_http": (endpoint or "").startswith("http://"),
        },
        # pauses of about 0.4, 0.7, 1.2, 1.8, 2.8 and then 3.5 s with the default: a burst of 503 is waited out
        retry_config={
            "max_retries": 10,
            "retry_timeout": timedelta(seconds=2 * timeout_sec),
            "backoff": {
                "init_backoff": timedelta(seconds=timeout_sec / 100),
                "max_backoff": timedelta(seconds=timeout_sec / 4),
                "base": 3,
            },
        },
        **options,
    )


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # its writer has just finished
        return float("inf")


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(key=meta["path"], size=meta["size"], etag=meta["e_tag"], modified=meta["last_modified"])


def _again_if_cut(call: Callable[[], T]) -> T:
    """Calls again where the connection broke: obstore itself does so for neither deletions nor listings' bodies."""
    for pause in _CUT_PAUSES_SEC:
        try:
            return call()
        except obstore_errors.BaseError as error:
            if not is_cut_once(error):
                raise
        time.sleep(pause)
    return call()


def sweep_temporary(*, older_than_sec: float = _TEMPORARY_AGE_SEC) -> int:
    """Deletes the folders that killed processes left in the machine's temporary folder; returns how many."""
    latest = time.time() - older_than_sec
    left = [path for path in Path(tempfile.gettempdir()).glob("clipfarm-*") if path.is_dir() and _mtime(path) <= latest]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)  # another user's stays
    return len(left)


def copy_out(store: ObjectStore, key: str, path: Path) -> bool:
    """Copies an object to a local file; False where it is absent."""
    with store.local_file(key) as source:
        if source is None:
            return False
        shutil.copyfile(source, path)
    return True
