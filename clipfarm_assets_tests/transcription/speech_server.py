"""OpenAI's transcription API on loopback: says what a test gives it to say, and has faults."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Turn:
    """One answer: a body as JSON or bytes, and what goes wrong with it."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_sec: float = 0.0
    half: bool = False


@dataclass
class SpeechServer:
    """What was sent, by field; ``turns`` are said in their order, the last one again and again."""

    url: str
    turns: list[Turn] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[SpeechServer]:
    """The server, for the time of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(_fields(self.headers["Content-Type"], body) | {"path": self.path})
            turn = found.turns.pop(0) if len(found.turns) > 1 else found.turns[0]
            time.sleep(turn.wait_sec)
            error = {"error": {"message": "secret detail of the server", "type": "x", "code": None, "param": None}}
            said = error if turn.status != 200 else turn.body
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(turn.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in turn.headers.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(BrokenPipeError):  # who asked has given up
                self.wfile.write(content[: len(content) // 2] if turn.half else content)
            self.close_connection = turn.half

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = SpeechServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _fields(content_type: str, body: bytes) -> dict[str, Any]:
    """A multipart form: texts, lists under names that end in ``[]``, and the file's bytes."""
    form: Message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    fields: dict[str, Any] = {}
    for part in form.get_payload():
        assert isinstance(part, Message)
        name, data = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
        if part.get_filename():
            fields["file"] = data
        elif str(name).endswith("[]"):
            fields.setdefault(str(name)[:-2], []).append(data.decode())  # type: ignore[union-attr]
        else:
            fields[str(name)] = data.decode()  # type: ignore[union-attr]
    return fields
