"""Download a video from a site that yt-dlp knows.

In: the address of a page. Out: ``Fetched``, with captions where the site has them. What can go wrong: every
``SourceError``, told apart by yt-dlp's error and its words.

Only yt-dlp's own extractors of named sites are used. Picture and sound come as one file: joining two would take a
subprocess.
"""

import re
import time
from pathlib import Path
from typing import Any

from clipfarm_assets.attempts import OF_THE_MACHINE
from clipfarm_assets.errors import (
    RateLimited,
    SourceError,
    SourceForbidden,
    SourceFormat,
    SourceNetwork,
    SourcePrivate,
    SourceRemoved,
    SourceUnavailable,
    SourceUpcoming,
    VideoError,
)
from clipfarm_assets.media.download import CHUNK_BYTES, Fetched, FetchOptions, Sink, shown, too_large

# The first match tells; sites word the same thing differently.
_BY_WORDS: tuple[tuple[str, type[SourceError]], ...] = (
    (r"not a bot|rate.?limit|too many requests|\b429\b", RateLimited),
    (r"premieres? in|will begin|upcoming|has not started|not yet (started|available|live)", SourceUpcoming),
    (r"private|sign in|log ?in|members.only|registered users|authenticat|subscri(be|ption)", SourcePrivate),
    (r"removed|deleted|terminated|no longer (available|exists)|\b410\b|has been (closed|suspended)", SourceRemoved),
    (r"format is not available|no video formats|unsupported url|drm|no media found|no video", SourceFormat),
    (r"\b40[13]\b|forbidden|unauthorized", SourceForbidden),
    (r"timed? ?out|connection|network|resolve|\b5\d\d\b|temporar|incomplete|reset by|ssl", SourceNetwork),
    (r"unavailable|not available|geo|country|region|not found|does ?n.t exist|\b404\b", SourceUnavailable),
)
_BY_STATUS: dict[int, type[SourceError]] = {
    401: SourceForbidden,
    403: SourceForbidden,
    404: SourceUnavailable,
    410: SourceRemoved,
    429: RateLimited,
}


def knows(url: str) -> bool:
    """A named site's extractor takes the address."""
    from yt_dlp.extractor import gen_extractor_classes

    return any(e.IE_NAME != "generic" and e.suitable(url) for e in gen_extractor_classes())


def download_site(url: str, folder: Path, options: FetchOptions) -> Fetched:
    """The best single file of the video, and its captions.

    Raises:
        SourceError: as the module says.
        VideoError: yt-dlp fails in a way that has no name here.
    """
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import YoutubeDLError

    folder.mkdir(parents=True, exist_ok=True)
    common = _options(folder, options)
    try:
        with YoutubeDL({**common, "progress_hooks": [_guard(url, options)]}) as downloader:
            info = downloader.extract_info(url, download=False)
            _check_kind(url, info)
            done = downloader.process_ie_result(dict(info), download=True)
    except YoutubeDLError as error:
        raise source_error(error, url) from None
    except OSError as error:
        if error.errno in OF_THE_MACHINE:
            raise
        raise SourceNetwork(f"{shown(url)} cannot be downloaded: {type(error).__name__}.") from None
    path = _downloaded(url, done)
    captions = _captions(info, common, options)
    return _fetched(path, folder, options, info, captions)


def source_error(error: Exception, url: str) -> VideoError:
    """yt-dlp's error as one of ours: by the HTTP status within it, else by its words."""
    causes: list[BaseException] = [
        error,
        *(cause for cause in (getattr(error, "exc_info", None) or ()) if isinstance(cause, Exception)),
    ]
    deeper = getattr(causes[-1], "cause", None) or causes[-1].__cause__
    if isinstance(deeper, BaseException):
        causes.append(deeper)
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in OF_THE_MACHINE:
            raise cause  # a full disk and the like are no fault of the source
    words = _words(str(error))
    kind: type[VideoError] | None = None
    if any(type(c).__name__ == "GeoRestrictedError" for c in causes):
        kind = SourceUnavailable
    for pattern, named in _BY_WORDS if kind is None else ():
        if re.search(pattern, words, re.IGNORECASE):
            kind = named
            break
    status = next((s for c in causes if isinstance(s := getattr(c, "status", None), int)), None)
    if status is not None and kind not in (RateLimited, SourcePrivate, SourceRemoved, SourceUpcoming):
        kind = _BY_STATUS.get(status, SourceNetwork if status >= 500 else SourceUnavailable)
    return (kind or VideoError)(f"{shown(url)}: {words}")


def _options(folder: Path, options: FetchOptions) -> dict[str, Any]:
    return {
        "outtmpl": {"default": str(folder / "site.%(ext)s")},
        "format": "b[ext=mp4]/b/bv*",
        "noplaylist": True,
        "fixup": "never",
        "postprocessors": [],
        "cachedir": False,
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "no_color": True,
        "logger": _Silent(),
        "socket_timeout": options.timeout_sec,
        "retries": options.attempts,
        "fragment_retries": options.attempts,
        "extractor_retries": 1,
        "skip_unavailable_fragments": False,
        "overwrites": True,
        "updatetime": False,
    }


def _check_kind(url: str, info: Any) -> None:
    if not isinstance(info, dict) or info.get("_type", "video") != "video":
        raise SourceFormat(f"{shown(url)} is a list, not one video.")
    if info.get("live_status") == "is_upcoming":
        raise SourceUpcoming(f"{shown(url)} has not begun yet.")
    if info.get("is_live"):
        raise SourceUpcoming(f"{shown(url)} is still live.")


def _guard(url: str, options: FetchOptions) -> Any:
    """Ends a download that is too long, in bytes or in seconds."""
    until = time.monotonic() + options.deadline_sec

    def check(progress: dict[str, Any]) -> None:
        if max(progress.get("downloaded_bytes") or 0, progress.get("total_bytes") or 0) > options.max_bytes:
            raise too_large(options.max_bytes)
        if time.monotonic() > until:
            raise SourceNetwork(f"{shown(url)} is too slow: the time for one download is over.")

    return check


def _downloaded(url: str, done: Any) -> Path:
    for one in (done or {}).get("requested_downloads") or ():
        path = Path(one.get("filepath") or "")
        if path.is_file():
            return path
    raise SourceNetwork(f"{shown(url)}: the download brought no file.")


def _captions(info: dict[str, Any], common: dict[str, Any], options: FetchOptions) -> Path | None:
    """The captions, a person's before the site's own; a video without them is still a video."""
    from yt_dlp import YoutubeDL
    from yt_dlp.utils import YoutubeDLError

    wanted = {
        "skip_download": True,
        "writesubtitles": True,
        "writeautomaticsub": True,
        "subtitleslangs": list(options.caption_languages),
        "subtitlesformat": "vtt/srt",
    }
    if not (info.get("subtitles") or info.get("automatic_captions")):
        return None
    try:
        with YoutubeDL({**common, **wanted}) as downloader:
            done = downloader.process_ie_result(dict(info), download=True)
    except (YoutubeDLError, OSError):
        return None
    found = (done or {}).get("requested_subtitles") or {}
    by_person = sorted(found, key=lambda language: language not in (info.get("subtitles") or {}))
    paths = [Path(found[language].get("filepath") or "") for language in by_person]
    return next((path for path in paths if path.is_file() and path.suffix in (".vtt", ".srt")), None)


def _fetched(path: Path, folder: Path, options: FetchOptions, info: dict[str, Any], captions: Path | None) -> Fetched:
    with Sink(folder / f"source{path.suffix}", options.max_bytes) as sink, path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            sink.write(chunk)
        digest = sink.finish()
    path.unlink()
    return Fetched(
        path=sink.path,
        sha256=digest,
        size=sink.size,
        captions=captions,
        title=info.get("title"),
        language=info.get("language"),
    )


def _words(text: str) -> str:
    """yt-dlp's message without its prefix, its advice about options, and the secrets of addresses."""
    text = re.sub(r"https?://[^\s'\"<>]+", lambda match: shown(match[0]), text)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).removeprefix("ERROR: ")
    text = re.split(r"\s*(?:Use --|See  ?http|; please report|\(caused by|Also see)", text)[0]
    return re.sub(r"^\[[^\]]*\]\s*(?:[\w-]+:\s*)?", "", text).strip()[:300]


class _Silent:
    """yt-dlp's messages reach the user as errors of ours, not on the terminal."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warning(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...
