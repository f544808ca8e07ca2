"""A web server on loopback where each path is one way in which servers behave."""

import functools
import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from clipfarm_assets_tests.loopback import LoopbackServer

ETAG = '"one"'
Behaviour = Callable[["Visit"], None]


@dataclass
class Web:
    """A running server; ``asked`` is the path and Range of each request."""

    body: bytes
    url: str = ""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.asked)


class Visit(BaseHTTPRequestHandler):
    """One request. ``answer`` says things as they are; behaviours say other things."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body of an answer wait 40 ms for each other
    web: Web

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client hung up
            self.close_connection = True

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.web.asked.append((path, self.headers.get("Range")))
        name = path.lstrip("/").partition(".")[0].partition("/")[0]
        BEHAVIOURS.get(name, lambda visit: visit.answer(404))(self)

    def log_message(self, format: str, *args: object) -> None:
        pass

    @property
    def body(self) -> bytes:
        return self.web.body

    @property
    def start(self) -> int:
        """The first byte asked for."""
        return int((self.headers.get("Range") or "bytes=0-")[6:-1])

    @property
    def is_first(self) -> bool:
        return self.web.count(unquote(urlsplit(self.path).path)) == 1

    def answer(self, status: int = 200, body: bytes = b"", until: int | None = None, **headers: str) -> None:
        """The whole answer, or its first ``until`` bytes and then a cut; `Content_Type=…` names a header."""
        self.send_response_only(status)
        named = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in named.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:until])
        if until is not None:
            self.close_connection = True

    def video(self, status: int = 200, body: bytes | None = None, until: int | None = None, **headers: str) -> None:
        self.answer(status, self.body if body is None else body, until, **{"Content_Type": "video/mp4"} | headers)

    def rest(self, *, total: int | None = None, start: int | None = None, until: int | None = None) -> None:
        """A 206 with what was asked for, which may say other things of itself."""
        body = self.body[self.start :]
        said = self.start if start is None else start
        size = len(self.body) if total is None else total
        self.video(206, body, until, ETag=ETAG, Content_Range=f"bytes {said}-{said + len(body) - 1}/{size}")

    def chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))


def _cut_then(after: Behaviour) -> Behaviour:
    """Half of the file the first time; then something else."""

    def behave(visit: Visit) -> None:
        if visit.is_first:
            visit.video(until=len(visit.body) // 2, ETag=ETAG)
        else:
            after(visit)

    return behave


def _chunked(visit: Visit, *, until: int | None = None) -> None:
    visit.answer(Content_Type="video/mp4", Content_Length="", Transfer_Encoding="chunked")
    visit.chunk(visit.body[:until])
    if until is None:
        visit.chunk(b"")
    visit.close_connection = until is not None


def _unsaid_length(visit: Visit) -> None:
    visit.video(Content_Length="", Connection="close")
    visit.close_connection = True


def _endless(visit: Visit) -> None:
    visit.answer(Content_Type="video/mp4", Content_Length="", Transfer_Encoding="chunked")
    while not visit.web.closing.wait(0.01):
        visit.chunk(bytes(100_000))


def _drip(visit: Visit, head: bytes = b"") -> None:
    if not head:
        visit.send_response_only(200)
        visit.send_header("Content-Length", str(len(visit.body)))
        visit.end_headers()
    for byte in head or visit.body:
        if visit.web.closing.wait(0.05):
            return
        visit.wfile.write(bytes([byte]))


def _stall(visit: Visit) -> None:
    visit.web.closing.wait(60)
    visit.close_connection = True


def _another_file(visit: Visit) -> None:
    """It was replaced meanwhile: with If-Range a server answers the whole of the new one."""
    visit.video(ETag='"two"')


@functools.cache
def _bomb() -> bytes:
    return gzip.compress(bytes(20_000_000))


BEHAVIOURS: dict[str, Behaviour] = {
    "good": lambda visit: visit.video(),
    "good clip ü &+": lambda visit: visit.video(),
    "chain": lambda visit: visit.answer(302, Location="/chain2.mp4"),
    "chain2": lambda visit: visit.answer(307, Location=f"http://localhost:{visit.web.port}/chain3.mp4"),
    "chain3": lambda visit: visit.answer(308, Location="/good%20clip%20%C3%BC%20&+.mp4?token=secret"),
    "chain-raw": lambda visit: visit.answer(302, Location="/good clip ü &+.mp4".encode().decode("latin-1")),
    "loop": lambda visit: visit.answer(301, Location="/loop.mp4"),
    "to-file": lambda visit: visit.answer(302, Location="file:///etc/passwd"),
    "to-private": lambda visit: visit.answer(302, Location="http://169.254.169.254/latest/meta-data/a.mp4"),
    "to-nothing": lambda visit: visit.answer(302, Location="http://[bad"),
    "unsaid-length": _unsaid_length,
    "chunked": _chunked,
    "chunked-cut": lambda visit: _chunked(visit, until=1000),
    "cut": _cut_then(lambda visit: visit.rest()),
    "cut-ignored": _cut_then(lambda visit: visit.video(ETag=ETAG)),
    "cut-changed": _cut_then(_another_file),
    "cut-short": _cut_then(lambda visit: visit.rest() if visit.start > 3 * len(visit.body) // 4 else _short(visit)),
    "cut-other-start": _cut_then(lambda visit: visit.rest(start=0) if visit.headers.get("Range") else visit.video()),
    "cut-other-size": _cut_then(lambda visit: visit.rest(total=9**9) if visit.headers.get("Range") else visit.video()),
    "cut-416": _cut_then(lambda visit: visit.answer(416) if visit.headers.get("Range") else visit.video()),
    "cut-always": lambda visit: visit.video(until=1000),
    "gzip": lambda visit: visit.video(body=gzip.compress(visit.body), Content_Encoding="gzip"),
    "aws-chunked": lambda visit: visit.video(Content_Encoding="aws-chunked"),
    "brotli": lambda visit: visit.video(Content_Encoding="br"),
    "bomb": lambda visit: visit.video(body=_bomb(), Content_Encoding="gzip"),
    "declared-large": lambda visit: visit.video(until=1000, Content_Length=str(10**12)),
    "endless": _endless,
    "html": lambda visit: visit.answer(200, b"<html>", Content_Type="text/html"),
    "hidden-html": lambda visit: visit.video(body=b"\n<!DOCTYPE html><html>"),
    "image": lambda visit: visit.answer(200, b"\x89PNG", Content_Type="image/png"),
    "pdf": lambda visit: visit.answer(200, b"%PDF", Content_Type="application/pdf"),
    "json": lambda visit: visit.answer(200, b'{"error": 1}', Content_Type="application/json"),
    "empty": lambda visit: visit.video(body=b""),
    "noise": lambda visit: visit.video(body=bytes(range(256)) * 40),
    "busy": lambda visit: visit.answer(429, Retry_After="7200"),
    "overloaded": lambda visit: visit.answer(503, Retry_After="7200"),
    "busy-briefly": lambda visit: visit.answer(429, Retry_After="1") if visit.is_first else visit.video(),
    "down-briefly": lambda visit: visit.answer(502) if visit.is_first else visit.video(),
    "drip": _drip,
    "drip-head": lambda visit: _drip(visit, b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 10_000),
    "stall": _stall,
    "cut-head": lambda visit: setattr(visit, "close_connection", True),
    **{f"status-{code}": (lambda visit, code=code: visit.answer(code)) for code in (204, 401, 403, 404, 410, 451, 500)},
}


def _short(visit: Visit) -> None:
    """A part that ends before the file does, as it says."""
    middle = len(visit.body) * 7 // 8
    body = visit.body[visit.start : middle]
    visit.video(206, body, ETag=ETAG, Content_Range=f"bytes {visit.start}-{middle - 1}/{len(visit.body)}")


@contextmanager
def running_web(body: bytes, wrap: Callable[[Any], Any] | None = None) -> Iterator[Web]:
    """A server for the time of the block; ``wrap`` makes its socket one of TLS."""
    web = Web(body)
    server = LoopbackServer(("127.0.0.1", 0), type("Bound", (Visit,), {"web": web}))
    server.block_on_close = False
    if wrap is not None:
        server.socket = wrap(server.socket)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    web.url = f"http{'s' if wrap else ''}://127.0.0.1:{server.server_port}"
    try:
        yield web
    finally:
        web.closing.set()
        server.shutdown()
        server.server_close()
