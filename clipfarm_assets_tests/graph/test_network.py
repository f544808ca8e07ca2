"""Networks that fail under a whole run: a store that goes away in its middle, and every kind of bad source at once."""

import functools
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from clipfarm_assets.errors import StoreUnavailable
from clipfarm_assets.graph import platform
from clipfarm_assets.graph.in_flight import STALLED
from clipfarm_assets.graph.stages import STAGE_BY_NAME, STAGES
from clipfarm_assets.media.download import FetchOptions
from clipfarm_assets_tests.conftest import S3Server
from clipfarm_assets_tests.graph.conftest import NewDeployment
from clipfarm_assets_tests.graph.deployment import Deployment, TinyVideos, expect, files_below
from clipfarm_assets_tests.media.web import Web, running_web
from clipfarm_assets_tests.store import proxy as network
from clipfarm_assets_tests.store.proxy import Fault, Proxy, Request

VIDEOS = ("a", "b", "c")
SECRET = "hunter2hunter2"


@pytest.fixture
def proxy(s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with network.running_proxy(s3_server.endpoint) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.endpoint)
        yield running


@dataclass
class Outage:
    """Everything is met by the fault from the moment on that the so-manieth raw video or vector is written."""

    fault: Fault
    at: int
    ending: str
    writes: int = 0

    def __call__(self, request: Request) -> Fault | None:
        self.writes += request.verb == "put" and request.key.endswith(self.ending)
        return self.fault if self.writes >= self.at else None


@pytest.mark.slow
@pytest.mark.parametrize(
    "outage",
    [
        Outage(network.says(503, "SlowDown"), 2, ".mp4"),
        Outage(network.cut_in_request_body, 1, ".wav.identity.json"),
        Outage(network.cut_after_doing, 1, "/text/b.npy"),
    ],
    ids=["slow_down", "cut_while_sending", "cut_after_doing"],
)
def test_a_store_that_goes_away_within_a_run_costs_no_try_and_nothing_that_was_made(
    outage: Outage, proxy: Proxy, s3_url: str, new_deployment: NewDeployment
) -> None:
    deployment = new_deployment(s3_url)
    deployment.set("CLIPFARM_STORE_TIMEOUT_SEC", 1.0)
    for number, video_id in enumerate(VIDEOS):
        deployment.add(video_id, number)
    proxy.fault = outage
    with pytest.raises(StoreUnavailable, match=r"Could not .* in s3://"):
        deployment.run()
    assert {run.tags[STALLED] for run in deployment.instance.get_runs() if STALLED in run.tags} == {"StoreUnavailable"}

    proxy.fault = network.always(network.pass_on)
    retries = {key: row["retry_count"] for key, row in deployment.ledger().items()}
    assert set(retries.values()) == {0}, "no video is charged with a try"
    proven = {
        stage.key(video_id): stage
        for stage in STAGES
        for video_id in VIDEOS
        if (found := deployment.artifacts.identity(stage.key(video_id))) and found.key
    }
    before = Counter(proxy.written())
    deployment.run()
    for video_id in VIDEOS:
        assert deployment.statuses(video_id) == expect()
    again = Counter(proxy.written()) - before
    prefix = s3_url.rpartition("/")[2]
    assert proven
    assert not [key for key in proven if again[f"{prefix}/{key}"]], "what was proven is not made again"
    made = {f"{prefix}/{stage.key(video_id)}" for stage in STAGES for video_id in VIDEOS}
    assert all(again[key] + before[key] >= 1 for key in made)
    assert deployment.reports[-1].errors == []


# What becomes of each row: the status of raw_video, and the tries that it has cost. A name is the server's behaviour.
ROWS: dict[str, tuple[str, int]] = {
    "good": ("success", 0),
    "chain": ("success", 0),
    "chain-raw": ("success", 0),
    "unsaid-length": ("success", 0),
    "chunked": ("success", 0),
    "cut": ("success", 0),
    "cut-ignored": ("success", 0),
    "cut-changed": ("success", 0),
    "cut-other-start": ("success", 0),
    "cut-other-size": ("success", 0),
    "cut-416": ("success", 0),
    "gzip": ("success", 0),
    "busy-briefly": ("success", 0),
    "down-briefly": ("success", 0),
    "cut-always": ("source_network", 1),
    "chunked-cut": ("source_network", 1),
    "cut-head": ("source_network", 1),
    "status-500": ("source_network", 1),
    "stall": ("source_network", 1),
    "drip": ("source_network", 1),
    "drip-head": ("source_network", 1),
    "status-404": ("source_unavailable", 1),
    "status-451": ("source_unavailable", 1),
    "status-204": ("source_unavailable", 1),
    "status-410": ("source_removed", 1),
    "status-401": ("source_forbidden", 1),
    "status-403": ("source_forbidden", 1),
    "busy": ("rate_limited", 0),
    "overloaded": ("rate_limited", 0),
    "loop": ("source_format", 1),
    "to-file": ("source_format", 1),
    "to-nothing": ("source_format", 1),
    "html": ("source_format", 1),
    "hidden-html": ("source_format", 1),
    "image": ("source_format", 1),
    "pdf": ("source_format", 1),
    "json": ("source_format", 1),
    "brotli": ("source_format", 1),
    "declared-large": ("source_too_large", 1),
    "endless": ("source_too_large", 1),
    "bomb": ("source_too_large", 1),
    "empty": ("unsupported_media", 1),
    "noise": ("unsupported_media", 1),
}
ELSEWHERE: dict[str, tuple[str, str, int]] = {
    "closed-port": ("http://127.0.0.1:9/a.mp4", "source_network", 1),
    "no-such-host": ("http://no-such-host.invalid/a.mp4", "source_unavailable", 1),
    "no-tls": ("https://127.0.0.1:{port}/good.mp4", "source_network", 1),
    "bad-port": ("http://127.0.0.1:99999999/a.mp4", "source_format", 1),
    "other-scheme": ("ftp://127.0.0.1/a.mp4", "source_format", 1),
    "other-machine": ("file://other/a.mp4", "source_format", 1),
    "no-file": ("none.mp4", "source_unavailable", 1),
    "long": ("http://127.0.0.1:{port}/" + "x" * 3000 + ".mp4", "source_unavailable", 1),
    "no-object": ("s3://{bucket}/none.mp4", "source_unavailable", 1),
    "no-bucket": ("s3://there-is-no-such-bucket/a.mp4", "source_unavailable", 1),
}
NOT_ALLOWED = ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "169.254.169.254")


@pytest.fixture
def web(tiny: TinyVideos) -> Iterator[Web]:
    with running_web(tiny.make(0).read_bytes()) as running:
        yield running


def no_pause(sec: float) -> None:
    """Nobody waits between tries; picklable, since the workers download."""


@pytest.fixture
def of_sources(
    deployment: Deployment, web: Web, s3_server: S3Server, s3_url: str, monkeypatch: pytest.MonkeyPatch
) -> Deployment:
    """A deployment with a row for each kind of source, its addresses full of secrets."""
    monkeypatch.setattr(
        platform, "FetchOptions", functools.partial(FetchOptions, attempts=3, pause=no_pause)
    )  # nobody waits between tries
    for name, value in {"ALLOW_PRIVATE_ADDRESSES": "true", "DOWNLOAD_TIMEOUT_SEC": 3.0, "DOWNLOAD_LIMIT_SEC": 10.0,
                        "MAX_DOWNLOAD_BYTES": 2_000_000, "RETRY_PAUSE_SEC": 600}.items():  # fmt: skip
        deployment.set(f"CLIPFARM_{name}", value)
    row = {"title": "A title", "captured_at": "2026-01-01T00:00:00Z"}
    query = f"?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}&token={SECRET}#{SECRET}"
    for name in ROWS:
        deployment.rows[name] = row | {"url": f"http://user:{SECRET}@127.0.0.1:{web.port}/{name}.mp4{query}"}
    for name, (url, _, _) in ELSEWHERE.items():
        deployment.rows[name] = row | {"url": url.format(port=web.port, bucket=s3_server.bucket)}
    return deployment


@pytest.mark.slow
def test_every_kind_of_source_ends_in_its_status_and_no_secret_of_an_address_gets_out(
    of_sources: Deployment, web: Web, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    deployment = of_sources
    deployment.run()
    expected = ROWS | {name: (status, tries) for name, (_, status, tries) in ELSEWHERE.items()}
    raw = {video_id: row for (video_id, stage), row in deployment.ledger().items() if stage == "raw_video"}
    assert {name: (row["status"], row["retry_count"]) for name, row in raw.items()} == expected
    assert all(bool(row["error"]) == (row["status"] != "success") for row in raw.values())
    whole = web.body
    for name in (name for name, (status, _) in expected.items() if status == "success"):
        assert deployment.workshop.store.get(STAGE_BY_NAME["raw_video"].key(name)) == whole, name

    waits = {name: deployment.outcome(name, "raw_video") for name in ("busy", "overloaded")}
    assert {name: outcome.retry_after_sec for name, outcome in waits.items() if outcome} == dict.fromkeys(waits, 7200)

    said = [str(capfd.readouterr()), caplog.text]
    for path in files_below([deployment.home, deployment.folder / "store"]):
        if "metadata" not in path.parts:  # the tables of the rows themselves
            said.append(path.read_bytes().decode("latin-1"))
    assert len(said) > 50
    assert not [text for text in said if SECRET in text or os.environ["AWS_SECRET_ACCESS_KEY"] in text]


def test_no_row_reaches_this_machine_or_its_networks_unless_allowed(deployment: Deployment, web: Web) -> None:
    row = {"title": "A title", "captured_at": "2026-01-01T00:00:00Z"}
    for number, host in enumerate(NOT_ALLOWED):
        deployment.rows[f"host-{number}"] = row | {"url": f"http://{host}:{web.port}/good.mp4"}
    deployment.run(fan_in=False)
    raw = {video_id: row for (video_id, stage), row in deployment.ledger().items() if stage == "raw_video"}
    assert {row["status"] for row in raw.values()} == {"source_forbidden"}
    assert all("CLIPFARM_ALLOW_PRIVATE_ADDRESSES" in row["error"] for row in raw.values())
    assert len(raw) == len(NOT_ALLOWED)
    assert web.asked == []
