"""What the graph really makes again after each kind of change: the store's identities and Dagster's events decide."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import pytest

from clipfarm_assets.graph import platform
from clipfarm_assets.graph.stages import STAGE_BY_NAME
from clipfarm_assets.models.catalog import ModelSet
from clipfarm_assets.models.kernels import has_bfloat16
from clipfarm_assets.settings import Settings
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.graph.deployment import ALL, SRT, Deployment, Remade

pytestmark = pytest.mark.slow
NOTHING: Remade = frozenset()
Change = Callable[[Deployment, str], None]


def fields(**values: str) -> Change:
    return lambda deployment, video_id: deployment.change(video_id, **values)


def other_video(deployment: Deployment, video_id: str) -> None:
    shutil.copy(deployment.tiny.make(1), deployment.media / f"{video_id}.mp4")


def touch(ending: str) -> Change:
    return lambda deployment, video_id: os.utime(deployment.media / f"{video_id}.{ending}", (1, 1))


def other_sidecar(deployment: Deployment, video_id: str) -> None:
    (deployment.media / f"{video_id}.srt").write_text(SRT.format("Something else."))


def other_name_same_video(deployment: Deployment, video_id: str) -> None:
    shutil.copy(deployment.media / f"{video_id}.mp4", deployment.media / "elsewhere.mp4")
    deployment.change(video_id, url="elsewhere.mp4")


def other_url(deployment: Deployment, video_id: str) -> None:
    shutil.copy(deployment.tiny.make(1), deployment.media / "another.mp4")
    deployment.change(video_id, url="another.mp4")


def other_name_other_transcript(deployment: Deployment, video_id: str) -> None:
    (deployment.media / "another.srt").write_text(SRT.format("Said elsewhere."))
    deployment.change(video_id, transcript_path="another.srt")


def other_name_same_transcript(deployment: Deployment, video_id: str) -> None:
    shutil.copy(deployment.media / f"{video_id}.srt", deployment.media / "same.srt")
    deployment.change(video_id, transcript_path="same.srt")


DISCOVERY: Remade = frozenset({"enriched_metadata", "discovery_embedding"})
AFTER_WORDS: Remade = frozenset({"raw_text", "text_embedding", "segments", "segment_embedding", "scored_clips"})
# A sidecar speaks here, so another video leaves the transcript's bytes, and with them text_embedding, alone.
ROW_CHANGES: dict[str, tuple[Change, Remade]] = {
    "title": (fields(title="Another title"), frozenset({"text_embedding", "segments", "scored_clips", *DISCOVERY})),
    "description": (fields(description="Another."), frozenset({"text_embedding", "scored_clips", *DISCOVERY})),
    "query": (fields(query="another"), frozenset({"text_embedding"})),
    "url": (other_url, ALL - {"text_embedding", "discovery_embedding"}),
    "url-same-bytes": (other_name_same_video, frozenset({"raw_video", "enriched_metadata"})),
    "video-content": (other_video, ALL - {"text_embedding", *DISCOVERY}),
    "video-touch": (touch("mp4"), frozenset({"raw_video"})),
    "transcript_path": (other_name_other_transcript, AFTER_WORDS),
    "transcript_path-same-bytes": (other_name_same_transcript, frozenset({"raw_text"})),
    "transcript_path-gone": (fields(transcript_path=""), AFTER_WORDS),
    "sidecar-content": (other_sidecar, AFTER_WORDS),
    "sidecar-touch": (touch("srt"), frozenset({"raw_text"})),
    "language": (fields(language="de"), frozenset({"raw_text", "scored_clips", *DISCOVERY})),
    "view_count": (fields(view_count="1000"), NOTHING),
    "tags": (fields(tags="a;b"), DISCOVERY),
    "team": (fields(team="another"), frozenset({"segments", "segment_embedding"})),
    "published_at": (
        fields(published_at="2025-12-01T00:00:00Z"),
        frozenset({"segments", "segment_embedding", "scored_clips", *DISCOVERY}),
    ),
    "captured_at": (fields(captured_at="2026-02-01T00:00:00Z"), NOTHING),
    "nothing": (fields(), NOTHING),
}


@pytest.fixture(scope="module")
def after_row_changes(module_deployment: Deployment) -> dict[str, Remade]:
    """A first run, every change to a video of its own, a second run: what was made again of each."""
    for name in ROW_CHANGES:
        module_deployment.add(name)
    module_deployment.run()
    before = module_deployment.snapshot()
    for name, (change, _) in ROW_CHANGES.items():
        change(module_deployment, name)
    module_deployment.run()
    return {name: module_deployment.remade_since(before, name) for name in ROW_CHANGES}


@pytest.mark.parametrize("name", ROW_CHANGES)
def test_a_changed_row_or_file_makes_exactly_what_depends_on_it_again(
    after_row_changes: dict[str, Remade], name: str
) -> None:
    assert after_row_changes[name] == ROW_CHANGES[name][1]


def test_after_the_changes_every_video_is_finished_and_nothing_is_left_to_do(
    after_row_changes: dict[str, Remade], module_deployment: Deployment
) -> None:
    before = module_deployment.snapshot()
    state = module_deployment.run()
    assert all(verdict.finished for verdicts in state.verdicts.values() for verdict in verdicts.values())
    assert module_deployment.snapshot() == before
    assert module_deployment.reports[-1].runs == 0


@dataclass
class Steps:
    """Changes of the whole deployment, each kept from then on, and what a run then made again of its one video."""

    deployment: Deployment
    found: dict[str, Remade]

    def step(self, name: str) -> None:
        before = self.deployment.snapshot()
        self.deployment.run(fan_in=False)
        self.found[name] = self.deployment.remade_since(before, "v1")


@contextmanager
def code_version(stage_name: str) -> Iterator[None]:
    stage = STAGE_BY_NAME[stage_name]
    object.__setattr__(stage, "code_version", "2")  # the stages are frozen, and shared by all that read them
    try:
        yield
    finally:
        object.__setattr__(stage, "code_version", "1")


@contextmanager
def another_model(modality: str, **changes: str) -> Iterator[None]:
    resolve = platform.resolve_models

    def changed(settings: Settings, store: ObjectStore | None) -> ModelSet:
        models = resolve(settings, store)
        return replace(models, **{modality: replace(getattr(models, modality), **changes)})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform, "resolve_models", changed)
        yield


SETTINGS = {
    "pooling": ("CLIPFARM_POOLING", "mean", {"video_embedding"}),
    "num_frames": ("CLIPFARM_NUM_FRAMES", "8", {"video_embedding"}),
    "max_audio_seconds": ("CLIPFARM_MAX_AUDIO_SECONDS", "0.3", {"audio_embedding"}),
    "chunk_size": ("CLIPFARM_CHUNK_SIZE", "7", set()),
}
if has_bfloat16():
    SETTINGS["video_precision"] = ("CLIPFARM_VIDEO_PRECISION", "bfloat16", {"video_embedding"})
BY_TEXT_MODEL = {"text_embedding", "segments", "segment_embedding", "scored_clips", "discovery_embedding"}
MODELS = {
    "revision of the video model": ("video", {"revision": "another"}, {"video_embedding"}),
    "name of the audio model": ("audio", {"name": "stand-in/another"}, {"audio_embedding"}),
    "revision of the text model": (
        "text",
        {"revision": "another"},
        BY_TEXT_MODEL,
    ),
}
CODE = tuple(STAGE_BY_NAME)


@pytest.fixture(scope="module")
def after_deployment_changes(module_deployment: Deployment, after_row_changes: object) -> dict[str, Remade]:
    module_deployment.instance.dispose()
    with pytest.MonkeyPatch.context() as patch, ExitStack() as kept:
        deployment = Deployment(module_deployment.folder.parent / "two", module_deployment.tiny, patch)
        deployment.add("v1")
        deployment.run(fan_in=False)
        steps = Steps(deployment, {})
        for name, (variable, value, _) in SETTINGS.items():
            deployment.set(variable, value)
            steps.step(name)
        for name, (modality, changes, _) in MODELS.items():
            kept.enter_context(another_model(modality, **changes))
            steps.step(name)
        for name in CODE:
            kept.enter_context(code_version(name))
            steps.step(f"code of {name}")
        deployment.instance.dispose()
    module_deployment.enter()
    return steps.found


@pytest.mark.parametrize("name", [*SETTINGS, *MODELS])
def test_a_changed_setting_or_model_makes_exactly_what_it_shapes_again(
    after_deployment_changes: dict[str, Remade], name: str
) -> None:
    assert after_deployment_changes[name] == (SETTINGS | MODELS)[name][2]  # type: ignore[operator]


@pytest.mark.parametrize("name", CODE)
def test_a_raised_code_version_makes_its_stage_again_and_the_same_bytes_stop_there(
    after_deployment_changes: dict[str, Remade], name: str
) -> None:
    assert after_deployment_changes[f"code of {name}"] == {name}
