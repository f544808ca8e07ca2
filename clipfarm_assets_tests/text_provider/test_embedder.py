"""Texts through cache, limiter and a real HTTP server with faults; and through the real model of this project."""

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from clipfarm_assets.errors import ConfigurationError, ProviderError
from clipfarm_assets.measures import Measures
from clipfarm_assets.settings import Settings
from clipfarm_assets.text_provider.cache import FileCache
from clipfarm_assets.text_provider.embedder import Embedder, open_embedder
from clipfarm_assets.text_provider.interface import Cause, Identity, Outcome, ProviderSettings, TextFailure
from clipfarm_assets.text_provider.limiter import RateLimiter
from clipfarm_assets_tests.embedding_server import KEY, EmbeddingServer, Fault, serving, vector_of

DIM = 8


@pytest.fixture
def server() -> Iterator[EmbeddingServer]:
    with serving() as found:
        yield found


def embedder(server: EmbeddingServer, folder: Path, **changes: object) -> Embedder:
    fields: dict[str, object] = {
        "provider": "openai", "model": "text-embedding-3-small", "dim": DIM, "api_key": SecretStr(KEY),
        "base_url": server.url, "folder": folder, "requests_per_minute": 60_000, "pause_sec": 0.01, "timeout_sec": 2.0,
    }  # fmt: skip
    return open_embedder(ProviderSettings(**fields | changes), Settings(_env_file=None), None)  # type: ignore[arg-type, call-arg]


def causes(outcomes: list[Outcome]) -> list[Cause | None]:
    return [outcome.cause if isinstance(outcome, TextFailure) else None for outcome in outcomes]


def test_every_text_gets_its_own_vector_in_few_requests(server: EmbeddingServer, tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(1_050)]
    server.latency_sec = 0.1
    outcomes = embedder(server, tmp_path).embed(texts)
    for text, vector in zip(texts, outcomes, strict=True):
        assert not isinstance(vector, TextFailure)
        np.testing.assert_allclose(vector, vector_of(text, DIM), rtol=1e-6)
    assert len(server.requests) == 11
    assert server.most_at_once > 1
    assert {(r["model"], r["dimensions"], r["key"]) for r in server.requests} == {
        ("text-embedding-3-small", DIM, f"Bearer {KEY}")
    }


def test_a_second_run_asks_for_nothing_and_gives_the_same(server: EmbeddingServer, tmp_path: Path) -> None:
    texts = ["one", "two", "one", " two ", "three"]
    first = embedder(server, tmp_path).embed(texts)
    assert sorted(server.texts) == ["one", "three", "two"]
    stream = list(embedder(server, tmp_path).stream(texts))
    assert len(server.requests) == 1
    assert all(each.cached for each in stream)
    for each in stream:
        np.testing.assert_array_equal(each.outcome, first[each.place])  # type: ignore[arg-type]


def test_another_model_dimension_or_address_is_another_vector(server: EmbeddingServer, tmp_path: Path) -> None:
    embedder(server, tmp_path).embed(["one"])
    for changes in ({"model": "text-embedding-3-large"}, {"dim": 4}):
        embedder(server, tmp_path, **changes).embed(["one"])
    assert len(server.requests) == 3
    keys = {
        Identity(*parts).key(text)  # type: ignore[arg-type]
        for parts in [("a", "b", "c", 1), ("a", "b", "c", 2), ("a", "b", "", 1), ("ab", "", "c", 1)]
        for text in ("", "x")
    }
    assert len(keys) == 8


def test_requests_and_lookups_are_counted(server: EmbeddingServer, tmp_path: Path) -> None:
    server.fault = lambda number, texts: Fault(503) if number == 0 else None
    measures = Measures()
    fields = {"base_url": server.url, "dim": DIM, "folder": tmp_path, "requests_per_minute": 60_000, "pause_sec": 0.01}
    settings = ProviderSettings("openai", api_key=SecretStr(KEY), **fields)  # type: ignore[arg-type]
    made = open_embedder(settings, Settings(_env_file=None), None, measures)  # type: ignore[call-arg]
    made.embed(["one", "two"])
    made.embed(["one", "two", "three"])
    found = {(each.name, *dict(each.labels).values()): n for each, n in measures.totals().items()}
    assert found["upstream_requests", "embedding", "unavailable"] == 1
    assert found["upstream_requests", "embedding", "ok"] == 2
    assert (found["embedding_cache_requests", "hit"], found["embedding_cache_requests", "miss"]) == (2, 3)
    assert KEY not in str(measures.totals())


def test_a_bad_text_fails_alone(server: EmbeddingServer, tmp_path: Path) -> None:
    server.fault = lambda number, texts: Fault(400) if "poison" in texts else None
    texts = [*(f"text {n}" for n in range(57)), "poison", *(f"more {n}" for n in range(60)), ""]
    outcomes = embedder(server, tmp_path).embed(texts)
    assert [n for n, cause in enumerate(causes(outcomes)) if cause] == [57, 118]
    assert causes(outcomes)[57:119:61] == [Cause.REJECTED, Cause.EMPTY]
    assert not Cause.REJECTED.can_pass
    assert len(server.requests) <= 2 + 2 * 7


@pytest.mark.parametrize(
    "fault",
    [
        Fault(429), Fault(500), Fault(503), Fault(408), Fault(409), Fault(0), Fault(200, raw=b"not json"),
        Fault(200, raw=b"{}"), Fault(200, raw=b'{"object": "list", "data": []}'), Fault(500, wait_sec=3.0),
    ],
)  # fmt: skip
def test_what_can_pass_is_tried_three_times(server: EmbeddingServer, tmp_path: Path, fault: Fault) -> None:
    server.fault = lambda number, texts: fault if number < 2 else None
    assert causes(embedder(server, tmp_path, timeout_sec=1.0).embed(["one"])) == [None]
    assert len(server.requests) == 3
    server.fault = lambda number, texts: fault
    outcome = embedder(server, tmp_path, timeout_sec=1.0).embed(["two"])[0]
    assert isinstance(outcome, TextFailure)
    assert outcome.cause.can_pass
    assert len(server.requests) == 6


@pytest.mark.parametrize("status", [400, 413, 422, 401, 403, 404])
def test_other_refusals_are_not_tried_again(server: EmbeddingServer, tmp_path: Path, status: int) -> None:
    server.fault = lambda number, texts: Fault(status)
    outcome = embedder(server, tmp_path).embed(["one"])[0]
    assert isinstance(outcome, TextFailure)
    assert len(server.requests) == 1


def test_a_refused_key_is_not_tried_a_thousand_times(server: EmbeddingServer, tmp_path: Path) -> None:
    server.fault = lambda number, texts: Fault(401)
    outcomes = embedder(server, tmp_path, in_flight=4, texts_per_request=10).embed([str(n) for n in range(1_000)])
    assert set(causes(outcomes)) == {Cause.DENIED}
    assert len(server.requests) <= 8


def test_a_pause_that_is_asked_for_holds_for_every_request(server: EmbeddingServer, tmp_path: Path) -> None:
    server.fault = lambda number, texts: Fault(429, {"Retry-After": "1"}) if number == 0 else None
    server.latency_sec = 0.05
    outcomes = embedder(server, tmp_path, in_flight=1, texts_per_request=1).embed(["a", "b", "c"])
    assert causes(outcomes) == [None] * 3
    assert server.times[1] - server.times[0] >= 1.0


ONE_PROCESS = """
import sys
from pathlib import Path
from pydantic import SecretStr
from clipfarm_assets.settings import Settings
from clipfarm_assets.text_provider.embedder import open_embedder
from clipfarm_assets.text_provider.interface import ProviderSettings

url, folder, per_minute, first, last, size = sys.argv[1:]
made = open_embedder(ProviderSettings(
    provider="openai", model="m", dim=8, api_key=SecretStr("k"), base_url=url, folder=Path(folder), pause_sec=0.01,
    requests_per_minute=int(per_minute), texts_per_request=int(size)), Settings(_env_file=None), None)
for each in made.stream([f"text {n}" for n in range(int(first), int(last))]):
    print(each.place, flush=True)
"""


def started(
    server: EmbeddingServer, folder: Path, per_minute: int, first: int, last: int, size: int
) -> "subprocess.Popen[str]":
    arguments = [server.url, str(folder), *(str(n) for n in (per_minute, first, last, size))]
    return subprocess.Popen([sys.executable, "-c", ONE_PROCESS, *arguments], stdout=subprocess.PIPE, text=True)


def test_two_processes_together_stay_below_the_limit_retries_included(server: EmbeddingServer, tmp_path: Path) -> None:
    per_minute, window = 600, 6.0
    server.fault = lambda number, texts: Fault(500) if number % 5 == 0 else None
    both = [started(server, tmp_path, per_minute, start, start + 60, 1) for start in (0, 1_000)]
    assert [process.communicate(timeout=120)[0].count("\n") for process in both] == [60, 60]
    assert [process.returncode for process in both] == [0, 0]
    times = sorted(server.times)
    assert len(times) >= 140
    # The full bucket and what a window refills: a twentieth of a minute's tokens, and ten a second.
    most = max(sum(start <= each < start + window for each in times) for start in times)
    assert most <= per_minute / 20 + (per_minute - per_minute / 20) * window / 60 + 3


@settings(max_examples=15, deadline=None)
@given(st.integers(30, 300), st.lists(st.floats(0, 30), min_size=1, max_size=8))
def test_no_minute_ever_has_more_tokens_than_allowed(
    tmp_path_factory: pytest.TempPathFactory, per_minute: int, idle: list[float]
) -> None:
    now, taken = [1_000.0], []

    def sleep(seconds: float) -> None:
        now[0] += max(seconds, 1e-6)

    limiter = RateLimiter(tmp_path_factory.mktemp("l") / "bucket", per_minute, clock=lambda: now[0], sleep=sleep)
    for pause in idle:
        now[0] += pause
        for _ in range(40):
            limiter.take()
            taken.append(now[0])
    for number, start in enumerate(taken):
        assert sum(each < start + 60 for each in taken[number:]) <= per_minute


def test_a_process_that_is_killed_loses_nothing_that_it_was_given(server: EmbeddingServer, tmp_path: Path) -> None:
    server.latency_sec = 0.05
    process = started(server, tmp_path, 60_000, 0, 400, 2)
    assert process.stdout is not None
    given = {int(process.stdout.readline()) for _ in range(100)}
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.3)
    sent_before = len(server.texts)
    rest = started(server, tmp_path, 60_000, 0, 400, 2)
    assert rest.communicate(timeout=60)[0].count("\n") == 400
    asked_again = {int(text.split()[1]) for text in server.texts[sent_before:]}
    assert not asked_again & given
    assert len(asked_again) < 400


@pytest.mark.parametrize("given", [0, 20])
def test_ctrl_c_waits_for_what_was_sent_keeps_it_and_sends_no_more(
    server: EmbeddingServer, tmp_path: Path, given: int
) -> None:
    """Stopped before the first answer, and while answers are given: what was paid for is not paid for again."""
    server.latency_sec = 2.0 if not given else 0.1
    process = started(server, tmp_path, 2_000, 0, 3_000, 2)  # a full bucket has 100 of the 1,500 requests
    assert process.stdout is not None
    while len(server.requests) < 20:
        time.sleep(0.01)
    for _ in range(given):
        process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    sent = set(server.texts)
    assert process.returncode not in (0, -signal.SIGKILL) and len(sent) == len(server.texts) < 3_000
    cache = FileCache(tmp_path / "vectors.sqlite")
    identity = Identity("openai", "m", server.url, 8)
    assert len(cache.get([identity.key(text) for text in sent])) == len(sent)


def test_the_key_is_nowhere_after_a_run_with_faults(
    server: EmbeddingServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for fault in (Fault(400), Fault(401), Fault(429), Fault(500), Fault(0), Fault(200, raw=b"{")):
        server.fault = lambda number, texts, fault=fault: fault  # type: ignore[misc]
        made = embedder(server, tmp_path)
        said += [repr(made.embed(["a text"])), repr(made), repr(made.identity)]
    said += [repr(ProviderSettings(api_key=SecretStr(KEY))), caplog.text]
    said += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert "a text" not in "".join(each for each in said[:-3] if "TextFailure" in each)
    assert all(KEY not in each for each in said)


def test_an_estimate_asks_nobody(server: EmbeddingServer, tmp_path: Path) -> None:
    made = embedder(server, tmp_path, price_usd=0.02, requests_per_minute=500)
    made.embed(["known"])
    found = made.estimate(["known", "", *(f"{n:08d}" for n in range(1_000))])
    assert (found.texts, found.cached, found.requests, found.tokens, found.minutes) == (1_000, 1, 10, 2_000, 0.02)
    assert found.cost_usd == pytest.approx(2_000 * 0.02 / 1e6)
    assert len(server.requests) == 1


def test_a_cache_that_is_damaged_is_named(server: EmbeddingServer, tmp_path: Path) -> None:
    made = embedder(server, tmp_path)
    (tmp_path / "vectors.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ProviderError, match=r"vectors\.sqlite"):
        made.embed(["one"])


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    for wrong in (
        ProviderSettings(provider="magic", folder=tmp_path),
        ProviderSettings(provider="openai", folder=tmp_path),
    ):
        with pytest.raises(ConfigurationError):
            open_embedder(wrong, Settings(_env_file=None), None)  # type: ignore[call-arg]


def test_the_local_model_is_the_default_and_cached_alike(tmp_path: Path) -> None:
    made = open_embedder(ProviderSettings(folder=tmp_path), Settings(_env_file=None, device="cpu"), None)  # type: ignore[call-arg]
    assert (made.identity.provider, made.identity.dim) == ("sentence-transformers", 384)
    dog, puppy, tax = made.embed(["a dog in the snow", "puppy plays in winter", "income tax return"])
    assert float(np.dot(dog, puppy)) > float(np.dot(dog, tax)) + 0.2  # type: ignore[arg-type]
    assert all(each.cached for each in made.stream(["a dog in the snow", "income tax return"]))
    assert made.embed(["\ud800a dog in the snow\x00"])[0] is not None
