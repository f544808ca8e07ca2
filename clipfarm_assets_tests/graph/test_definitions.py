"""What a person finds who opens the graph."""

import subprocess
import sys

import dagster as dg
import pytest

from clipfarm_assets.definitions import build
from clipfarm_assets.settings import Settings

ASSETS = {
    "video_metadata", "raw_video", "raw_audio", "raw_text", "video_embedding", "audio_embedding", "text_embedding",
    "embedding_manifest", "fused_manifest", "ledger", "scene_segments", "segments", "segment_embedding",
    "imported_segments", "clusters", "tasks", "scored_clips", "clip_thumbnails", "clip_batches", "clip_exports",
    "score_calibration", "enriched_metadata", "discovery_embedding", "search_documents", "search_index",
    "search_evaluation", "monitoring",
}  # fmt: skip
TABLES = {
    "video_metadata", "embedding_manifest", "fused_manifest", "ledger", "scene_segments", "segments",
    "imported_segments", "clusters", "tasks", "scored_clips", "clip_batches", "search_documents",
}  # fmt: skip


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    definitions = build(Settings(_env_file=None))
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_every_asset_says_what_it_is_where_it_lies_and_whose_it_is(specs: dict[str, dg.AssetSpec]) -> None:
    assert set(specs) == ASSETS
    for name, spec in specs.items():
        assert spec.description and ("clipfarm/" in spec.description), name
        assert spec.owners and spec.kinds and spec.group_name != "default", name
        assert spec.code_version, name


def test_tables_show_their_columns_and_what_they_mean(specs: dict[str, dg.AssetSpec]) -> None:
    for name in TABLES:
        columns = specs[name].metadata["dagster/column_schema"].columns
        assert any(column.description for column in columns), name
    assert all(column.description for column in specs["ledger"].metadata["dagster/column_schema"].columns)


def test_the_code_version_of_an_embedding_names_its_model(specs: dict[str, dg.AssetSpec]) -> None:
    assert "MCG-NJU/videomae-base" in (specs["video_embedding"].code_version or "")
    assert "MCG-NJU" not in (specs["raw_video"].code_version or "")


def test_loading_the_definitions_imports_no_model_library() -> None:
    code = """
import sys
from clipfarm_assets.definitions import build
from clipfarm_assets.settings import load_settings
build(load_settings()).get_repository_def()
heavy = set(sys.modules) & {
    "torch", "transformers", "sentence_transformers", "huggingface_hub", "librosa", "soundfile", "numba", "matplotlib",
    "yt_dlp", "scipy", "sklearn", "hdbscan", "lancedb", "pandas", "scenedetect", "cv2", "openai",
}
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr[-500:]


def test_the_help_of_the_command_line_does_not_wait_for_dagster() -> None:
    code = """
import sys
from clipfarm_assets.cli import main
heavy = {"dagster", "pyarrow", "sqlalchemy", "boto3", "pydantic"} & set(sys.modules)
sys.exit(f"imported: {heavy}" if heavy else 0)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr[-500:]
