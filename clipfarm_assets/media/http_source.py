"""Download one file over HTTP, going on after a cut connection.

In: an ``http(s)`` address. Out: the bytes in a ``Sink`` and their content type. What can go wrong: ``SourceRemoved``
(410), ``SourceUnavailable`` (404, no such host), ``SourceForbidden`` (401, 403, an address of this machine's own
networks), ``RateLimited`` (429), ``SourceNetwork`` (5xx, cut, slow), ``SourceFormat`` (a page, a playlist, a picture),
``SourceTooLarge``.

Every hop's name is resolved once, checked, and connected to at just that address, so a name that answers differently
the second time reaches nothing else. Proxies and ``.netrc`` of the environment are not used.
"""

import http.client
import ipaddress
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

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
    429: RateLimited,
    451: SourceUnavailable,
}
_CUT = (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def content_type_of(url: str, options: FetchOptions) -> str:
    """What the address answers with, without its body; lower case, without parameters.

    Raises:
        SourceError: as the module says.
    """
    try:
        with _answer(url, {}, options) as response:
            return _content_type(response)
    except _CUT as error:
        raise SourceNetwork(f"{shown(url)} does not answer: {type(error).__name__}.") from None


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
    validator: str | None = None
    for attempt in range(1, options.attempts + 1):
        headers = {}
        if sink.size and validator:
            headers = {"Range": f"bytes={sink.size}-", "If-Range": validator}
        try:
            with _answer(url, headers, options) as response:
                content_type = _content_type(response)
                _check_type(url, content_type, is_text)
                if not _continues(response, sink.size):
                    sink.restart()
                validator = _validator(response)
                _copy(url, response, sink, until)
                return content_type
        except _CUT as error:
            why: SourceError = SourceNetwork(f"The connection to {shown(url)} failed: {type(error).__name__}.")
        except SourceNetwork as error:
            why = error
        if attempt == options.attempts or time.monotonic() > until:
            break
        options.pause(0.5 * 2 ** (attempt - 1))
    raise why


@contextmanager
def _answer(url: str, headers: dict[str, str], options: FetchOptions) -> Iterator[requests.Response]:
    """The answer at the end of all redirects, its body not yet read."""
    with requests.Session() as session:
        session.trust_env = False
        for _ in range(_MAX_HOPS):
            parts = _parts(url)
            address = _address(str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80), options)
            session.mount(f"{parts.scheme}://", _PinnedAdapter(address))
            host = str(parts.netloc).rpartition("@")[2]
            with session.get(
                url,
                headers={"Accept-Encoding": "identity", "Host": host, **headers},
                stream=True,
                allow_redirects=False,
                timeout=options.timeout_sec,
            ) as response:
                if response.is_redirect:
                    url = urljoin(url, response.headers["location"])
                    continue
                _check_status(url, response)
                yield response
                return
    raise SourceFormat(f"{shown(url)} redirects more than {_MAX_HOPS} times.")


class _PinnedAdapter(HTTPAdapter):
    """Connects to one address, whatever the name resolves to by then; TLS still checks the name."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
        host, pool = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] == "https":
            pool |= {"server_hostname": host["host"], "assert_hostname": host["host"]}
        return {**host, "host": self._address}, pool


def _parts(url: str) -> Any:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise SourceFormat(f"{shown(url)} is no web address.")
    return parts


def _address(host: str, port: int, options: FetchOptions) -> str:
    """One address of the host that may be connected to."""
    try:
        found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        raise SourceUnavailable(f"There is no such host as {host} here.") from None
    for address in found:
        if options.allow_private or is_public(address):
            return address
    raise SourceForbidden(f"{host} is an address of this machine or its networks, which are not allowed.")


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
    status = response.status_code
    if status in (200, 206):
        return
    if status in _BY_STATUS:
        raise _BY_STATUS[status](f"{shown(url)} answers {status}.")
    if status >= 500 or status in (408, 416, 425):
        raise SourceNetwork(f"{shown(url)} answers {status}.")
    raise SourceUnavailable(f"{shown(url)} answers {status}.")


def _content_type(response: requests.Response) -> str:
    return response.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_type(url: str, content_type: str, is_text: bool) -> None:
    text = content_type != "text/html" and content_type.startswith(("text/", "application/"))
    if not (is_media_type(content_type) or (is_text and text)):
        raise SourceFormat(f"{shown(url)} answers {content_type}, not a video.")


def _continues(response: requests.Response, size: int) -> bool:
    """The answer begins at the byte after those that are here."""
    if response.status_code != 206:
        return False
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    if match is None or int(match[1]) != size:
        raise SourceNetwork("The server answers another part of the file than was asked for.")
    return True


def _validator(response: requests.Response) -> str | None:
    """What tells that the file is still the same; a weak ETag does not."""
    etag = response.headers.get("etag", "")
    return etag if etag and not etag.startswith("W/") else response.headers.get("last-modified")


def _copy(url: str, response: requests.Response, sink: Sink, until: float) -> None:
    length = response.headers.get("content-length", "")
    if length.isdigit():
        sink.expect(sink.size + int(length))
    first = sink.size == 0
    while chunk := response.raw.read1(CHUNK_BYTES):
        if first and chunk.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
            raise SourceFormat(f"{shown(url)} answers a web page, not a video.")
        first = False
        sink.write(chunk)
        if time.monotonic() > until:
            raise SourceNetwork(f"{shown(url)} is too slow.")
