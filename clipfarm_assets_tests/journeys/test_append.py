"""The daemon is up; a person only edits the CSV."""

import io

import pyarrow.parquet as pq
import pytest

from clipfarm_assets_tests.journeys.deployment import Deployment, Web, free_port, ledger_statuses, statuses, until

pytestmark = pytest.mark.slow


def _fused(deployment: Deployment) -> dict[str, str]:
    manifest = deployment.store / "clipfarm/fused/concat/fused_manifest.parquet"
    if not manifest.is_file():
        return {}
    whole = io.BytesIO(manifest.read_bytes())  # by its path, pyarrow opens it twice: it may be replaced between
    return {row["video_id"]: row["status"] for row in pq.read_table(whole).to_pylist()}


def test_an_appended_row_becomes_fused_and_a_removed_one_vanishes_without_any_command(here: Deployment) -> None:
    here.add_videos(["first"])
    web = Web(free_port())
    with here.program("clipfarm", "dev", "--port", str(web.port)) as logs, here.instance() as instance:
        until(web.is_up, "the Dagster UI", 120, logs)
        until(lambda: _fused(here).get("first") == "success", "the first video fused", 150, logs)
        here.add_videos(["second"])
        until(lambda: _fused(here).get("second") == "success", "the second video fused", 150, logs)
        assert statuses(instance, "video_embedding") == {"first": "Materialized", "second": "Materialized"}
        kept = here.made_at("video_embedding")["second"]
        here.add_rows(["first"], removed=True)
        until(lambda: list(statuses(instance, "raw_video")) == ["second"], "the partition gone", 150, logs)
        until(lambda: set(_fused(here)) == {"second"}, "the fused manifest without it", 150, logs)
        assert ledger_statuses(instance, "raw_video") == {"first": "removed", "second": "success"}
        assert not list(here.store.rglob("first*"))
        assert here.made_at("video_embedding") == {"second": kept}
