"""One deployment of the platform in a folder of its own: metadata CSV, media, store and Dagster instance on disk."""

import csv
import io
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from clipfarm_assets.definitions import build
from clipfarm_assets.graph.delta import Work
from clipfarm_assets.graph.events import read_events
from clipfarm_assets.graph.in_flight import DEFER_EVENTS
from clipfarm_assets.graph.jobs import chunk_config, chunk_request, process_videos, read_metadata_job
from clipfarm_assets.graph.ledger import ledger_table
from clipfarm_assets.graph.outcome import Outcome
from clipfarm_assets.graph.platform import Workshop
from clipfarm_assets.graph.run import Report, Runner
from clipfarm_assets.graph.stages import STAGE_BY_NAME, STAGES
from clipfarm_assets.graph.state import State, read_state
from clipfarm_assets.metadata.rows import COLUMNS
from clipfarm_assets.settings import load_settings
from clipfarm_assets.store.artifacts import Artifacts, Identity
from clipfarm_assets_tests.media.making import Recipe, make_video, tone, x264

PROJECT = Path(__file__).parents[2]
ALL = frozenset(stage.name for stage in STAGES)
SRT = "1\n00:00:00,000 --> 00:00:00,400\n{}\n"

Row = dict[str, str]
Remade = frozenset[str]


class TinyVideos:
    """MP4s of 64 by 48 with a few frames and a tone, made once; another number gives other content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, variant: int = 0, *, sound: bool = True) -> Path:
        name = f"tiny-{variant}{'' if sound else '-silent'}.mp4"
        path = self._folder / name
        if path.exists():
            return path
        n_frames = 12 + variant
        recipe = Recipe(name, n_frames=n_frames, size=(64, 48), options=x264("keyint=12"))
        return make_video(self._folder, recipe, audio=tone(n_frames / 25) if sound else None)


@dataclass
class Deployment:
    """A deployment whose environment is that of this process while ``monkeypatch`` lasts."""

    folder: Path
    tiny: TinyVideos
    monkeypatch: pytest.MonkeyPatch
    store_url: str | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)  # raw lines behind the rows
    reports: list[Report] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.media.mkdir(parents=True)
        self.home.mkdir()
        shutil.copy(PROJECT / "dagster.yaml", self.home)
        self.enter()
        self.instance = dg.DagsterInstance.from_config(str(self.home))

    @property
    def media(self) -> Path:
        return self.folder / "data"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def csv(self) -> Path:
        return self.media / "metadata.csv"

    @property
    def env(self) -> dict[str, str]:
        return {
            "DAGSTER_HOME": str(self.home),
            "CLIPFARM_DAGSTER_STORAGE": str(self.home / "storage"),
            "CLIPFARM_METADATA": str(self.csv),
            "CLIPFARM_STORE": self.store_url or (self.folder / "store").as_uri(),
            "CLIPFARM_DB": f"sqlite:///{self.folder}/clipfarm.db",
            "CLIPFARM_PROFILE": "stand-in",
            "CLIPFARM_MODEL_DIR": str(self.folder / "models"),
            "CLIPFARM_DEVICE": "cpu",
            "HF_HUB_OFFLINE": "1",
        }

    def enter(self) -> None:
        """Makes the environment this deployment's, and nobody's ``.env`` file part of it."""
        for name in [name for name in os.environ if name.startswith("CLIPFARM_") and name != "CLIPFARM_TEST_MEDIA"]:
            self.monkeypatch.delenv(name)
        for name, value in self.env.items():
            self.monkeypatch.setenv(name, value)
        self.monkeypatch.chdir(self.folder)

    def set(self, name: str, value: object) -> None:
        self.monkeypatch.setenv(name, str(value))

    # the metadata

    def add(
        self, video_id: str, variant: int = 0, *, sound: bool = True, said: str | None = "Hello.", **more: str
    ) -> None:
        """A video with its own file and, where something is said, its own sidecar."""
        shutil.copy(self.tiny.make(variant, sound=sound), self.media / f"{video_id}.mp4")
        row = {"url": f"{video_id}.mp4", "title": f"Title of {video_id}", "description": "A test.", "query": "tests"}
        if said is not None:
            (self.media / f"{video_id}.srt").write_text(SRT.format(said))
            row["transcript_path"] = f"{video_id}.srt"
        self.rows[video_id] = row | {"captured_at": "2026-01-01T00:00:00Z", "view_count": "1", "language": "en"} | more

    def change(self, video_id: str, **fields: str) -> None:
        self.rows[video_id] |= fields

    def write_csv(self) -> None:
        """The CSV of the rows; one that says the same already is left untouched."""
        file = io.StringIO()
        writer = csv.DictWriter(file, ["video_id", *(name for name in COLUMNS if name != "video_id")])
        writer.writeheader()
        writer.writerows({"video_id": video_id, **row} for video_id, row in self.rows.items())
        file.writelines(self.lines)
        content = file.getvalue().encode()
        if not self.csv.exists() or self.csv.read_bytes() != content:
            self.csv.write_bytes(content)

    # what is done with it

    @property
    def definitions(self) -> dg.Definitions:
        return build(load_settings())

    @property
    def workshop(self) -> Workshop:
        return Workshop(load_settings())

    def run(self, *, fan_in: bool = True, clusters: bool | None = None) -> State:
        """Everything that is due now, as `clipfarm run` does it; on request without its end, or with one part of it."""
        self.write_csv()
        runner = Runner(self.definitions, self.instance, self.workshop, lambda text: None)
        if not fan_in:
            runner._is_stale = lambda: False  # type: ignore[method-assign]
        if not (fan_in if clusters is None else clusters):
            runner._cluster = lambda: None  # type: ignore[method-assign]
        state = runner.run()
        self.reports.append(runner.report)
        return state

    def read_metadata(self) -> None:
        self.write_csv()
        job = self.definitions.resolve_job_def(read_metadata_job.name)
        assert job.execute_in_process(instance=self.instance).success
        present = [video_id for video_id, row in self.rows.items() if row.get("removed") != "true"]
        self.instance.add_dynamic_partitions("videos", present)

    def materialize(
        self, stages: Sequence[str], video_ids: Sequence[str], *, force: bool = False, by_partitions: bool = False
    ) -> dg.ExecuteInProcessResult:
        """One run over just these, due or not: as a sensor asks for it, or over a range as a person does in the UI."""
        request = chunk_request([Work(video_id, tuple(stages), False) for video_id in video_ids])
        tags = {name: value for name, value in request.tags.items() if not by_partitions or name != DEFER_EVENTS}
        job = self.definitions.resolve_job_def(process_videos.name)
        return job.execute_in_process(
            run_config=None if by_partitions else chunk_config(video_ids, force=force), instance=self.instance,
            raise_on_error=False, asset_selection=[dg.AssetKey(name) for name in stages], tags=tags,
        )  # fmt: skip

    # what came of it

    @property
    def artifacts(self) -> Artifacts:
        return self.workshop.artifacts

    def state(self) -> State:
        return read_state(self.instance, self.workshop, STAGES)

    def identity(self, video_id: str, stage: str) -> Identity | None:
        return self.artifacts.identity(STAGE_BY_NAME[stage].key(video_id))

    def outcome(self, video_id: str, stage: str) -> Outcome | None:
        seen = read_events(self.instance, stage, [video_id]).get(video_id)
        return seen.outcome if seen else None

    def snapshot(self) -> dict[tuple[str, str], tuple[str | None, int]]:
        """When each artifact was made, and which event spoke of it last."""
        artifacts, found = self.artifacts, {}
        for stage in STAGES:
            seen = read_events(self.instance, stage.name)
            for video_id in self.rows:
                identity = artifacts.identity(stage.key(video_id))
                outcome_id = seen[video_id].outcome_id if video_id in seen else 0
                found[video_id, stage.name] = (identity.made_at if identity else None, outcome_id)
        return found

    def remade_since(self, before: Mapping[tuple[str, str], object], video_id: str) -> Remade:
        after = self.snapshot()
        return frozenset(s.name for s in STAGES if before.get((video_id, s.name)) != after[video_id, s.name])

    def ledger(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {(row["video_id"], row["stage"]): row for row in ledger_table(self.state()).to_pylist()}

    def statuses(self, video_id: str) -> dict[str, str]:
        """The ledger's status of the video in each stage."""
        return {stage: row["status"] for (video, stage), row in self.ledger().items() if video == video_id}

    def check(self, name: str) -> dg.AssetCheckEvaluation:
        """The newest answer of an asset check of the fan-in."""
        job = self.definitions.resolve_job_def("fan_in")
        result = job.execute_in_process(instance=self.instance)
        return next(e for e in result.get_asset_check_evaluations() if e.check_name == name)


def expect(**exceptions: str) -> dict[str, str]:
    """Every stage a success, but for those named."""
    return dict.fromkeys((stage.name for stage in STAGES), "success") | exceptions


def expect_failed(at: str, status: str) -> dict[str, str]:
    """The stage has failed and everything made from it waits; what is made of the row alone is a success."""
    after = {at}
    for stage in STAGES:
        if after & {upstream.name for upstream in stage.upstream}:
            after.add(stage.name)
    return expect(**dict.fromkeys(after, "upstream_failed") | {at: status})


def files_below(folders: Iterable[Path]) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]
