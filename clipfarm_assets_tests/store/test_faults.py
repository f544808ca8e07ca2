"""A store that fails is survived where trying again helps; else it says what happened and what to do, and no secret.

The client and the S3 are real; a proxy between them breaks what goes through.
"""

import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from clipfarm_assets.errors import StoreAccessDenied, StoreError, StoreFull, StoreMissing, StoreUnavailable
from clipfarm_assets.store.artifacts import Artifacts, Made, Versions
from clipfarm_assets.store.failures import store_error
from clipfarm_assets.store.object_store import ObjectStore, open_store
from clipfarm_assets_tests.conftest import S3Server
from clipfarm_assets_tests.store import proxy as network
from clipfarm_assets_tests.store.proxy import Fault, Proxy

SECRETS = ("test-access-key", "test-secret-key", "token-of-this-test-0123456789", "Signature=", "hunter2")
SMALL, OLD = b"content", b"old content"
BIG = bytes(range(256)) * 4 * 1024 * 11  # 11 MiB: three parts of an upload
PARTS = 3
MAX_TRIES = 11


def _local_file(store: ObjectStore, key: str) -> bytes | None:
    with store.local_file(key) as path:
        return None if path is None else path.read_bytes()


def _put_parts(store: ObjectStore) -> bytes | None:
    store.put("parts", Path("big"))
    return store.get("parts")


def _put(store: ObjectStore) -> bytes | None:
    store.put("new", SMALL)
    return store.get("new")


def _delete(store: ObjectStore) -> bytes | None:
    store.delete("held/small")
    return store.get("held/small")


# What is asked of the store, and what comes of it where all goes well.
CALLS: dict[str, tuple[Callable[[ObjectStore], object], object]] = {
    "get": (lambda store: store.get("held/small"), SMALL),
    "head": (lambda store: (store.head("held/small") or pytest.fail("gone")).size, len(SMALL)),
    "put": (_put, SMALL),
    "put_parts": (_put_parts, BIG),
    "delete": (_delete, None),
    "list": (lambda store: [info.key for info in store.list("held")], ["held/big", "held/small"]),
    "local_file": (lambda store: _local_file(store, "held/big"), BIG),
}
# Which requests of a call the fault meets, where it cannot meet all.
IN_REQUEST_BODY = {"put": "put", "put_parts": "put part", "delete": "delete"}
IN_ANSWER_BODY = {"get": "get", "list": "list", "local_file": "get"}


@pytest.fixture(scope="module")
def filled(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a store that holds a big object; the folder of the tests."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "big").write_bytes(BIG)
    with pytest.MonkeyPatch.context() as patch:
        s3_server.use(patch, folder)
        url = f"s3://{s3_server.bucket}/{uuid4().hex}"
        open_store(url).put("held/big", folder / "big")
    return url


@pytest.fixture
def proxy(
    s3_server: S3Server, filled: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[float], tuple[Proxy, ObjectStore]]]:
    """Opens a store that holds a small and a big object, behind a proxy that does no harm yet."""
    s3_server.use(monkeypatch, tmp_path)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS[2])
    monkeypatch.chdir(tmp_path)
    Path("big").write_bytes(BIG)
    open_store(filled).put("held/small", SMALL)
    with network.running_proxy(s3_server.endpoint) as running:
        yield lambda timeout_sec: (running, open_store(filled, endpoint=running.endpoint, timeout_sec=timeout_sec))


Opened = Callable[[float], tuple[Proxy, ObjectStore]]


def _everything_said(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


def _fails(call: Callable[[], object], kind: type[StoreError], words: str) -> None:
    """The call fails with this error, which shows a hint and no secret."""
    with pytest.raises(kind, match=words) as caught:
        call()
    assert type(caught.value) is kind
    assert caught.value.hint
    assert not any(secret in _everything_said(caught.value) for secret in SECRETS)


PASSING = {
    "slow_down": (3, network.says(503, "SlowDown"), dict.fromkeys(CALLS, "")),
    "internal_error": (2, network.says(500, "InternalError"), dict.fromkeys(CALLS, "")),
    "cut_before_the_answer": (2, network.cut_before_answer, dict.fromkeys(CALLS, "")),
    "cut_after_it_was_done": (2, network.cut_after_doing, dict.fromkeys(CALLS, "")),
    "cut_within_what_is_sent": (2, network.cut_in_request_body, IN_REQUEST_BODY),
    "cut_within_the_answer": (2, network.cut_in_answer_body, IN_ANSWER_BODY),
    "silence": (1, network.stall, IN_REQUEST_BODY | IN_ANSWER_BODY),
    "silence_within_the_answer": (1, network.stall_in_answer_body, IN_ANSWER_BODY),
}


@pytest.mark.parametrize(
    ("fault", "name"), [(fault, name) for fault, (_, _, names) in PASSING.items() for name in names]
)
def test_a_fault_that_passes_is_survived(proxy: Opened, fault: str, name: str) -> None:
    times, what, verbs = PASSING[fault]
    running, store = proxy(1.0)
    met: list[network.Request] = []
    choose = network.first(times, what, *filter(None, [verbs[name]]))

    def count(request: network.Request) -> Fault | None:
        if (chosen := choose(request)) is not None:
            met.append(request)
        return chosen

    running.fault = count
    call, expected = CALLS[name]
    assert call(store) == expected
    assert len(met) == times, "the fault was met"


@pytest.mark.parametrize(
    ("fault", "verb"),
    [
        (network.cut_before_answer, "begin parts"),
        (network.cut_before_answer, "complete parts"),
        (network.cut_after_doing, "complete parts"),
        (network.says(200, "InternalError"), "complete parts"),  # S3 may say so after it has begun its answer
        (network.says(503, "SlowDown"), "complete parts"),
    ],
)
def test_an_upload_in_parts_survives_a_fault_at_any_step(proxy: Opened, fault: Fault, verb: str) -> None:
    running, store = proxy(1.0)
    running.fault = network.first(1, fault, verb)
    assert _put_parts(store) == BIG
    assert running.count("put part") == PARTS, "no part is sent twice"


LASTING: dict[str, tuple[Fault, type[StoreError], str]] = {
    "slow_down": (network.says(503, "SlowDown"), StoreUnavailable, "503 Service Unavailable"),
    "internal_error": (network.says(500, "InternalError"), StoreUnavailable, "500 Internal Server Error"),
    "cut_before_the_answer": (network.cut_before_answer, StoreUnavailable, "connection to .* broke|no answer"),
    "no_space": (network.says(507, "XMinioStorageFull"), StoreFull, "no space left. Free some space"),
}
REFUSED: dict[str, tuple[Fault, type[StoreError], str]] = {
    "strange": (network.says(400, "Strange"), StoreUnavailable, "400 Bad Request: Strange"),
    "wrong_key": (network.says(403, "InvalidAccessKeyId"), StoreAccessDenied, "refused. Set AWS_ACCESS_KEY_ID"),
    "wrong_secret": (network.says(403, "SignatureDoesNotMatch"), StoreAccessDenied, "credentials .* refused"),
    "no_right": (network.says(403, "AccessDenied"), StoreAccessDenied, "access denied"),
    "no_login": (network.says(401), StoreAccessDenied, "access denied"),
    "expired_token": (network.says(400, "ExpiredToken"), StoreAccessDenied, "expired .* Renew it"),
    "wrong_clock": (network.says(403, "RequestTimeTooSkewed"), StoreAccessDenied, "Set this machine's clock"),
    "no_bucket": (network.says(404, "NoSuchBucket"), StoreMissing, "bucket.*Create it, or correct CLIPFARM_STORE"),
    "redirect": (network.says(301, "PermanentRedirect"), StoreMissing, "another region. Set AWS_REGION"),
    "other_region": (
        network.says(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"), StoreMissing,
        "another region. Set AWS_REGION=eu-west-1",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "name"),
    [("slow_down", name) for name in CALLS]
    + [(fault, name) for fault in sorted(LASTING)[:-1] for name in ("head", "put_parts")],
)
def test_a_fault_that_lasts_is_named_after_a_bounded_number_of_tries(proxy: Opened, fault: str, name: str) -> None:
    what, kind, words = LASTING[fault]
    running, store = proxy(0.3)
    running.fault = network.always(what)
    _fails(lambda: CALLS[name][0](store), kind, words)
    assert 2 <= len(running.requests) <= MAX_TRIES


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("fault", REFUSED)
def test_a_refusal_is_named_at_once(proxy: Opened, fault: str, name: str) -> None:
    what, kind, words = REFUSED[fault]
    running, store = proxy(20.0)
    running.fault = network.always(what)
    _fails(lambda: CALLS[name][0](store), kind, words)
    assert len(running.requests) == (2 if name in ("head", "local_file") else 1), "a HEAD has no body that says why"


@pytest.mark.parametrize("name", ["get", "put_parts", "delete", "list", "local_file"])
def test_silence_ends_at_the_time_limit(proxy: Opened, name: str) -> None:
    running, store = proxy(0.3)
    running.fault = network.always(network.stall)
    _fails(lambda: CALLS[name][0](store), StoreUnavailable, "no answer from .* within CLIPFARM_STORE_TIMEOUT_SEC")
    assert len(running.requests) <= MAX_TRIES


def test_a_trickle_ends_at_the_time_limit(proxy: Opened) -> None:
    running, store = proxy(0.1)
    running.fault = network.always(network.trickle, "get")
    _fails(lambda: _local_file(store, "held/big"), StoreUnavailable, "Could not read held/big")


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:9", "nobody listens at http://127.0.0.1:9"),
        ("http://ann:hunter2@127.0.0.1:9", r"nobody listens at http://(\*\*\*@)?127.0.0.1:9"),
        ("http://no-such-host.invalid:9000", "name of http://no-such-host.invalid:9000 does not resolve"),
    ],
)
def test_an_endpoint_that_is_not_there_is_named(s3_url: str, endpoint: str, words: str) -> None:
    _fails(lambda: open_store(s3_url, endpoint=endpoint, timeout_sec=0.2).get("k"), StoreUnavailable, words)


@pytest.mark.parametrize("name", CALLS)
def test_a_missing_bucket_is_said_to_be_missing(s3_url: str, name: str, tmp_path: Path, proxy: Opened) -> None:
    _fails(lambda: CALLS[name][0](open_store("s3://no-such-bucket/prefix")), StoreMissing, "bucket")


def test_a_deletion_that_is_refused_within_a_good_answer_fails(proxy: Opened) -> None:
    running, store = proxy(1.0)

    def refuse(exchange: network.Exchange) -> None:
        key = exchange.body().decode().partition("<Key>")[2].partition("</Key>")[0]
        said = f"<Error><Key>{key}</Key><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        exchange.say(200, {}, f"<DeleteResult>{said}</DeleteResult>".encode())

    running.fault = network.always(refuse, "delete")
    _fails(lambda: store.delete("held/small"), StoreAccessDenied, "Could not delete held/small")


BROKEN_WRITES = {
    "put": (network.cut_in_request_body, "put"),
    "put part": (network.cut_in_request_body, "put part"),
    "complete parts": (network.cut_before_answer, "complete parts"),
    "complete parts in words": (network.says(200, "InternalError"), "complete parts"),
}


@pytest.mark.parametrize("fault", BROKEN_WRITES)
def test_a_write_that_breaks_leaves_the_old_content_whole_and_nothing_new_is_proven(proxy: Opened, fault: str) -> None:
    running, store = proxy(0.5)
    artifacts, versions = Artifacts(store), Versions("1")
    what, verb = BROKEN_WRITES[fault]
    new = Made(SMALL if fault == "put" else Path("big"))

    def put(made: Made, source_hash: str) -> None:
        artifacts.put("v1", made, stage="s", video_id="v1", source_hash=source_hash, versions=versions)

    put(Made(OLD), "old")
    running.fault = network.always(what, verb)
    _fails(lambda: put(new, "new"), StoreUnavailable, "Could not write v1 in s3://")
    assert verb != "complete parts" or running.count("abort parts"), "the parts are not left to be paid for"
    assert store.get("v1") == OLD
    assert artifacts.prove("v1", "old", versions) is not None
    assert artifacts.prove("v1", "new", versions) is None
    running.fault = network.always(network.pass_on)
    put(new, "new")
    assert artifacts.prove("v1", "new", versions) is not None


def test_a_download_that_breaks_leaves_no_file(proxy: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clipfarm_assets.store.object_store._READ_CHUNK_BYTES", 4 * 1024**2)
    monkeypatch.setenv("TMPDIR", str(Path.cwd()))
    monkeypatch.setattr("tempfile.tempdir", None)
    running, store = proxy(0.5)
    seen: list[str] = []

    def after_the_first(request: network.Request) -> Fault | None:
        seen.append(request.verb)
        return network.cut_in_answer_body if seen.count("get") > 1 else None

    running.fault = after_the_first
    _fails(lambda: _local_file(store, "held/big"), StoreUnavailable, "Could not read held/big .*broke")
    assert [path.name for path in Path.cwd().iterdir()] == ["big"]


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
    assert isinstance(store_error("write k", store.url, store.root, caught.value), StoreFull)


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
        assert _local_file(s3_store, "k") == bytes(range(size))
