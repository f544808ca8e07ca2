"""The alert rules and the dashboard in `deploy/`, against the metrics that the server really has."""

import json
import re
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from clipfarm_assets.http.app import create_app
from clipfarm_assets.http.metrics import measure, metrics
from clipfarm_assets.statuses import Status
from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.http.told import full_backend
from clipfarm_assets_tests.journeys.deployment import free_port
from clipfarm_assets_tests.loopback import served

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
OF_PROMETHEUS = {"instance", "job"}
NAME = re.compile(r"(?<!:)\b(?:clipfarm|http)_[a-z0-9_]+")
RECORDED = re.compile(r"\bclipfarm:[a-z0-9_]+:[a-z0-9_]+")
SELECTED = re.compile(r"\b((?:clipfarm|http)_[a-z0-9_]+)\{([^}]*)\}")
GROUPED = re.compile(r"\b(?:by|without) \(([^)]*)\)")
needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((DEPLOY / "grafana" / "clipfarm.json").read_text())
    return board


def of_panels() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]


def promtool(*arguments: object) -> None:
    command = ["promtool", *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.fixture
def labels(tmp_path: Path, local_store: ObjectStore) -> dict[str, set[str]]:
    """The label names of every sample that a server with something to say has."""
    app = create_app(full_backend(tmp_path, local_store), metrics)
    measure(app)
    client = TestClient(app)
    client.get("/healthz")
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found[sample.name] |= set(sample.labels)
    return found


def test_every_metric_and_label_of_rules_and_dashboard_is_there(labels: dict[str, set[str]]) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    every = {label for of_each in labels.values() for label in of_each} | OF_PROMETHEUS
    expressions = [*(rule["expr"] for rule in rules()), *of_panels()]
    named = {name for text in expressions for name in NAME.findall(text)}
    assert len(named) >= 15 and named <= labels.keys()
    assert {name for text in expressions for name in RECORDED.findall(text)} <= recorded
    for text in expressions:
        for name, selector in SELECTED.findall(text):
            asked = set(re.findall(r'(\w+)(?:=|!=|=~|!~)"', selector))
            assert asked and asked <= labels[name] | OF_PROMETHEUS, text
        grouped = {label.strip() for part in GROUPED.findall(text) for label in part.split(",")}
        assert grouped <= every, text


def test_every_metric_of_the_server_is_watched_by_a_rule_or_shown_or_named_in_the_readme(
    labels: dict[str, set[str]],
) -> None:
    readme = (DEPLOY / "README.md").read_text()
    told = " ".join([*(rule["expr"] for rule in rules()), *of_panels()])
    ours = {re.sub(r"_(total|bucket|count|sum|created)$", "", name) for name in labels if name.startswith("clipfarm_")}
    assert [name for name in sorted(ours) if name not in told and name not in readme] == [
        "clipfarm_ledger_last_written_timestamp_seconds",  # the README names its ending
    ]


def test_the_failed_share_counts_every_status_that_is_a_failure() -> None:
    (expression,) = [rule["expr"] for rule in rules() if rule.get("record") == "clipfarm:failed:share"]
    counted, left_out = re.findall(r'status!?=?~"([^"]*)"', expression)
    assert set(counted.split("|")) == {status.value for status in Status if status.failed}
    assert set(left_out.split("|")) == {"removed", "missing_from_metadata", "quarantined"}


def test_the_dashboard_can_be_provisioned_and_no_two_panels_are_one() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places) and all(panel["gridPos"]["w"] <= 24 for panel in panels)
    assert dashboard()["uid"] == "clipfarm" and "id" not in dashboard()
    for path in sorted((DEPLOY / "grafana" / "provisioning").rglob("*.yml")):
        assert yaml.safe_load(path.read_text())["apiVersion"] == 1


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    promtool("check", "config", DEPLOY / "prometheus" / "prometheus.yml")
    promtool("test", "rules", DEPLOY / "prometheus" / "alerts_test.yml")
    tested = (DEPLOY / "prometheus" / "alerts_test.yml").read_text()
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert alerts == set(re.findall(r"alertname: (\w+)", tested))


@needs_promtool
def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [text.replace("$__rate_interval", "5m") for text in of_panels()]
    made = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(queries)]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": made}]}))
    promtool("check", "rules", path)


@needs_prometheus
def test_a_real_prometheus_scrapes_the_server_and_answers_every_rule_and_panel(
    tmp_path: Path, local_store: ObjectStore
) -> None:
    app = create_app(full_backend(tmp_path, local_store), metrics)
    measure(app)
    with served(app) as url, prometheus(tmp_path, url.removeprefix("http://")) as ask:
        until = time.monotonic() + 60
        while not ask("query", query="clipfarm:failed:share")["result"]:  # scraped, and the rules have run once
            assert time.monotonic() < until, ask("targets")
            time.sleep(0.5)
        (target,) = ask("targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")
        evaluated = [rule for group in ask("rules")["groups"] for rule in group["rules"]]
        assert {rule["name"] for rule in evaluated} == {rule.get("record") or rule["alert"] for rule in rules()}
        assert {rule["health"] for rule in evaluated} == {"ok"}
        (ingested,) = ask("query", query='clipfarm_stage_videos_total{stage="raw_video",status="success"}')["result"]
        assert float(ingested["value"][1]) == 7
        shown: list[bool] = []
        while sum(shown) <= len(of_panels()) // 2:  # rates need a few scrapes
            assert time.monotonic() < until, shown
            time.sleep(0.5)
            shown = [bool(ask("query", query=text.replace("$__rate_interval", "5m"))["result"]) for text in of_panels()]


@contextmanager
def prometheus(folder: Path, server: str) -> Iterator[Callable[..., Any]]:
    """A Prometheus with the configuration of `deploy/`, which scrapes ``server`` each second; asks its HTTP API."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(RULES)]
    config["scrape_configs"][0]["static_configs"][0]["targets"] = [server]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_port()
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
    with subprocess.Popen(
        [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:

        def ask(path: str, **asked: str) -> Any:
            answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/{path}", params=asked)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        try:
            until = time.monotonic() + 60
            while True:
                try:
                    if httpx.get(f"http://127.0.0.1:{port}/-/ready").status_code == 200:
                        break
                except httpx.TransportError:
                    assert time.monotonic() < until and process.poll() is None
                time.sleep(0.1)
            yield ask
        finally:
            process.terminate()
