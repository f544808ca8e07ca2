"""The same graph over S3: the same bytes as over a local folder, and no credential anywhere."""

import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clipfarm_assets.store.object_store import ObjectStore
from clipfarm_assets_tests.graph.conftest import NewDeployment
from clipfarm_assets_tests.graph.deployment import Deployment, files_below

SECRETS = ("SECRET/of+this/test/0123456789abcdefABCD", "AKIAKEYOFTHISTEST001", "token-of-this-test-0123456789")
OF_THE_PLACE = ("processed_at", "etag", "video_etag", "audio_etag", "text_etag")
MANIFESTS = (
    *(f"clipfarm/embeddings/{modality}_manifest.parquet" for modality in ("video", "audio", "text")),
    *(f"clipfarm/fused/{strategy}/fused_manifest.parquet" for strategy in ("concat", "sum_pool", "max_pool")),
)


def fill(deployment: Deployment) -> None:
    deployment.add("a")
    deployment.add("silent", sound=False, said=None)
    deployment.add("absent")
    (deployment.media / "absent.mp4").unlink()


def manifest(store: ObjectStore, key: str) -> pa.Table:
    table = pq.read_table(pa.BufferReader(store.get(key)))
    return table.drop_columns([name for name in OF_THE_PLACE if name in table.column_names])


def keys_of(store: ObjectStore) -> set[str]:
    """All but the index: LanceDB names its files by chance, and only a folder has locks."""
    found = {info.key for info in store.list("clipfarm")}
    index = {key for key in found if key.startswith("clipfarm/search/") and not key.endswith(".parquet")}
    assert any(".lance/" in key for key in index)
    return found - index


@pytest.fixture
def both(new_deployment: NewDeployment, s3_url: str) -> tuple[ObjectStore, ObjectStore, Deployment]:
    """The stores of a local and of an S3 deployment of the same videos, and the latter."""
    local = new_deployment()
    fill(local)
    local.run()
    local_store = local.workshop.store
    remote = new_deployment(s3_url)
    fill(remote)
    remote.run()
    return local_store, remote.workshop.store, remote


def test_s3_and_a_local_folder_hold_the_same_vectors_and_manifests(
    both: tuple[ObjectStore, ObjectStore, Deployment],
) -> None:
    local, remote, deployment = both
    keys = {store: keys_of(store) for store in (local, remote)}
    assert keys[local] == keys[remote]
    vectors = [key for key in keys[local] if key.endswith(".npy")]
    assert len(vectors) == 2 + 1 + 2 + 2 + 3
    raw = [key for key in keys[local] if key.startswith("clipfarm/raw/") and not key.endswith(".identity.json")]
    for key in (*vectors, *raw):
        assert local.get(key) == remote.get(key), key
    for key in MANIFESTS:
        assert manifest(local, key).equals(manifest(remote, key)), key
    for path in files_below([deployment.home]):
        assert os.environ["AWS_SECRET_ACCESS_KEY"].encode() not in path.read_bytes()


class Refusing(BaseHTTPRequestHandler):
    """An S3 that refuses, and repeats in its answer what it was sent."""

    def refuse(self) -> None:
        sent = f"{self.path} {self.headers.get('Authorization')} {self.headers.get('x-amz-security-token')}"
        body = (
            "<?xml version='1.0'?><Error><Code>InvalidAccessKeyId</Code><Message>No such key "
            f"{SECRETS[1]}</Message><AWSAccessKeyId>{SECRETS[1]}</AWSAccessKeyId><Sent>{sent}</Sent></Error>"
        ).encode()
        self.send_response(403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = refuse

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("fault", ["refused credentials", "wrong endpoint"])
def test_no_credential_is_in_logs_events_or_store_after_a_failing_s3_run(
    fault: str, refusing: str, new_deployment: NewDeployment, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    endpoint = refusing if fault == "refused credentials" else "http://127.0.0.1:9"
    for name, value in {
        "AWS_SECRET_ACCESS_KEY": SECRETS[0], "AWS_ACCESS_KEY_ID": SECRETS[1], "AWS_SESSION_TOKEN": SECRETS[2],
        "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    deployment = new_deployment("s3://bucket/prefix")
    deployment.add("a")
    deployment.write_csv()
    job = deployment.definitions.resolve_job_def("read_metadata")
    result = job.execute_in_process(instance=deployment.instance, raise_on_error=False)
    error = result.get_step_failure_events()[0].step_failure_data.error
    assert error is not None and error.cause is not None
    expected = "StoreAccessDenied" if fault == "refused credentials" else "StoreUnavailable"
    assert error.cause.cls_name == expected
    said = [str(capfd.readouterr()), caplog.text, str(result.all_events), error.to_string()]
    for path in files_below([deployment.folder]):
        said.append(path.read_bytes().decode("latin-1"))
    assert len(said) > 10
    for secret in SECRETS:
        assert not any(secret in text for text in said)
