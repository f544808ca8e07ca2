"""A Twitch on loopback: tokens of the client-credentials flow, and clips, games and users by id, with faults."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from clipfarm_assets_tests.loopback import JsonHandler, serving_with

CLIENT_ID = "me"
SECRET = "twitch-secret-9f2c"
TOKEN = "twitch-token-4b1d"
CLIP = {
    "id": "Awkward", "title": "Nice", "game_id": "33", "broadcaster_id": "b1", "broadcaster_name": "Nova",
    "creator_id": "c1", "creator_name": "Cy", "language": "en",
}  # fmt: skip
_ROWS = {
    "clips": {"Awkward": CLIP},
    "games": {"33": {"id": "33", "name": "Chess"}, "7": {"id": "7", "name": "Go"}},
    "users": {"b9": {"id": "b9", "display_name": "Velvet"}},
}


@dataclass
class Helix:
    """What was asked. ``faults`` answer the next requests, ``valid`` is the token that is taken.

    Errors repeat what was sent, secrets included.
    """

    url: str
    faults: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    tokens: int = 0
    valid: str = ""
    client_refused: bool = False


@contextmanager
def serving() -> Iterator[Helix]:
    """The server, for the time of the block."""

    class Handler(JsonHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            assert form["grant_type"] == ["client_credentials"]
            assert form["client_secret"] == [SECRET]
            found.tokens += 1
            found.valid = f"{TOKEN}-{found.tokens}"
            if found.client_refused:
                self.say(403, {"message": f"no client {form}"})
            else:
                self.say(200, {"access_token": found.valid, "expires_in": 3600, "token_type": "bearer"})

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            resource, ids = parts.path.rsplit("/", 1)[-1], parse_qs(parts.query)["id"]
            found.paths.append(f"{resource} {len(ids)}")
            sent = {"message": f"trouble with {self.headers['Authorization']}"}
            if self.headers["Authorization"] != f"Bearer {found.valid}" or self.headers["Client-Id"] != CLIENT_ID:
                self.say(401, sent)
            elif found.faults:
                status, headers = found.faults.pop(0)
                self.say(status, sent, headers)
            else:
                self.say(200, {"data": [_ROWS[resource][each] for each in ids if each in _ROWS[resource]]})

        def say(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            self.answer(status, json.dumps(content).encode(), headers)

    with serving_with(Handler) as address:
        found = Helix(address)
        yield found
