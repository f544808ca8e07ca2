"""Asking for runs through a proxy that wants to know who asks."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr

from clipfarm_assets.errors import ConfigurationError
from clipfarm_assets.graph.launch import Launcher
from clipfarm_assets.settings import load_settings
from clipfarm_assets_tests.loopback import JsonHandler, serving_with

LAUNCHED = b"""{"data": {
    "repositoriesOrError": {"__typename": "RepositoryConnection", "nodes": [
        {"name": "__repository__", "location": {"name": "here"}, "pipelines": [{"name": "make_clips"}],
         "jobs": [{"name": "make_clips"}]}]},
    "launchPipelineExecution": {"__typename": "LaunchRunSuccess", "run": {"runId": "run-1"}},
    "launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "run-1"}}}}"""


class Proxy(JsonHandler):
    """Lets through what it knows, and answers then as Dagster does."""

    known = ("Bearer s3cret", "Basic YW5uOnAvcw==")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Authorization") in self.known:
            self.answer(200, LAUNCHED)
        else:
            self.answer(401, b'{"error": "who are you, s3cret?"}')


@pytest.mark.parametrize(
    ("address", "header", "run_id"),
    [
        (str, SecretStr("Authorization: Bearer s3cret"), "run-1"),
        (lambda url: url.replace("//", "//ann:p%2Fs@"), None, "run-1"),
        (str, None, None),
        (str, SecretStr("Authorization: Bearer s3crets"), None),
        (lambda url: url.replace("//", "//ann:s3crets@"), None, None),
    ],
    ids=["header", "user", "nobody", "wrong header", "wrong user"],
)
def test_a_proxy_is_told_who_asks_and_nobody_else_is(
    address: Callable[[str], str], header: SecretStr | None, run_id: str | None
) -> None:
    with serving_with(Proxy) as url:
        launched = Launcher(address(url), header).launch("score_batch")
    assert launched.run_id == run_id
    assert (launched.why is None) if run_id else ("it answers with 401" in str(launched.why))
    assert "s3cret" not in str(launched.why)


@pytest.mark.parametrize("wrong", ["s3cret", "Authorization:", ": s3cret"])
def test_a_header_that_is_none_is_refused_without_being_told(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPFARM_DAGSTER_HEADER", wrong)
    with pytest.raises(ConfigurationError, match="CLIPFARM_DAGSTER_HEADER") as caught:
        load_settings()
    assert "s3cret" not in str(caught.value)
