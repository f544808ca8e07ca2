"""Downloads from servers that cut, lie, trickle or refuse: the whole file or nothing, and the right name for why."""

import datetime
import errno
import pickle
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from clipfarm_assets.errors import (
    RateLimited,
    SourceError,
    SourceForbidden,
    SourceFormat,
    SourceNetwork,
    SourceTooLarge,
    SourceUnavailable,
)
from clipfarm_assets.media import http_source
from clipfarm_assets.media.download import shown
from clipfarm_assets.media.fetch import FetchOptions, fetch
from clipfarm_assets.store.object_store import open_store
from clipfarm_assets_tests.conftest import S3Server
from clipfarm_assets_tests.media.web import Web, running_web
from clipfarm_assets_tests.store import proxy as network

BODY = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def one_web() -> Iterator[Web]:
    with running_web(BODY) as running:
        yield running


@pytest.fixture
def web(one_web: Web) -> Web:
    one_web.asked.clear()
    return one_web


@pytest.fixture
def pauses() -> list[float]:
    """The waits between tries, in seconds; nobody waits in truth."""
    return []


@pytest.fixture
def options(tmp_path: Path, pauses: list[float]) -> FetchOptions:
    return FetchOptions(tmp_path, allow_private=True, timeout_sec=2.0, attempts=4, pause=pauses.append)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "out"
    path.mkdir()
    return path


@pytest.mark.parametrize(
    "name",
    [
        "chain", "chain-raw", "good clip ü &+", "unsaid-length", "chunked", "cut", "cut-ignored", "cut-changed",
        "cut-short", "cut-other-start", "cut-other-size", "cut-416", "gzip", "aws-chunked", "busy-briefly",
        "down-briefly",
    ],
)  # fmt: skip
def test_the_file_comes_whole(web: Web, folder: Path, options: FetchOptions, name: str) -> None:
    assert fetch(f"{web.url}/{name}.mp4", folder, options).path.read_bytes() == BODY


def test_only_the_rest_is_asked_for_after_a_cut(web: Web, folder: Path, options: FetchOptions) -> None:
    fetch(f"{web.url}/cut-short.mp4", folder, options)
    size = len(BODY)
    expected = [None, f"bytes={size // 2}-", f"bytes={size * 7 // 8}-"]
    assert [asked for _, asked in web.asked] == expected


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("to-file", SourceFormat, "no web address"),
        ("to-nothing", SourceFormat, "no address"),
        ("chunked-cut", SourceNetwork, "failed"),
        ("cut-head", SourceNetwork, "failed"),
        ("brotli", SourceFormat, "encoding"),
        ("bomb", SourceTooLarge, "CLIPFARM_MAX_DOWNLOAD_BYTES"),
        ("declared-large", SourceTooLarge, "CLIPFARM_MAX_DOWNLOAD_BYTES"),
        ("endless", SourceTooLarge, "CLIPFARM_MAX_DOWNLOAD_BYTES"),
        ("drip", SourceNetwork, "too slow"),
        ("drip-head", SourceNetwork, "too slow"),
    ],
)
def test_what_does_not_come_whole_is_named_and_leaves_nothing(
    web: Web, folder: Path, options: FetchOptions, name: str, error: type[SourceError], words: str
) -> None:
    limited = replace(options, max_bytes=2_000_000, deadline_sec=1.0 if "drip" in name else 60.0)
    with pytest.raises(error, match=words):
        fetch(f"{web.url}/{name}.mp4", folder, limited)
    assert list(folder.iterdir()) == []


def test_a_page_that_trickles_its_headers_ends_at_the_time_limit(web: Web, folder: Path, options: FetchOptions) -> None:
    with pytest.raises(SourceNetwork):
        fetch(f"{web.url}/drip-head", folder, replace(options, deadline_sec=0.5))


@pytest.mark.parametrize("name", ["busy", "overloaded"])
def test_a_long_wait_that_the_source_asks_for_is_left_to_a_later_run(
    web: Web, folder: Path, options: FetchOptions, pauses: list[float], name: str
) -> None:
    with pytest.raises(RateLimited) as caught:
        fetch(f"{web.url}/{name}.mp4", folder, options)
    assert pickle.loads(pickle.dumps(caught.value)).retry_after_sec == 7200
    assert (len(web.asked), pauses) == (1, [])


def test_a_short_wait_that_the_source_asks_for_is_kept_at_once(
    web: Web, folder: Path, options: FetchOptions, pauses: list[float]
) -> None:
    fetch(f"{web.url}/busy-briefly.mp4", folder, options)
    assert pauses == [1.0]


def test_retry_after_is_seconds_or_a_date_and_a_day_at_most() -> None:
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=300)
    assert 290 < http_source._seconds(format_datetime(soon, usegmt=True)) <= 300
    said = ("120", "", "soon", "-5", "99999999999", "Wed, 21 Oct 2015 07:28:00 GMT")
    assert [http_source._seconds(text) for text in said] == [120, 0, 0, 0, 86400, 0]


def test_every_address_of_a_name_is_tried(
    web: Web, folder: Path, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = socket.getaddrinfo

    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        if host != "two.test":
            return real(host, *rest, **more)
        return [*real("127.0.0.3", *rest, **more), *real("127.0.0.1", *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    assert fetch(f"http://two.test:{web.port}/good.mp4", folder, options).size == len(BODY)


@pytest.mark.parametrize("resolved", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "10.1.2.3", "0.0.0.0"])
def test_a_name_of_a_private_address_is_refused(
    web: Web, folder: Path, options: FetchOptions, monkeypatch: pytest.MonkeyPatch, resolved: str
) -> None:
    family = socket.AF_INET6 if ":" in resolved else socket.AF_INET
    answer = [(family, socket.SOCK_STREAM, 6, "", (resolved, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer)
    with pytest.raises(SourceForbidden, match=r"rebinding.test .*CLIPFARM_ALLOW_PRIVATE_ADDRESSES"):
        fetch(f"http://rebinding.test:{web.port}/good.mp4", folder, replace(options, allow_private=False))
    assert web.asked == []


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Web]:
    """A server whose certificate nobody vouches for; valid for `localhost` otherwise."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with running_web(BODY, lambda plain: context.wrap_socket(plain, server_side=True)) as running:
        yield running


def test_a_certificate_that_nobody_vouches_for_is_said_to_be_so(tls: Web, folder: Path, options: FetchOptions) -> None:
    with pytest.raises(SourceNetwork, match=r"certificate is not valid .*self-signed"):
        fetch(f"https://localhost:{tls.port}/good.mp4", folder, options)


@pytest.fixture
def trusted(tls: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Web:
    monkeypatch.setattr(requests.sessions.Session, "__init__", _with_authority(str(tmp_path / "server.pem")))
    return tls


def _with_authority(path: str) -> Any:
    real = requests.sessions.Session.__init__

    def init(self: requests.Session) -> None:
        real(self)
        self.verify = path

    return init


def test_tls_checks_the_name_though_the_address_is_pinned(trusted: Web, folder: Path, options: FetchOptions) -> None:
    assert fetch(f"https://localhost:{trusted.port}/good.mp4", folder, options).size == len(BODY)
    with pytest.raises(SourceNetwork, match=r"certificate is not valid .*mismatch"):
        fetch(f"https://127.0.0.1:{trusted.port}/good.mp4", folder, options)


def test_a_redirect_to_plain_http_is_refused(trusted: Web, folder: Path, options: FetchOptions) -> None:
    with pytest.raises(SourceForbidden, match="plain http"):
        fetch(f"https://localhost:{trusted.port}/chain2.mp4", folder, options)


def test_a_full_disk_is_no_fault_of_the_source(web: Web, folder: Path, options: FetchOptions) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (folder / "source.mp4.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        fetch(f"{web.url}/good.mp4", folder, options)
    assert caught.value.errno == errno.ENOSPC
    assert len(web.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "https://user:hunter2@host/a.mp4?X-Amz-Signature=hunter2#hunter2",
        "https://host/a.mp4;token=hunter2",
        "https://hunter2@host/a.mp4",
        "https://host:hunter2/a.mp4",
        "user:hunter2@host/a.mp4?token=hunter2",
        "https:/user:hunter2@host/a.mp4",
        "https://[hunter2/a.mp4",
        "ftp://user:hunter2@host/a.mp4",
        "s3://user:hunter2@bucket/a.mp4",
        "file://user:hunter2@host/a.mp4",
        "https://user:hunter2@" + "x" * 5000 + "/a.mp4",
        "https://user:hunter2@host\n/a.mp4",
    ],
)
def test_no_message_shows_what_an_address_hides(folder: Path, options: FetchOptions, url: str) -> None:
    with pytest.raises(SourceError) as caught:
        fetch(url, folder, replace(options, allow_private=False, attempts=1, timeout_sec=0.2))
    said = f"{caught.value} {shown(url)}"
    assert "hunter2" not in said or url.startswith(("https://host:hunter2", "https://[hunter2"))
    assert len(said) < 1500
    assert "\n" not in said


KILLED = """
import sys
from pathlib import Path
from clipfarm_assets.media.fetch import FetchOptions, fetch
fetch(sys.argv[1], Path(sys.argv[2]), FetchOptions(Path(), allow_private=True))
"""


def test_a_killed_download_leaves_no_file_and_the_next_one_begins_anew(
    web: Web, folder: Path, options: FetchOptions
) -> None:
    partial = folder / "source.mp4.partial"
    with subprocess.Popen([sys.executable, "-c", KILLED, f"{web.url}/endless.mp4", str(folder)]) as process:
        while process.poll() is None and not (partial.exists() and partial.stat().st_size > 1_000_000):
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert list(folder.iterdir()) == [partial]
    assert fetch(f"{web.url}/good.mp4", folder, options).path.read_bytes() == BODY
    assert [path.name for path in folder.iterdir()] == ["source.mp4"]


@pytest.fixture
def behind_proxy(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, options: FetchOptions
) -> Iterator[tuple[network.Proxy, FetchOptions, str]]:
    """A bucket with one video, behind a proxy; the options that lead there; its URL without the key."""
    s3_server.use(monkeypatch, tmp_path)
    bucket = f"s3://{s3_server.bucket}"
    open_store(bucket).put("in/good.mp4", BODY)
    with network.running_proxy(s3_server.endpoint) as proxy:

        def opened(url: str) -> Any:
            return open_store(url, endpoint=proxy.endpoint, timeout_sec=0.3)

        yield proxy, replace(options, open_store=opened), bucket


S3_CASES: dict[str, tuple[str, network.Fault | None, type[SourceError], str]] = {
    "missing key": ("{}/in/none.mp4", None, SourceUnavailable, "There is no object"),
    "missing bucket": ("s3://no-such-bucket-here/a.mp4", None, SourceUnavailable, "bucket.*Check the row's url"),
    "no key": ("{}", None, SourceFormat, "names no object"),
    "forbidden": ("{}/in/good.mp4", network.says(403, "AccessDenied"), SourceForbidden, "access denied"),
    "expired": ("{}/in/good.mp4", network.says(400, "ExpiredToken"), SourceForbidden, "Renew it"),
    "other region": ("{}/in/good.mp4", network.says(301, "PermanentRedirect"), SourceUnavailable, "AWS_REGION"),
    "down": ("{}/in/good.mp4", network.says(503, "SlowDown"), SourceNetwork, "503"),
    "cut": ("{}/in/good.mp4", network.cut_before_answer, SourceNetwork, "broke|no answer"),
}


@pytest.mark.parametrize("case", S3_CASES)
def test_what_s3_refuses_has_the_name_of_the_source(
    behind_proxy: tuple[network.Proxy, FetchOptions, str], folder: Path, case: str
) -> None:
    proxy, options, bucket = behind_proxy
    url, fault, error, words = S3_CASES[case]
    if fault is not None:
        proxy.fault = network.always(fault)
    with pytest.raises(error, match=words) as caught:
        fetch(url.format(bucket), folder, options)
    assert "test-access-key" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_an_object_over_the_limit_is_not_fetched(
    behind_proxy: tuple[network.Proxy, FetchOptions, str], folder: Path
) -> None:
    proxy, options, bucket = behind_proxy
    with pytest.raises(SourceTooLarge):
        fetch(f"{bucket}/in/good.mp4", folder, replace(options, max_bytes=100))
    assert proxy.count("get") == 0


def test_an_object_comes_whole_through_a_connection_that_breaks(
    behind_proxy: tuple[network.Proxy, FetchOptions, str], folder: Path
) -> None:
    proxy, options, bucket = behind_proxy
    proxy.fault = network.first(1, network.cut_in_answer_body, "get")
    assert fetch(f"{bucket}/in/good.mp4", folder, options).path.read_bytes() == BODY
    assert proxy.count("get") == 2
