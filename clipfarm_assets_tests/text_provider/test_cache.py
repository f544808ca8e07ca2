"""What keeps vectors: a file, or a real Redis with a password."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from pydantic import SecretStr

from clipfarm_assets.errors import ConfigurationError, ProviderError
from clipfarm_assets.settings import Settings
from clipfarm_assets.text_provider.cache import FileCache, RedisCache, VectorCache
from clipfarm_assets.text_provider.embedder import open_embedder, provider_settings
from clipfarm_assets_tests.embedding_server import KEY, serving

PASSWORD = "redis-secret"
DAY_SEC = 86_400


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis on a free port, without files."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    options = [
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--requirepass",
        PASSWORD,
        "--dir",
        str(folder),
    ]
    url = f"redis://:{PASSWORD}@127.0.0.1:{port}/0"
    with subprocess.Popen([program, *options], cwd=folder, stdout=subprocess.DEVNULL) as server:
        for _ in range(200):
            try:
                redis.Redis.from_url(url).ping()
                break
            except redis.ConnectionError:
                time.sleep(0.05)
        yield url
        server.terminate()


@pytest.fixture(params=["file", "redis"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> VectorCache:
    if request.param == "file":
        return FileCache(tmp_path / "vectors.sqlite")
    url: str = request.getfixturevalue("redis_url")
    redis.Redis.from_url(url).flushall()
    return RedisCache(SecretStr(url))


def test_what_is_kept_comes_back_to_the_bit_until_it_is_forgotten(cache: VectorCache) -> None:
    vectors = {f"k{n}": np.random.default_rng(n).standard_normal(5).astype(np.float32) for n in range(1_200)}
    cache.put(vectors)
    found = cache.get([*vectors, "unknown"])
    assert found.keys() == vectors.keys()
    assert all(np.array_equal(found[key], vector) for key, vector in vectors.items())
    cache.forget(["k0", "k1199", "unknown"])
    assert cache.get(["k0", "k1", "k1199"]).keys() == {"k1"}
    assert cache.get([]) == {}


def test_a_file_forgets_after_thirty_days(tmp_path: Path) -> None:
    now = [1e9]
    cache = FileCache(tmp_path / "c.sqlite", 30, clock=lambda: now[0])
    cache.put({"k": np.ones(3, np.float32)})
    now[0] += 29.9 * 86_400
    assert cache.get(["k"])
    assert cache.prune() == 0
    now[0] += 0.2 * 86_400
    assert not cache.get(["k"])
    assert cache.prune() == 1


def test_redis_is_told_to_forget_after_thirty_days(redis_url: str) -> None:
    RedisCache(SecretStr(redis_url)).put({"k": np.ones(3, np.float32)})
    client = redis.Redis.from_url(redis_url)
    (name,) = client.keys("*:k")  # type: ignore[misc]
    assert 30 * DAY_SEC - 60 < client.ttl(name) <= 30 * DAY_SEC  # type: ignore[operator]


def test_what_one_machine_has_embedded_another_does_not_ask_for(redis_url: str, tmp_path: Path) -> None:
    redis.Redis.from_url(redis_url).flushall()
    with serving() as server:
        for machine in ("one", "two"):
            settings = Settings(
                _env_file=None, EMBEDDING_REDIS_URL=redis_url, EMBEDDING_PROVIDER="openai", OPENAI_API_KEY=KEY,
                EMBEDDING_MODEL="text-embedding-3-small", OPENAI_BASE_URL=server.url, EMBEDDING_DIMENSIONS=8,
                EMBEDDING_FOLDER=tmp_path / machine,
            )  # type: ignore[call-arg]  # fmt: skip
            outcomes = open_embedder(provider_settings(settings), settings, None).embed(["a text", "another"])
            assert all(isinstance(each, np.ndarray) for each in outcomes)
        assert len(server.requests) == 1
        assert not list(tmp_path.rglob("*.sqlite"))


def test_a_redis_that_is_away_or_refuses_is_named_without_its_password(redis_url: str) -> None:
    for url in (f"redis://:{PASSWORD}@127.0.0.1:9/0", redis_url.replace(PASSWORD, f"wrong-{PASSWORD}")):
        with pytest.raises(ProviderError, match=r"Redis at 127\.0\.0\.1:\d+ cannot be used") as caught:
            RedisCache(SecretStr(url)).get(["k"])
        assert PASSWORD not in f"{caught.value!r} {caught.value.hint}"
        assert "EMBEDDING_REDIS_URL" in caught.value.hint


def test_what_is_no_address_is_a_setting_that_is_wrong() -> None:
    with pytest.raises(ConfigurationError, match="EMBEDDING_REDIS_URL") as caught:
        RedisCache(SecretStr(f"http://:{PASSWORD}@host"))
    assert PASSWORD not in str(caught.value)
