"""Fixtures of the journeys: a deployment in a temporary folder, and the graph in this process."""

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
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


@pytest.fixture(scope="session")
def databases(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    """Dagster's databases, empty; to make them takes a second."""
    empty = Deployment(tmp_path_factory.mktemp("empty"), clip)
    with empty.instance() as instance:
        instance.get_runs_count()
        instance.event_log_storage.get_maximum_record_id()
        instance.all_instigator_state()
    return Path(empty.env["CLIPFARM_DAGSTER_STORAGE"])


@pytest.fixture
def deployment(tmp_path: Path, clip: Path, databases: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """A deployment without videos; programs that it starts belong to it, this process does not."""
    for name in FOREIGN:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "deployment"
    folder.mkdir()
    return Deployment(folder, clip, databases)


@pytest.fixture
def here(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """The deployment, with this process in its folder and environment."""
    enter(deployment, monkeypatch)
    return deployment


def enter(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts this process into the deployment's folder and environment."""
    for name, value in deployment.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(deployment.folder)


@pytest.fixture
def graph(here: Deployment) -> Iterator[Graph]:
    """The graph of ``here``, in this process."""
    with here.instance() as instance:
        yield Graph(instance, build(load_settings()))


def run_clipfarm(*arguments: str) -> Finished:
    """The `clipfarm` command in this process, to spare its start."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["clipfarm", *arguments])
        try:
            main.app()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return Finished(code, out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


@pytest.fixture
def clipfarm(here: Deployment) -> Callable[..., Finished]:
    """The `clipfarm` command of ``here``."""
    return run_clipfarm


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> tuple[Deployment, Finished]:
    """`clipfarm run` over two videos of which one has no file; only for tests that leave it as it is."""
    deployment = Deployment(tmp_path_factory.mktemp("once"), clip)
    deployment.add_videos(["good", "bad"], without_file=["bad"])
    with pytest.MonkeyPatch.context() as patch:
        for name in FOREIGN:
            patch.delenv(name, raising=False)
        enter(deployment, patch)
        return deployment, run_clipfarm("run")


@pytest.fixture
def ran(once: tuple[Deployment, Finished], monkeypatch: pytest.MonkeyPatch) -> tuple[Deployment, Finished]:
    """The deployment after its first run, with this process in it, and what the run printed."""
    enter(once[0], monkeypatch)
    return once
