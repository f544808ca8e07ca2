"""A language model on loopback that speaks the Responses API, says what a test gives it to say, and has faults."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from clipfarm_assets_tests.loopback import LoopbackServer

Say = Callable[[dict[str, Any]], "Turn"]


@dataclass(frozen=True)
class Turn:
    """One answer of the server.

    Attributes:
        text: what the model says; anything but a string is sent as JSON.
        refusal: said in its place.
        status: HTTP status; any but 200 is sent as an error.
        wait_sec: silence before the answer.
        half: the connection breaks in the middle of the body.
        raw: the body itself, whatever it is.
    """

    text: Any = ""
    refusal: str | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait_sec: float = 0.0
    half: bool = False
    incomplete: bool = False
    raw: bytes | None = None


@dataclass
class LlmServer:
    """What was asked, with which key, and what will be said: ``turns`` in their order, then ``say``."""

    url: str
    turns: list[Turn] = field(default_factory=list)
    say: Say = field(default=lambda request: Turn(status=500))
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def question(self, number: int = -1) -> str:
        """The text of a request's question."""
        content = self.requests[number]["input"][0]["content"]
        return "\n".join(part["text"] for part in content if part["type"] == "input_text")


@contextmanager
def serving() -> Iterator[LlmServer]:
    """The server, for the time of the block."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = json.loads(body)
            with lock:
                found.requests.append(request)
                found.keys.append(self.headers.get("Authorization", ""))
                turn = found.turns.pop(0) if found.turns else found.say(request)
            time.sleep(turn.wait_sec)
            content = turn.raw if turn.raw is not None else json.dumps(_body(turn, request)).encode()
            self.send_response(turn.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in turn.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if turn.half else content)
            self.close_connection = turn.half

        def log_message(self, *args: object) -> None:
            pass

    server = LoopbackServer(("127.0.0.1", 0), Handler)
    found = LlmServer(f"http://127.0.0.1:{server.server_address[1]}/v1")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()


def _body(turn: Turn, request: dict[str, Any]) -> dict[str, Any]:
    if turn.status != 200:
        return {
            "error": {"message": "secret detail of the server", "type": "server_error", "code": None, "param": None}
        }
    text = turn.text if isinstance(turn.text, str) else json.dumps(turn.text)
    said = {"type": "output_text", "text": text, "annotations": []}
    if turn.refusal is not None:
        said = {"type": "refusal", "refusal": turn.refusal}
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "model": request["model"],
        "status": "incomplete" if turn.incomplete else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if turn.incomplete else None,
        "error": None, "instructions": None, "metadata": {}, "parallel_tool_calls": False, "tool_choice": "auto",
        "tools": [], "temperature": 1.0, "top_p": 1.0,
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [said]}],
        "usage": {
            "input_tokens": 100, "output_tokens": 20, "total_tokens": 120,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
        },
    }  # fmt: skip
