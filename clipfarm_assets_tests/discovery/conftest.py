from pathlib import Path

import pytest

from clipfarm_assets.database.connect import Database, open_database
from clipfarm_assets.database.migrate import migrate
from clipfarm_assets.embeddings.text import TextEncoder
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.discovery.making import World, text_encoder


@pytest.fixture(scope="session")
def encoder() -> TextEncoder:
    return text_encoder()


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = open_database(f"sqlite:///{tmp_path}/clipfarm.db")
    migrate(opened)
    return opened


@pytest.fixture
def world(tmp_path: Path, local_store: ObjectStore, database: Database, encoder: TextEncoder) -> World:
    """A search over three videos and a clip, with everything made."""
    made = World(tmp_path, local_store, database, encoder)
    made.add_clip()
    made.run()
    return made
