"""Fixtures of the journeys: a deployment in a temporary folder, and the graph in this process."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clipfarm_assets.cli import main
from clipfarm_assets.definitions import build
from clipfarm_assets.settings import load_settings
from clipfarm_assets_tests.journeys.deployment import Deployment, Finished, Graph
from clipfarm_assets_tests.media.making import Recipe, make_video, tone

FOREIGN = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "EMBEDDING_ENABLED", "CLIPFARM_EXECUTOR", "CLIPFARM_MODEL_DIR")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real video with sound, half a second long: H.264 and AAC in an MP4."""
    recipe = Recipe("clip.mp4", n_frames=12, size=(64, 48))
    return make_video(tmp_path_factory.mktemp("clip"), recipe, tone(0.5))


@pytest.fixture
def deployment(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """An empty deployment; programs that it starts belong to it, this process does not."""
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "deployment"
    folder.mkdir()
    return Deployment(folder, clip)


@pytest.fixture
def here(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The deployment, with this process in its folder and environment."""
    for name, value in deployment.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(deployment.folder)
    return deployment


@pytest.fixture
def graph(here: Deployment) -> Iterator[Graph]:
    """The graph of ``here``, in this process."""
    with here.instance() as instance:
        yield Graph(instance, build(load_settings()))


@pytest.fixture
def clipfarm(
    here: Deployment, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Finished]:
    """The `clipfarm` command of ``here``, run in this process to spare its start."""

    def run(*arguments: str) -> Finished:
        monkeypatch.setattr(sys, "argv", ["clipfarm", *arguments])
        capfd.readouterr()
        try:
            main.app()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        printed = capfd.readouterr()
        return Finished(code, printed.out, printed.err)

    return run
