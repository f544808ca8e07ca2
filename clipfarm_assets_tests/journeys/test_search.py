"""Searching from the shell, after a run in which one video of two had no file."""

import io
import json

import pytest

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


def said(*arguments: str) -> str:
    found = run_clipfarm("search", *arguments)
    assert found.code == 0, found
    return found.out


def test_nothing_is_deleted_before_it_is_confirmed(
    ran: tuple[Deployment, Finished], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ran[1].code == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    found = run_clipfarm("search", "delete", "good")
    assert found.code == 1 and "cannot be undone" in found.out + found.err, found
    assert "video/good" in keys("")


def test_the_shell_votes_edits_and_deletes_as_the_api_does(  # the last one: it changes what was made once
    ran: tuple[Deployment, Finished],
) -> None:
    assert ran[1].code == 0
    assert said("vote", "video/good", "--user", "ada").strip() == "video/good: 1 votes, 0 comments, 0 favourites"
    assert "2 votes" in said("vote", "video/good", "--user", "bob")
    assert "0 votes" in said("vote", "video/good", "--user", "bob", "--down")
    assert "1 votes" in said("vote", "video/good", "--user", "bob", "--withdraw")
    assert "1 comments" in said("comment", "video/good", "Well said.", "--user", "ada")
    assert "1 favourites" in said("favourite", "video/good", "--user", "ada")
    assert "0 favourites" in said("favourite", "video/good", "--user", "ada", "--drop")
    assert keys("--min-votes", "1") == ["video/good"] and keys("--created-to", "2001-01-01") == []
    assert "language: " in said("query", "--facets")

    said("edit", "good", "--title", "A harbour at dawn", "--tag", "sea")
    assert keys("harbour", "--mode", "text") == ["video/good"] == keys("--tag", "sea")
    assert "A harbour at dawn  (title)" in said("suggest", "harb")
    said("edit", "bad", "--description", "ships")
    assert keys("harbour", "--mode", "text") == ["video/good"]
    said("similar", "video/good")  # the other video has no picture, so there is none

    said("delete", "bad", "--yes")
    assert keys("") == ["video/good"]
    for refused in ("similar video/bad", "vote clip/none --user ada", "edit nobody", "similar x"):
        found = run_clipfarm("search", *refused.split())
        assert found.code == 2 and "There is no" in found.err, found
