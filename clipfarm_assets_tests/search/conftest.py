"""Indexes for the tests: empty of each kind of store, and a filled one that no test changes."""

from pathlib import Path

import pytest

from clipfarm_assets.search.index import IndexSettings, SearchIndex
from clipfarm_assets.search.rows import Entry
from clipfarm_assets.store.object_store import ObjectStore, open_store
from clipfarm_assets_tests.search.corpus import DIM, entries


@pytest.fixture
def index(store: ObjectStore) -> SearchIndex:
    """An empty index in each kind of store."""
    made = SearchIndex(store, IndexSettings(wait_sec=20))
    made.rebuild([], model="m", dim=DIM)
    return made


@pytest.fixture
def local_index(local_store: ObjectStore) -> SearchIndex:
    """An empty index in a folder."""
    made = SearchIndex(local_store, IndexSettings(wait_sec=20))
    made.rebuild([], model="m", dim=DIM)
    return made


@pytest.fixture(scope="session")
def filled() -> list[Entry]:
    return entries(2_000)


@pytest.fixture(scope="session")
def filled_index(filled: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> SearchIndex:
    """2,000 items, HNSW over their vectors. Read it only."""
    folder: Path = tmp_path_factory.mktemp("filled")
    made = SearchIndex(open_store(folder.as_uri()), IndexSettings(exact_below=1_000))
    made.rebuild(filled, model="m", dim=DIM)
    return made
