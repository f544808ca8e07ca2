from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clipfarm_assets_tests.graph.deployment import Deployment, TinyVideos

NewDeployment = Callable[..., Deployment]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyVideos:
    """Tiny real videos, made once a session."""
    return TinyVideos(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def module_deployment(tiny: TinyVideos, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that the tests of a module look at together."""
    with pytest.MonkeyPatch.context() as patch:
        made = Deployment(tmp_path_factory.mktemp("deployment") / "one", tiny, patch)
        yield made
        made.instance.dispose()


@pytest.fixture
def new_deployment(tiny: TinyVideos, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NewDeployment]:
    """Makes deployments, each in a folder of its own; the one made or entered last owns the environment."""
    made: list[Deployment] = []

    def make(store_url: str | None = None) -> Deployment:
        made.append(Deployment(tmp_path / f"deployment-{len(made)}", tiny, monkeypatch, store_url))
        return made[-1]

    yield make
    for each in made:
        each.instance.dispose()


@pytest.fixture
def deployment(new_deployment: NewDeployment) -> Deployment:
    """An empty deployment with a local store."""
    return new_deployment()
