"""Download one file over HTTP, going on after a cut connection.

In: an ``http(s)`` address. Out: the bytes in a ``Sink`` and their content type. What can go wrong: ``SourceRemoved``
(410), ``SourceUnavailable`` (404, no such host), ``SourceForbidden`` (401, 403, an address of this machine's own
networks), ``RateLimited`` (429), ``SourceNetwork`` (5xx, cut, slow), ``SourceFormat`` (a page, a playlist, a picture),
``SourceTooLarge``.

Every hop's name is resolved once, checked, and connected to at just the addresses found, so a name that answers
differently the second time reaches nothing else. A redirect from https to plain http is refused. Proxies and ``.netrc``
of the environment are not used.

A file whose length the server does not say (neither Content-Length nor chunks) is whole when the connection ends: HTTP
has no way to tell a cut there.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.cookies import extract_cookies_to_jar

from clipfarm_assets.attempts import OF_THE_MACHINE
from clipfarm_assets.errors import (
    RateLimited,
    SourceError,
    SourceForbidden,
    SourceFormat,
    SourceNetwork,
    SourceRemoved,
    SourceUnavailable,
)
from clipfarm_assets.media.download import CHUNK_BYTES, FetchOptions, Sink, shown

_MAX_HOPS = 10
_BY_STATUS: dict[int, type[SourceError]] = {
    401: SourceForbidden,
    403: SourceForbidden,
    404: SourceUnavailable,
    410: SourceRemoved,
    451: SourceUnavailable,
}
_SHORT_WAIT_SEC = 10.0  # a wait that the source asks for is kept at once up to this, by a later run beyond it
_LONGEST_WAIT_SEC = 24 * 3600.0
_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})
_CUT = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def content_type_of(url: str, options: FetchOptions) -> str:
    """What the address answers with, without its body; lower case, without parameters.

    Raises:
        SourceError: as the module says.
    """
    try:
        with _answer(url, {}, options, time.monotonic() + options.deadline_sec) as response:
            return _content_type(response)
    except _CUT as error:
        raise _network(f"{shown(url)} does not answer", error) from None


def is_media_type(content_type: str) -> bool:
    """A file rather than a page. An answer without a type may be one."""
    return content_type.startswith(("video/", "audio/")) or content_type in {
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "application/mp4",
        "application/x-matroska",
        "application/ogg",
        "application/force-download",
    }


def download(url: str, sink: Sink, options: FetchOptions, is_text: bool = False) -> str:
    """Fill the sink with a video, or with any text but a web page where ``is_text``; the content type.

    Raises:
        SourceError: as the module says.
    """
    until = time.monotonic() + options.deadline_sec
    validator: str | None = None  # what tells that the file is still the one whose beginning is here
    total: int | None = None
    for attempt in range(1, options.attempts + 1):
        wait = 0.5 * 2 ** (attempt - 1)
        headers = {}
        if sink.size and validator:
            headers = {"Range": f"bytes={sink.size}-", "If-Range": validator}
        else:
            sink.restart()
        try:
            with _answer(url, headers, options, until) as response:
                part, validator = _part(response), None
                if part is None:
                    sink.restart()
                    total = _length(response)
                elif part.start != sink.size or total not in (None, part.total):
                    raise SourceNetwork(f"{shown(url)} answers another part of the file than was asked for.")
                _check_type(url, _content_type(response), is_text)
                validator = _validator(response)
                _copy(url, response, sink, until)
                if part is not None and sink.size != part.total:
                    raise SourceNetwork(f"{shown(url)} answers only a part of the file.")
                return _content_type(response)
        except _CUT as error:
            why: SourceError = _network(f"The connection to {shown(url)} failed", error)
            if time.monotonic() > until:
                why = _too_slow(url)
        except SourceNetwork as error:
            why = error
        except RateLimited as error:
            if not 0 < error.retry_after_sec <= _SHORT_WAIT_SEC:
                raise
            why, wait = error, error.retry_after_sec
        if attempt == options.attempts or time.monotonic() + wait > until:
            break
        options.pause(wait)
    raise why


@contextmanager
def _answer(url: str, headers: dict[str, str], options: FetchOptions, until: float) -> Iterator[requests.Response]:
    """The answer at the end of all redirects, its body not yet read; the connection breaks when the time is over."""
    with requests.Session() as session, closing(_Line(until)) as line:
        session.trust_env = False
        for scheme in ("http://", "https://"):
            session.mount(scheme, _PinnedAdapter(line))
        for _ in range(_MAX_HOPS):
            request = _prepared(session, url, headers)
            line.addresses = _addresses(str(urlsplit(request.url).hostname), options)
            adapter = session.get_adapter(str(request.url))  # the session itself would look into redirects
            with adapter.send(
                request, stream=True, timeout=options.timeout_sec, verify=session.verify, proxies={}
            ) as response:
                extract_cookies_to_jar(session.cookies, request, response.raw)
                if response.is_redirect:
                    url = _next_hop(url, response.headers["location"])
                    continue
                _check_status(url, response)
                yield response
                return
    raise SourceFormat(f"{shown(url)} redirects more than {_MAX_HOPS} times.")


class _Line:
    """Connects to addresses that were checked, one after another, and hangs up when the time is over.

    A server that sends a byte now and then, be it of its headers, never meets a timeout of silence.
    """

    def __init__(self, until: float) -> None:
        self.addresses: list[str] = []
        self._until = until
        self._watched: list[tuple[threading.Timer, socket.socket]] = []

    def connect(self, connection: urllib3.connection.HTTPConnection) -> socket.socket:
        error: OSError | None = None
        for address in self.addresses:
            try:
                found = socket.create_connection((address, connection.port), connection.timeout)
            except OSError as refused:
                error = refused
                continue
            self._watch(found)
            return found
        raise urllib3.exceptions.NewConnectionError(connection, "no address of it answers") from error

    def close(self) -> None:
        for timer, twin in self._watched:
            timer.cancel()
            twin.close()

    def _watch(self, found: socket.socket) -> None:
        twin = found.dup()  # TLS takes the socket itself over
        timer = threading.Timer(max(self._until - time.monotonic(), 0.0), _hang_up, [twin])
        timer.daemon = True
        timer.start()
        self._watched.append((timer, twin))


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended by itself
        connection.shutdown(socket.SHUT_RDWR)


class _PinnedAdapter(HTTPAdapter):
    """Connects by the given line, whatever the name resolves to by then; TLS still checks the name."""

    def __init__(self, line: _Line) -> None:
        super().__init__()

        class Plain(urllib3.connection.HTTPConnection):
            def _new_conn(self) -> socket.socket:
                return line.connect(self)

        class Secure(urllib3.connection.HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                return line.connect(self)

        plain = type("PlainPool", (urllib3.HTTPConnectionPool,), {"ConnectionCls": Plain})
        secure = type("SecurePool", (urllib3.HTTPSConnectionPool,), {"ConnectionCls": Secure})
        self.poolmanager.pool_classes_by_scheme = {"http": plain, "https": secure}


def check(url: str) -> None:
    """Nothing is asked yet.

    Raises:
        SourceFormat: this can be no address of the web.
    """
    with requests.Session() as session:
        _prepared(session, url, {})


def _prepared(session: requests.Session, url: str, headers: dict[str, str]) -> requests.PreparedRequest:
    try:
        if urlsplit(url).scheme in ("http", "https") and urlsplit(url).hostname:
            request = requests.Request("GET", url, {"Accept-Encoding": "identity", **headers})
            return session.prepare_request(request)
    except (ValueError, requests.RequestException):  # of a port, a host, a user that cannot be
        pass
    raise SourceFormat(f"{shown(url)} is no web address.")


def _next_hop(url: str, location: str) -> str:
    try:
        found = urljoin(url, location.encode("latin-1").decode("utf-8", "replace"))
    except ValueError:
        raise SourceFormat(f"{shown(url)} redirects to what is no address.") from None
    if url.startswith("https:") and found.startswith("http:"):
        raise SourceForbidden(
            f"{shown(url)} redirects to plain http, where anybody on the way could put another file.",
            hint="If that is meant, write the http:// address into the row.",
        )
    return found


def _addresses(host: str, options: FetchOptions) -> list[str]:
    """The addresses of the host that may be connected to, in the resolver's order."""
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise SourceUnavailable(f"There is no such host as {shown(host)} here.") from None
    allowed = [address for address in dict.fromkeys(found) if options.allow_private or is_public(address)]
    if not allowed:
        raise SourceForbidden(
            f"{shown(host)} is an address of this machine or its networks, which are not allowed.",
            hint="Set CLIPFARM_ALLOW_PRIVATE_ADDRESSES=true where every row of the metadata is to be trusted.",
        )
    return allowed


def is_public(address: str) -> bool:
    """An address of the open internet, also where it wraps an IPv4 address (mapped, 6to4, NAT64)."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _check_status(url: str, response: requests.Response) -> None:
    status, wait = response.status_code, response.headers.get("retry-after")
    if status in (200, 206) or (status == 416 and "Range" in response.request.headers):
        return
    if status == 429 or (status == 503 and wait):
        raise RateLimited(f"{shown(url)} answers {status}.", retry_after_sec=_seconds(wait or ""))
    if status in _BY_STATUS:
        raise _BY_STATUS[status](f"{shown(url)} answers {status}.")
    if status >= 500 or status in (408, 416, 425):
        raise SourceNetwork(f"{shown(url)} answers {status}.")
    raise SourceUnavailable(f"{shown(url)} answers {status}.")


def _seconds(retry_after: str) -> float:
    """How long Retry-After (RFC 9110, 10.2.3) asks to wait, a day at most; 0 where it says nothing readable."""
    if retry_after.strip().isdecimal():
        wait = float(retry_after)
    else:
        try:
            wait = (parsedate_to_datetime(retry_after).astimezone(UTC) - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError):
            return 0.0
    return min(max(wait, 0.0), _LONGEST_WAIT_SEC)


def _content_type(response: requests.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_type(url: str, content_type: str, is_text: bool) -> None:
    text = content_type != "text/html" and content_type.startswith(("text/", "application/"))
    if not (is_media_type(content_type) or (is_text and text)):
        raise SourceFormat(f"{shown(url)} answers {content_type}, not a video.")


class _Part(NamedTuple):
    """What a 206 holds: from which byte, and how many the whole file has."""

    start: int
    total: int


def _part(response: requests.Response) -> _Part | None:
    """The part of the file that the answer holds; None for the whole."""
    if response.status_code == 200:
        return None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("content-range", "").strip())
    return _Part(int(match[1]), int(match[2])) if match and response.status_code == 206 else _Part(-1, -1)


def _validator(response: requests.Response) -> str | None:
    """What tells that the file is still the same; a weak ETag does not. None where a part would be of no use."""
    if _encoding(response):
        return None
    etag = response.headers.get("etag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("last-modified")


def _length(response: requests.Response) -> int | None:
    """How many bytes the answer will bring; None where it does not say, or is packed."""
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() and not _encoding(response) else None


def _encoding(response: requests.Response) -> str:
    """The content encoding, which some servers apply unasked; S3 keeps `aws-chunked` of uploads, which is none."""
    named = response.headers.get("content-encoding", "").lower().split(",")
    return ",".join(name.strip() for name in named if name.strip() not in ("", "identity", "aws-chunked"))


def _copy(url: str, response: requests.Response, sink: Sink, until: float) -> None:
    encoding, length = _encoding(response), _length(response)
    if encoding and encoding not in _ENCODINGS:
        raise SourceFormat(f"{shown(url)} answers in an encoding that was not asked for.")
    if length is not None:
        sink.expect(sink.size + length)
    first = sink.size == 0
    while chunk := response.raw.read1(CHUNK_BYTES, decode_content=bool(encoding)):
        if first and chunk.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
            raise SourceFormat(f"{shown(url)} answers a web page, not a video.")
        first = False
        sink.write(chunk)
    if time.monotonic() > until:  # the line was hung up, which looks like an end
        raise _too_slow(url)


def _too_slow(url: str) -> SourceNetwork:
    return SourceNetwork(f"{shown(url)} is too slow: the time for one download is over (CLIPFARM_DOWNLOAD_LIMIT_SEC).")


def _network(what: str, error: BaseException) -> SourceNetwork:
    """The failed connection in words that hold no address; a full disk and the like are no fault of the source."""
    if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
        raise error
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return SourceNetwork(f"{what}: its certificate is not valid ({cause.verify_message}).")
    return SourceNetwork(f"{what}: {type(error).__name__}.")
