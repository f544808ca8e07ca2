"""Fetch a video from where its row's ``url`` points.

In: a local path or ``file://``, an ``http(s)`` address of a file, an ``s3://`` object, or a page of a site that yt-dlp
knows. Out: ``Fetched``: a copy in the given folder, whole or not at all. What can go wrong: every ``SourceError``; no
message holds a query, a user or a password.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from clipfarm_assets.errors import (
    SourceForbidden,
    SourceFormat,
    SourceNetwork,
    SourceUnavailable,
    StoreAccessDenied,
    StoreMissing,
    StoreUnavailable,
)
from clipfarm_assets.media import http_source, site_source
from clipfarm_assets.media.download import CHUNK_BYTES, Fetched, FetchOptions, Sink, shown, too_large
from clipfarm_assets.metadata.read import MISSING
from clipfarm_assets.store.object_store import BUCKET_NAME

__all__ = ["FetchOptions", "Fetched", "fetch", "fingerprint"]

_MEDIA_ENDINGS = frozenset(
    {".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".flv", ".wmv"}
    | {".asf", ".3gp", ".ogv", ".ogg", ".gif", ".mxf"}
)
_SIDECAR_ENDINGS = frozenset({".srt", ".vtt", ".json"})


def fetch(url: str, folder: Path, options: FetchOptions) -> Fetched:
    """Bring the video, or a transcript file, into ``folder``.

    An ``http(s)`` address is a file if its path ends like one, or if it answers with a video; else it is a page, which
    needs a site that yt-dlp knows.

    Raises:
        SourceError: the source does not give the video; its class and status say why.
    """
    local = _local_path(url, options.base_folder)
    if local is not None:
        return _save(_read_file(local, url), folder, local.suffix, options)
    scheme = url.partition("://")[0].lower()
    if scheme == "s3":
        return _save(_read_s3(url, options), folder, _ending(url), options)
    if scheme not in ("http", "https"):  # file://host/… too: it names another machine
        raise SourceFormat(f"No way is known to fetch a {scheme}:// address.")
    http_source.check(url)
    if not _ending(url):
        if site_source.knows(url):
            return site_source.download_site(url, folder, options)
        content_type = http_source.content_type_of(url, options)
        if not http_source.is_media_type(content_type):
            raise SourceFormat(f"{shown(url)} answers {content_type}, not a video, and is no site that yt-dlp knows.")
    with Sink(folder / f"source{_ending(url)}", options.max_bytes) as sink:
        content_type = http_source.download(url, sink, options, is_text=_ending(url) in _SIDECAR_ENDINGS)
        digest = sink.finish()
    return Fetched(sink.path, digest, sink.size, content_type or None)


def fingerprint(url_or_path: str, base_folder: Path) -> str | None:
    """``size-mtime_ns`` of a local file, which changes when it does; MISSING without one; None for other places."""
    local = _local_path(url_or_path, base_folder)
    if local is None:
        return None
    try:
        stat = local.stat()
    except OSError:
        return MISSING
    return f"{stat.st_size}-{stat.st_mtime_ns}"


def _local_path(url: str, base_folder: Path) -> Path | None:
    if url.lower().startswith("file:///"):
        return Path(unquote(urlsplit(url).path))
    return None if "://" in url else base_folder / url


def _ending(url: str) -> str:
    """The path's ending where it is a video's or a transcript's, else nothing."""
    try:
        ending = Path(unquote(urlsplit(url).path)).suffix.lower()
    except ValueError:
        return ""
    return ending if ending in _MEDIA_ENDINGS | _SIDECAR_ENDINGS else ""


def _save(chunks: Iterable[bytes], folder: Path, ending: str, options: FetchOptions) -> Fetched:
    with Sink(folder / f"source{ending}", options.max_bytes) as sink:
        for chunk in chunks:
            sink.write(chunk)
        digest = sink.finish()
    return Fetched(sink.path, digest, sink.size)


def _read_file(path: Path, url: str) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except (FileNotFoundError, NotADirectoryError):
        raise SourceUnavailable(f"There is no file {shown(url)}.") from None
    except IsADirectoryError:
        raise SourceFormat(f"{shown(url)} is a folder, not a video.") from None
    except PermissionError:
        raise SourceForbidden(f"The file {shown(url)} may not be read.") from None
    except (OSError, ValueError) as error:
        raise SourceUnavailable(f"The file {shown(url)} cannot be read: {type(error).__name__}.") from None


def _read_s3(url: str, options: FetchOptions) -> Iterator[bytes]:
    """The object in pieces. Keys are taken as they are written, as the AWS command line does."""
    bucket, _, key = url.removeprefix(url[: len("s3://")]).partition("/")
    if not BUCKET_NAME.fullmatch(bucket) or not key or key.endswith("/"):
        raise SourceFormat(f"{shown(url)} names no object.")
    try:
        store = options.open_store(f"s3://{bucket}")
        info = store.head(key)
        if info is None:
            raise SourceUnavailable(f"There is no object {shown(url)}.")
        if info.size > options.max_bytes:
            raise too_large(options.max_bytes)
        yield from store.ranges(info)
    except FileNotFoundError:
        raise SourceUnavailable(f"There is no object {shown(url)} any more.") from None
    except StoreAccessDenied as error:
        raise SourceForbidden(f"{shown(url)}: {error.what}", hint=error.hint) from None
    except StoreMissing as error:
        elsewhere = None if error.hint == StoreMissing.hint else error.hint  # which tells to correct CLIPFARM_STORE
        raise SourceUnavailable(f"{shown(url)}: {error.what}", hint=elsewhere) from None
    except StoreUnavailable as error:
        raise SourceNetwork(f"{shown(url)}: {error.what}") from None
