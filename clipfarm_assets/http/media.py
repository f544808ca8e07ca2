"""Media out of the store with range requests (RFC 9110, section 14), so that a browser can seek."""

import re
from collections.abc import Iterator

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from clipfarm_assets.http.problems import Refused
from clipfarm_assets.store.object_store import ObjectInfo, ObjectStore

_ONE_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def stream(request: Request, store: ObjectStore, key: str, media_type: str) -> Response:
    """The object, or the one range of it that the request asks for.

    Raises:
        Refused: 404 where there is no such object, 416 where the range lies outside.
    """
    info = store.head(key)
    if info is None:
        raise Refused(404, "There is no such file.")
    etag = f'"{(info.etag or "").strip(chr(34))}"'
    headers = {"Accept-Ranges": "bytes", "ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    span = _span(request.headers.get("range", ""), info.size) if _is_current(request, etag) else None
    start, stop = span or (0, info.size)
    headers["Content-Length"] = str(stop - start)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{info.size}"
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(_parts(store, info, start, stop), status, headers, media_type)


def _parts(store: ObjectStore, info: ObjectInfo, start: int, stop: int) -> Iterator[bytes]:
    yield from store.ranges(info, start, stop)


def _is_current(request: Request, etag: str) -> bool:
    """A range of another version than the one that the browser has begun with is of no use."""
    wanted = request.headers.get("if-range")
    return wanted is None or wanted == etag


def _span(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for no range, several, or units that are none of ours."""
    match = _ONE_RANGE.fullmatch(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
    if last and first and int(last) < int(first):
        return None  # not a range: to be ignored
    if start >= size or start >= stop:
        raise Refused(416, f"The file has {size} bytes.", headers={"Content-Range": f"bytes */{size}"})
    return start, stop
