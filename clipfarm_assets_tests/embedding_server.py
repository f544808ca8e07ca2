"""An embeddings API on loopback that speaks OpenAI's protocol, notes every request, and has the faults it is given."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

KEY = "sk-loopback-7f3a9c-very-secret"


@dataclass(frozen=True)
class Fault:
    """In place of an answer. ``status`` 0 breaks the connection; ``raw`` is the body of a 200."""

    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    wait_sec: float = 0.0


@dataclass
class EmbeddingServer:
    """What was asked and when, by ``time.monotonic``; ``fault`` says what is wrong with the n-th request."""

    url: str
    latency_sec: float = 0.0
    fault: Callable[[int, list[str]], Fault | None] = field(default=lambda number, texts: None)
    requests: list[dict[str, Any]] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def texts(self) -> list[str]:
        """Every text that was sent, as often as it was."""
        return [text for request in self.requests for text in request["input"]]


def vector_of(text: str, dim: int) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """The server's vector of a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    vector = np.random.default_rng(seed).standard_normal(dim).astype(np.float32)
    return vector / np.linalg.norm(vector)


@contextmanager
def serving() -> Iterator[EmbeddingServer]:
    """The server, for the time of the block."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(found.requests)
                found.requests.append(request | {"key": self.headers.get("Authorization", "")})
                found.times.append(time.monotonic())
                found.at_once += 1
                found.most_at_once = max(found.most_at_once, found.at_once)
            fault = found.fault(number, request["input"])
            time.sleep(found.latency_sec + (fault.wait_sec if fault else 0))
            with lock:
                found.at_once -= 1
            if fault and not fault.status:
                self.close_connection = True
                return
            error = {"error": {"message": f"{self.headers.get('Authorization')} {request['input'][0]}", "code": None}}
            status = fault.status if fault else 200
            content = json.dumps(error if fault else _answer(request)).encode()
            content = fault.raw if fault and fault.raw is not None else content
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in (fault.headers if fault else {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = EmbeddingServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    data = []
    for index, text in enumerate(request["input"]):
        vector = vector_of(text, request.get("dimensions", 1536))
        as_text = base64.b64encode(vector.tobytes()).decode()
        value = as_text if request.get("encoding_format") == "base64" else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": value})
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return {"object": "list", "data": data[::-1], "model": request["model"], "usage": usage}
