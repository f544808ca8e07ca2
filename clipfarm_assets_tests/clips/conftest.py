from collections.abc import Iterator
from pathlib import Path

import pytest

from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.database.migrate import migrate


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The file of an empty SQLite database; making it takes longer than most of these tests."""
    path = tmp_path_factory.mktemp("empty") / "clipfarm.db"
    database = open_database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path.read_bytes()


@pytest.fixture
def quick_database(empty_file: bytes, tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database, for tests whose claim does not depend on which one it is."""
    path = tmp_path / "clipfarm.db"
    path.write_bytes(empty_file)
    database = open_database(f"sqlite:///{path}")
    yield database
    database.close()
