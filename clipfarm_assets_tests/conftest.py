"""What every test may use: an empty store in a local folder or S3, an empty database in SQLite or PostgreSQL."""

import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.database.migrate import migrate
from clipfarm_assets.store.object_store import ObjectStore, open_store
from clipfarm_assets_tests import postgres

BUCKET = "clipfarm-tests"


@dataclass(frozen=True)
class S3Server:
    """An S3 on loopback, with one bucket."""

    endpoint: str
    bucket: str

    def use(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        """Points the usual AWS variables at the server, and away from the user's own files and machine role."""
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "HTTP_PROXY", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test-access-key",
            "AWS_SECRET_ACCESS_KEY": "test-secret-key",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(folder / "no-config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(folder / "no-credentials"),
        }.items():
            monkeypatch.setenv(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest file first: side by side with all others instead of after them."""
    items.sort(key=lambda item: "/torture/" not in item.nodeid)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """Moto's server on a free port, one a test process."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    session = boto3.Session("test-access-key", "test-secret-key", region_name="us-east-1")
    session.client("s3", endpoint_url=endpoint).create_bucket(Bucket=BUCKET)
    yield S3Server(endpoint, BUCKET)
    server.stop()


@pytest.fixture
def s3_url(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """URL of an empty S3 store, reached by the AWS variables alone."""
    s3_server.use(monkeypatch, tmp_path)
    return f"s3://{s3_server.bucket}/{uuid4().hex}"


@pytest.fixture
def local_url(tmp_path: Path) -> str:
    """URL of an empty local store; its folder's name needs quoting."""
    return (tmp_path / "a store").as_uri()


@pytest.fixture(params=["local", "s3"])
def store_url(request: pytest.FixtureRequest) -> str:
    """URL of an empty store of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def store(store_url: str) -> ObjectStore:
    """An empty store of each kind."""
    return open_store(store_url)


@pytest.fixture
def local_store(local_url: str) -> ObjectStore:
    """An empty store in a local folder."""
    return open_store(local_url)


@pytest.fixture
def s3_store(s3_url: str) -> ObjectStore:
    """An empty store in S3."""
    return open_store(s3_url)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a PostgreSQL on a free port, one a test process."""
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # pytest closes its own folders to others, and PostgreSQL does not run as root
    with (
        tempfile.TemporaryDirectory(prefix="clipfarm-postgres-") as folder,
        postgres.running(Path(folder), port) as url,
    ):
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database of each kind, without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/clipfarm.db"
    return postgres.new_database(request.getfixturevalue("postgres_server"), uuid4().hex)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An empty database of each kind, with its tables."""
    opened = open_database(database_url)
    migrate(opened)
    yield opened
    opened.close()
