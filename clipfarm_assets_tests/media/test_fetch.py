import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from clipfarm_assets.errors import (
    RateLimited,
    SourceError,
    SourceForbidden,
    SourceFormat,
    SourceNetwork,
    SourcePrivate,
    SourceRemoved,
    SourceTooLarge,
    SourceUnavailable,
    SourceUpcoming,
    VideoError,
)
from clipfarm_assets.media import http_source, site_source
from clipfarm_assets.media.fetch import FetchOptions, fetch, fingerprint
from clipfarm_assets_tests.loopback import LoopbackServer

BODY = bytes(range(256)) * 2000


class Handler(BaseHTTPRequestHandler):
    """Each path is one way in which a server behaves."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str | None]]
    etag = '"one"'

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.append((path, self.headers.get("Range")))
        if path.startswith("/status/"):
            self.answer(b"no", int(path.split("/")[2].partition(".")[0]))
        elif path.startswith("/redirect/"):
            self.answer(b"", 302, {"Location": self.path.partition("to=")[2].partition("&")[0] or "/video.mp4"})
        elif path == "/loop.mp4":
            self.answer(b"", 302, {"Location": "/loop.mp4"})
        elif path == "/page.mp4":
            self.answer(b"<html>", 200, {"Content-Type": "text/html; charset=utf-8"})
        elif path == "/hidden-page.mp4":
            self.answer(b"\n<!DOCTYPE html><html>", 200, {"Content-Type": "video/mp4"})
        elif path == "/page":
            self.answer(b"<html>", 200, {"Content-Type": "text/html"})
        elif path == "/captions.srt":
            self.answer(b"1\n0:0:1,0 --> 0:0:2,0\nhi", 200, {"Content-Type": "text/plain"})
        elif path == "/slow.mp4":
            time.sleep(2)
            self.close_connection = True
        elif path == "/drip.mp4":
            self.drip()
        elif path in ("/cut.mp4", "/cut-always.mp4", "/changed.mp4", "/no-validator.mp4"):
            self.cut(path)
        else:
            self.answer(BODY, 200, {"Content-Type": "video/mp4"})

    def drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        try:
            for _ in range(40):
                self.wfile.write(b"x")
                time.sleep(0.1)
        except OSError:
            pass
        self.close_connection = True

    def cut(self, path: str) -> None:
        """Half of what is left, then the connection breaks; the second time all that is left."""
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        first = sum(p == path for p, _ in self.asked) == 1
        etag = '"two"' if path == "/changed.mp4" and not first else self.etag
        if self.headers.get("If-Range") not in (None, etag):
            start = 0
        body = BODY[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Content-Length", str(len(body)))
        if path != "/no-validator.mp4":
            self.send_header("ETag", etag)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        self.end_headers()
        whole = not first and path != "/cut-always.mp4"
        self.wfile.write(body if whole else body[: len(body) // 2])
        self.close_connection = True

    def answer(self, body: bytes, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def asked() -> list[tuple[str, str | None]]:
    """Path and Range header of each request."""
    return []


@pytest.fixture
def server(asked: list[tuple[str, str | None]]) -> Iterator[str]:
    handler = type("H", (Handler,), {"asked": asked})
    running = LoopbackServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


@pytest.fixture
def options(tmp_path: Path) -> FetchOptions:
    return FetchOptions(tmp_path, allow_private=True, timeout_sec=0.5, attempts=3, pause=lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


def test_a_file_is_downloaded_whole_with_its_hash(server: str, folder: Path, options: FetchOptions) -> None:
    fetched = fetch(f"{server}/video.mp4?token=secret", folder, options)
    assert fetched.path == folder / "source.mp4"
    assert fetched.path.read_bytes() == BODY
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert (fetched.size, fetched.content_type) == (len(BODY), "video/mp4")
    assert list(folder.iterdir()) == [fetched.path]


def test_an_address_that_answers_with_a_video_is_a_file(server: str, folder: Path, options: FetchOptions) -> None:
    assert fetch(f"{server}/anything", folder, options).size == len(BODY)


def test_redirects_are_followed(server: str, folder: Path, options: FetchOptions) -> None:
    assert fetch(f"{server}/redirect/a.mp4?to=/redirect/b?to={server}/video.mp4", folder, options).size == len(BODY)


def test_a_cut_download_goes_on_where_it_was_cut(
    server: str, folder: Path, options: FetchOptions, asked: list[tuple[str, str | None]]
) -> None:
    assert fetch(f"{server}/cut.mp4", folder, options).path.read_bytes() == BODY
    assert asked == [("/cut.mp4", None), ("/cut.mp4", f"bytes={len(BODY) // 2}-")]


@pytest.mark.parametrize("path", ["/changed.mp4", "/no-validator.mp4"])
def test_a_file_that_changed_or_may_have_is_downloaded_anew(
    server: str, folder: Path, options: FetchOptions, path: str
) -> None:
    assert fetch(server + path, folder, options).path.read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/status/404.mp4", SourceUnavailable),
        ("/status/410.mp4", SourceRemoved),
        ("/status/401.mp4", SourceForbidden),
        ("/status/403.mp4", SourceForbidden),
        ("/status/429.mp4", RateLimited),
        ("/status/500.mp4", SourceNetwork),
        ("/status/503.mp4", SourceNetwork),
        ("/status/418.mp4", SourceUnavailable),
        ("/status/404", SourceUnavailable),
        ("/page.mp4", SourceFormat),
        ("/hidden-page.mp4", SourceFormat),
        ("/page", SourceFormat),
        ("/loop.mp4", SourceFormat),
        ("/slow.mp4", SourceNetwork),
        ("/cut-always.mp4", SourceNetwork),
        ("/redirect/a.mp4?to=file:///etc/passwd", SourceFormat),
    ],
)
def test_each_refusal_has_its_name_and_leaves_nothing_behind(
    server: str, folder: Path, options: FetchOptions, path: str, error: type[SourceError]
) -> None:
    url = server.replace("//", "//user:password@") + path + ("&" if "?" in path else "?") + "token=secret"
    with pytest.raises(error) as raised:
        fetch(url, folder, options)
    assert type(raised.value) is error
    assert not any(word in str(raised.value) for word in ("secret", "password", "token"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("limit", [0, 100, len(BODY) - 1])
@pytest.mark.parametrize("path", ["/video.mp4", "/cut.mp4"])
def test_a_file_over_the_limit_is_too_large(
    server: str, folder: Path, options: FetchOptions, path: str, limit: int
) -> None:
    with pytest.raises(SourceTooLarge):
        fetch(server + path, folder, replace(options, max_bytes=limit))
    assert list(folder.iterdir()) == []


def test_a_trickle_ends_at_the_deadline(server: str, folder: Path, options: FetchOptions) -> None:
    started = time.monotonic()
    with pytest.raises(SourceNetwork):
        fetch(f"{server}/drip.mp4", folder, replace(options, deadline_sec=0.5))
    assert time.monotonic() - started < 3


def test_a_server_that_is_not_there_is_a_network_error(folder: Path, options: FetchOptions) -> None:
    with pytest.raises(SourceNetwork):
        fetch("http://127.0.0.1:9/video.mp4", folder, options)


def test_private_addresses_are_refused_also_behind_a_redirect(
    server: str, folder: Path, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = replace(options, allow_private=False)
    for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "0.0.0.0", "2130706433"):
        with pytest.raises((SourceForbidden, SourceUnavailable)):
            fetch(f"http://{host}/video.mp4", folder, strict)
    monkeypatch.setattr(http_source, "is_public", lambda address: address == "127.0.0.1")
    port = server.rpartition(":")[2]
    with pytest.raises(SourceForbidden):
        fetch(f"{server}/redirect/a.mp4?to=http://127.0.0.2:{port}/video.mp4", folder, strict)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_only_addresses_of_the_open_internet_are_public(address: str, public: bool) -> None:
    assert http_source.is_public(address) is public


def test_the_name_is_resolved_once_and_connected_to_at_that_address(
    server: str, folder: Path, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    real, asked = socket.getaddrinfo, []

    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        if host == "rebinding.test":
            asked.append(host)
            assert len(asked) == 1
            return real("127.0.0.1", *rest, **more)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    port = server.rpartition(":")[2]
    assert fetch(f"http://rebinding.test:{port}/video.mp4", folder, options).size == len(BODY)


def test_a_local_file_is_copied(tmp_path: Path, folder: Path, options: FetchOptions) -> None:
    (tmp_path / "a b.mp4").write_bytes(BODY)
    for url in ("a b.mp4", str(tmp_path / "a b.mp4"), (tmp_path / "a b.mp4").as_uri()):
        fetched = fetch(url, folder, options)
        assert fetched.path.read_bytes() == BODY
        assert fetched.path != tmp_path / "a b.mp4"


@pytest.mark.parametrize(
    ("url", "error"),
    [("none.mp4", SourceUnavailable), (".", SourceFormat), ("ftp://host/a.mp4", SourceFormat), ("a\0b", SourceError)],
)
def test_what_is_no_file_says_so(folder: Path, options: FetchOptions, url: str, error: type[SourceError]) -> None:
    with pytest.raises(error):
        fetch(url, folder, options)
    assert list(folder.iterdir()) == []


def test_a_local_file_over_the_limit_is_too_large(tmp_path: Path, folder: Path, options: FetchOptions) -> None:
    (tmp_path / "a.mp4").write_bytes(BODY)
    with pytest.raises(SourceTooLarge):
        fetch("a.mp4", folder, replace(options, max_bytes=10))


def test_an_s3_object_comes_by_the_aws_variables(
    s3_server: Any, folder: Path, options: FetchOptions, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import boto3

    s3_server.use(monkeypatch, tmp_path)
    boto3.client("s3").put_object(Bucket=s3_server.bucket, Key="in/a b.mp4", Body=BODY)
    assert fetch(f"s3://{s3_server.bucket}/in/a b.mp4", folder, options).path.read_bytes() == BODY
    with pytest.raises(SourceUnavailable):
        fetch(f"s3://{s3_server.bucket}/in/none.mp4", folder, options)


def test_a_transcript_file_may_be_text(server: str, folder: Path, options: FetchOptions) -> None:
    assert fetch(f"{server}/captions.srt", folder, options).path.read_bytes().startswith(b"1\n")


def test_a_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    assert fingerprint("a.mp4", tmp_path) == "missing"
    (tmp_path / "a.mp4").write_bytes(b"one")
    before = fingerprint("a.mp4", tmp_path)
    assert before == fingerprint((tmp_path / "a.mp4").as_uri(), tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"three")
    assert fingerprint("a.mp4", tmp_path) != before
    assert fingerprint("https://host/a.mp4", tmp_path) is None


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("[youtube] abc: Private video. Sign in if you've been granted access to this video", SourcePrivate),
        ("[youtube] abc: Sign in to confirm your age. This video may be inappropriate", SourcePrivate),
        ("[youtube] abc: Sign in to confirm you’re not a bot. Use --cookies-from-browser", RateLimited),
        ("[youtube] abc: Video unavailable. This video has been removed by the uploader", SourceRemoved),
        ("[youtube] abc: This video is no longer available because the account has been terminated", SourceRemoved),
        ("[youtube] abc: Video unavailable", SourceUnavailable),
        ("[youtube] abc: The uploader has not made this video available in your country", SourceUnavailable),
        ("[youtube] abc: Premieres in 3 hours", SourceUpcoming),
        ("[youtube] abc: This live event will begin in 2 days.", SourceUpcoming),
        ("unable to download video data: HTTP Error 403: Forbidden", SourceForbidden),
        ("[tiktok] 1: HTTP Error 429: Too Many Requests", RateLimited),
        ("[x] 1: Requested format is not available. Use --list-formats", SourceFormat),
        ("Unsupported URL: https://host/a?token=secret", SourceFormat),
        ("[x] 1: Unable to download webpage: The read operation timed out", SourceNetwork),
        ("[x] 1: Something odd", VideoError),
    ],
)
def test_the_words_of_yt_dlp_tell_the_status(words: str, error: type[VideoError]) -> None:
    from yt_dlp.utils import DownloadError

    ours = site_source.source_error(DownloadError(f"ERROR: {words}"), "https://host/watch?token=secret")
    assert type(ours) is error
    assert not any(hidden in str(ours) for hidden in ("secret", "--cookies", "[youtube]"))


def test_a_site_that_yt_dlp_knows_is_told_from_others() -> None:
    assert site_source.knows("https://www.youtube.com/watch?v=abcdefghijk")
    assert not site_source.knows("https://example.org/watch")


def test_yt_dlp_brings_a_file(server: str, folder: Path, options: FetchOptions) -> None:
    fetched = site_source.download_site(f"{server}/video.mp4", folder, options)
    assert fetched.path.read_bytes() == BODY
    assert fetched.title == "video"
    assert list(folder.iterdir()) == [fetched.path]


@pytest.mark.parametrize(
    ("path", "error"), [("/status/404.mp4", SourceUnavailable), ("/status/410.mp4", SourceRemoved)]
)
def test_an_error_status_within_yt_dlp_has_its_name(
    server: str, folder: Path, options: FetchOptions, path: str, error: type[SourceError]
) -> None:
    with pytest.raises(error):
        site_source.download_site(server + path, folder, options)


def test_yt_dlp_stops_at_the_size_limit(server: str, folder: Path, options: FetchOptions) -> None:
    with pytest.raises(SourceTooLarge):
        site_source.download_site(f"{server}/video.mp4", folder, replace(options, max_bytes=1000))
