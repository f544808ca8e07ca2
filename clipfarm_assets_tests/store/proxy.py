"""A proxy on loopback that stands between a client and an S3 server, counts what is asked, and breaks what it is told.

``proxy.fault`` looks at each request and names the fault that it meets, or None: then it is passed on as it is.
"""

import html
import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_HOP_BY_HOP = ("connection", "host", "transfer-encoding", "content-length", "expect")


@dataclass
class Request:
    """What a client asked; ``status`` is what it was told, None where the connection broke first."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    status: int | None = None

    @property
    def key(self) -> str:
        """The object's key with the store's prefix; empty for what asks about the bucket."""
        return self.path.lstrip("/").partition("/")[2]

    @property
    def verb(self) -> str:
        """What it is to S3: get, head, put, delete, list, or a step of an upload in parts."""
        if "uploads" in self.query:
            return "begin parts"
        if "uploadId" in self.query:
            return {"PUT": "put part", "POST": "complete parts", "DELETE": "abort parts"}[self.method]
        if "delete" in self.query or self.method == "DELETE":
            return "delete"
        return "list" if self.method == "GET" and "list-type" in self.query else self.method.lower()


Fault = Callable[["Exchange"], None]


@dataclass
class Proxy:
    """One proxy; ``requests`` is everything that was asked, in order."""

    upstream: str
    fault: Callable[[Request], Fault | None] = lambda request: None
    requests: list[Request] = field(default_factory=list)
    endpoint: str = ""
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, verb: str) -> int:
        return sum(request.verb == verb for request in self.requests)

    def written(self) -> list[str]:
        """The keys that were written, as often as they were."""
        whole = [request for request in self.requests if request.verb in ("put", "complete parts")]
        return [request.key for request in whole if request.status == 200]


class Exchange(BaseHTTPRequestHandler):
    """One request on its way; faults drive it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else head and body of an answer wait 40 ms for each other
    proxy: Proxy
    request_seen: Request

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except OSError:  # the client hung up
            self.close_connection = True

    def _meet(self) -> None:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.request_seen = Request(self.command, parts.path, parse_qs(parts.query, keep_blank_values=True), headers)
        with self.proxy.lock:
            self.proxy.requests.append(self.request_seen)
            fault = self.proxy.fault(self.request_seen)
        (fault or pass_on)(self)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _meet

    def log_message(self, format: str, *args: object) -> None:
        pass

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def upstream_answer(self) -> tuple[int, dict[str, str], bytes]:
        """What the real server says to this request."""
        upstream = http.client.HTTPConnection(urlsplit(self.proxy.upstream).netloc, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        upstream.request(self.command, self.path, self.body(), headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        return answer.status, dict(answer.getheaders()), content

    def say(self, status: int, headers: dict[str, str], content: bytes, until: int | None = None) -> None:
        """Answers with the content, or with its first ``until`` bytes only."""
        self.request_seen.status = status
        self.send_response_only(status)
        length = next((value for name, value in headers.items() if name.lower() == "content-length"), "0")
        for name, value in headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:until])
        self.wfile.flush()

    def hang_up(self) -> None:
        """Resets the connection."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


# The faults


def pass_on(exchange: Exchange) -> None:
    exchange.say(*exchange.upstream_answer())


def says(status: int, code: str = "", said: str = "", **headers: str) -> Fault:
    """An error of S3, as its XML, which repeats what was sent, signature and key id included; a HEAD has no body."""

    def fault(exchange: Exchange) -> None:
        exchange.body()
        sent = html.escape(f"{exchange.path} {exchange.headers}")
        xml = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{sent}</Message>{said}</Error>"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        exchange.say(status, {"Content-Type": "application/xml", **named}, xml.encode() if code else b"")

    return fault


def cut_before_answer(exchange: Exchange) -> None:
    """The server never hears of it."""
    exchange.body()
    exchange.hang_up()


def cut_after_doing(exchange: Exchange) -> None:
    """The server does what was asked, and the client does not learn of it."""
    exchange.upstream_answer()
    exchange.hang_up()


def cut_in_request_body(exchange: Exchange) -> None:
    exchange.rfile.read(int(exchange.headers.get("content-length") or 0) // 2)
    exchange.hang_up()


def cut_in_answer_body(exchange: Exchange) -> None:
    status, headers, content = exchange.upstream_answer()
    exchange.say(status, headers, content, until=len(content) // 2)
    exchange.hang_up()


def stall(exchange: Exchange) -> None:
    """Neither answers nor hangs up."""
    exchange.body()
    exchange.proxy.closing.wait(120)
    exchange.hang_up()


def stall_in_answer_body(exchange: Exchange) -> None:
    status, headers, content = exchange.upstream_answer()
    exchange.say(status, headers, content, until=len(content) // 2)
    exchange.proxy.closing.wait(120)
    exchange.hang_up()


def trickle(exchange: Exchange) -> None:
    """A few bytes at a time, never silent for long, never done."""
    status, headers, content = exchange.upstream_answer()
    exchange.say(status, headers, content, until=0)
    for byte in content:
        if exchange.proxy.closing.wait(0.05):
            break
        exchange.wfile.write(bytes([byte]))
    exchange.hang_up()


# When they strike


def first(times: int, fault: Fault, *verbs: str) -> Callable[[Request], Fault | None]:
    """The fault meets the first so many requests of these verbs (of any where none is named)."""
    left = times

    def choose(request: Request) -> Fault | None:
        nonlocal left
        if left <= 0 or (verbs and request.verb not in verbs):
            return None
        left -= 1
        return fault

    return choose


def always(fault: Fault, *verbs: str) -> Callable[[Request], Fault | None]:
    return lambda request: fault if not verbs or request.verb in verbs else None


@contextmanager
def running_proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy for the time of the block."""
    proxy = Proxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Exchange,), {"proxy": proxy}))
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    proxy.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield proxy
    finally:
        proxy.closing.set()
        server.shutdown()
        server.server_close()
