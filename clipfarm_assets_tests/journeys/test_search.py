"""Searching from the shell, after a run in which one video of two had no file."""

import json

from clipfarm_assets_tests.journeys.conftest import run_clipfarm
from clipfarm_assets_tests.journeys.deployment import Deployment, Finished


def keys(*arguments: str) -> list[str]:
    found = run_clipfarm("search", "query", *arguments, "--format", "json", "--kind", "video")
    assert found.code == 0, found
    return [each["key"] for each in json.loads(found.out)]


def test_the_shell_finds_rebuilds_and_fills_in_what_is_missing(ran: tuple[Deployment, Finished]) -> None:
    _, first = ran
    assert first.code == 0, first
    everything = ["video/bad", "video/good"]  # also what could not be fetched is known by its row
    assert sorted(keys("")) == everything
    assert keys("good", "--mode", "text") == ["video/good"]
    assert sorted(keys("good")) == everything  # by meaning too

    rebuilt = run_clipfarm("search", "rebuild")
    assert rebuilt.code == 0 and "with a vector" in rebuilt.out, rebuilt
    assert sorted(keys("")) == everything

    would = run_clipfarm("embeddings", "backfill", "--dry-run")
    assert would.code == 0 and would.out.startswith("0 texts to embed"), would
    done = run_clipfarm("embeddings", "backfill")
    assert done.code == 0 and "0 processed" in done.out and "0 failed" in done.out, done

    refused = run_clipfarm("search", "query", "x", "--limit", "1000")
    assert refused.code == 2 and "size is 1 to 100" in refused.err, refused
