"""What every way of fetching shares: the options, the result, and a file that appears whole or not at all.

In: chunks of bytes. Out: a file with its SHA-256. What can go wrong: ``SourceTooLarge``.
"""

import hashlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from clipfarm_assets.errors import SourceTooLarge
from clipfarm_assets.store.object_store import ObjectStore, open_store

CHUNK_BYTES = 1 << 18
_SHOWN_LENGTH = 300


@dataclass(frozen=True)
class FetchOptions:
    """How far a fetch may go.

    Attributes:
        base_folder: what a relative path is relative to.
        max_bytes: a longer file is ``SourceTooLarge``.
        timeout_sec: longest silence of a connection, before and during an answer.
        deadline_sec: longest time for one whole download.
        attempts: connections for one file; each goes on where the one before was cut.
        allow_private: let addresses of this machine and its networks through.
        caption_languages: for sites, the captions to bring, as yt-dlp's language patterns.
        open_store: opens ``s3://bucket``; by the usual AWS variables unless it is another.
        pause: waits between attempts (seconds).
    """

    base_folder: Path
    max_bytes: int = 4 << 30
    timeout_sec: float = 30.0
    deadline_sec: float = 3600.0
    attempts: int = 4
    allow_private: bool = False
    caption_languages: tuple[str, ...] = ("en", ".*-orig")
    open_store: Callable[[str], ObjectStore] = open_store
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)


@dataclass(frozen=True)
class Fetched:
    """One fetched file, a copy of its own.

    Attributes:
        content_type: as the source says; None where it does not.
        captions: a subtitle file that the downloader brought.
        title, language: as the site says.
    """

    path: Path
    sha256: str
    size: int
    content_type: str | None = None
    captions: Path | None = None
    title: str | None = None
    language: str | None = None


class Sink:
    """A file under a name of its own until ``finish``; gone when the ``with`` block ends without it."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.size = 0
        self._partial = path.with_name(path.name + ".partial")
        self._hash = hashlib.sha256()

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._partial.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Append.

        Raises:
            SourceTooLarge: the file is now longer than allowed.
        """
        self.expect(self.size + len(chunk))
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def expect(self, size: int) -> None:
        """The file will have this many bytes.

        Raises:
            SourceTooLarge: those are more than allowed.
        """
        if size > self.max_bytes:
            raise too_large(self.max_bytes)

    def restart(self) -> None:
        """Forget what was written."""
        if self.size == 0:
            return
        self._file.seek(0)
        self._file.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    def finish(self) -> str:
        """The file appears under its name; its SHA-256."""
        self._file.close()
        self._partial.replace(self.path)
        return self._hash.hexdigest()


def too_large(max_bytes: int) -> SourceTooLarge:
    """The file is longer than allowed."""
    return SourceTooLarge(f"The file is larger than {max_bytes} bytes (CLIPFARM_MAX_DOWNLOAD_BYTES).")


def shown(url: str) -> str:
    """The address as messages may have it: without user, password, parameters, query and fragment, and not too long."""
    scheme, separator, rest = url.partition("://")
    place = re.split(r"[?#;]", rest if separator else url, maxsplit=1)[0]
    place = re.sub(r"^[^/]*@" if separator else r"[^/\s]*:[^/\s]*@", "", place)
    text = "".join(each if each.isprintable() else "?" for each in (scheme + separator if separator else "") + place)
    return text if len(text) <= _SHOWN_LENGTH else text[:_SHOWN_LENGTH] + "…"
