"""A store that fails says what happened and what to do, soon, and gives no secret away."""

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from clipfarm_assets.errors import StoreAccessDenied, StoreError, StoreFull, StoreMissing, StoreUnavailable
from clipfarm_assets.store.object_store import ObjectStore, open_store

ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"
CALLS: dict[str, Callable[[ObjectStore], object]] = {
    "get": lambda store: store.get("k"),
    "head": lambda store: store.head("k"),
    "put": lambda store: store.put("k", b"x"),
    "delete": lambda store: store.delete("k"),
    "list": lambda store: store.list("k"),
}


@pytest.fixture(params=sorted(CALLS))
def call(request: pytest.FixtureRequest) -> Callable[[ObjectStore], object]:
    return CALLS[request.param]


@pytest.fixture
def hostile_s3(s3_url: str) -> Iterator[Callable[[int, str], ObjectStore]]:
    """Opens a store on a server that gives one answer to everything, the request's own headers in its body."""
    servers = []

    def start(status: int, code: str) -> ObjectStore:
        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                said = f"<Error><Code>{code}</Code><AWSAccessKeyId>{ACCESS_KEY}</AWSAccessKeyId>{self.headers}</Error>"
                self.send_response(status)
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(said.encode())

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return open_store(s3_url, endpoint=f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _everything_said(error: StoreError) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


@pytest.mark.parametrize("name", ["get", "put", "list"])
def test_a_missing_bucket_is_said_to_be_missing(s3_url: str, name: str) -> None:
    with pytest.raises(StoreMissing, match=r"bucket.*Create it, or correct CLIPFARM_STORE"):
        CALLS[name](open_store("s3://no-such-bucket/prefix"))


def test_an_endpoint_that_nobody_answers_is_unavailable_soon(s3_url: str) -> None:
    started = time.monotonic()
    with pytest.raises(StoreUnavailable, match="check the endpoint"):
        open_store(s3_url, endpoint="http://127.0.0.1:9").get("k")
    assert time.monotonic() - started < 30


def test_refused_credentials_are_named_and_not_shown(
    hostile_s3: Callable[[int, str], ObjectStore], call: Callable[[ObjectStore], object]
) -> None:
    with pytest.raises(StoreAccessDenied, match="AWS_ACCESS_KEY_ID") as caught:
        call(hostile_s3(403, "InvalidAccessKeyId"))
    assert ACCESS_KEY not in _everything_said(caught.value)
    assert SECRET_KEY not in _everything_said(caught.value)


def test_no_error_text_carries_credentials(
    hostile_s3: Callable[[int, str], ObjectStore], call: Callable[[ObjectStore], object]
) -> None:
    with pytest.raises(StoreUnavailable, match="400 Bad Request") as caught:
        call(hostile_s3(400, "Strange"))
    said = _everything_said(caught.value)
    assert ACCESS_KEY not in said
    assert SECRET_KEY not in said
    assert "Signature=" not in said


def test_a_store_without_any_credentials_says_so(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreAccessDenied, match="No AWS credentials were found"):
        open_store(s3_url)


def test_a_full_disk_is_said_to_be_full(local_url: str) -> None:
    device = Path("/dev/full")
    if not device.exists():
        pytest.skip("this system has no /dev/full")
    store = open_store(local_url)
    assert store.root is not None
    with pytest.raises(OSError, match="No space left") as caught:
        device.write_bytes(b"x")
    assert isinstance(store._translate("write k", caught.value), StoreFull)


def test_an_object_replaced_during_a_download_is_not_half_of_each(
    s3_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clipfarm_assets.store.object_store._READ_CHUNK_BYTES", 4)
    old = s3_store.put("k", b"old-old-old-")
    s3_store.put("k", b"new-new-new-")
    monkeypatch.setattr(s3_store, "head", lambda key: old)
    with pytest.raises(StoreUnavailable), s3_store.local_file("k"):
        pass


def test_ranges_join_to_the_whole(s3_store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipfarm_assets.store.object_store._READ_CHUNK_BYTES", 5)
    for size in (0, 1, 4, 5, 6, 10, 23):
        s3_store.put("k", bytes(range(size)))
        with s3_store.local_file("k") as path:
            assert path is not None
            assert path.read_bytes() == bytes(range(size))
