"""An S3 that refuses for a while, between the deployment and moto's server."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any

from clipfarm_assets_tests.loopback import LoopbackServer
from clipfarm_assets_tests.torture.audit import Audit
from clipfarm_assets_tests.torture.bench import Bench
from clipfarm_assets_tests.torture.evidence import Objects, Run, runs
from clipfarm_assets_tests.torture.home import Home, until
from clipfarm_assets_tests.torture.kills import finish_by_daemon

BUCKET = "torture"
PAUSE_SEC = 1.0
_CODES = {503: "SlowDown", 403: "AccessDenied"}
_PATIENCE_SEC = 300.0


@dataclass
class Door:
    """What the proxy answers: 0 passes everything on, else that status for requests with one of the methods."""

    status: int = 0
    methods: tuple[str, ...] = ()


def store_refuses(bench: Bench) -> None:
    """503 and then 403 for what is written, while the daemon works: named, with growing pauses, then over."""
    with _s3() as (backend, endpoint, door), bench.home() as home:
        home.env.update(_environment(endpoint))
        home.env.update({"CLIPFARM_RETRY_PAUSE_SEC": str(PAUSE_SEC), "CLIPFARM_CHUNK_SIZE": "1000"})
        audit = Audit(home, lambda: _objects(backend))
        home.start_daemon()
        bench.wait_for_a_worker(home, audit)
        for status, name, in_a_row in ((503, "StoreUnavailable", 2), (403, "StoreAccessDenied", 1))[: bench.moments]:
            bench.keep_busy(home, audit)
            begun = len(_objects(backend))
            until(lambda begun=begun: len(_objects(backend)) > begun, _PATIENCE_SEC, 1.0)  # type: ignore[misc]
            before = len(_stalled(home, name))
            door.status, door.methods = status, ("PUT", "POST")
            what = f"{in_a_row} runs in a row are stopped by {name}"
            found = until(lambda: len(_stalled(home, name)) >= before + in_a_row, _PATIENCE_SEC, 0.5)  # noqa: B023
            audit.require(f"{status} for writes", what, found)
            bench.moment(audit, f"{status} for writes: {what}")
            door.status = 0
            if in_a_row > 1:
                _check_pauses(bench, home, audit)
        finish_by_daemon(home, audit)
        charged = {pair for pair, tries in audit.log().tries.items() if tries}
        audit.require("the end", f"no video is charged a try: {sorted(charged)[:4]}", not charged)
        bench.end(audit)


def _check_pauses(bench: Bench, home: Home, audit: Audit) -> None:
    """A run is asked for only after a pause that grows fivefold with each run in a row that was stopped before it."""
    stalled, said = _stalled(home), []
    for run in stalled:
        before = [other for other in stalled if other.end < run.created]
        if not before:
            continue
        pause, least = run.created - max(other.end for other in before), PAUSE_SEC * 5 ** (len(before) - 1)
        said.append(f"{pause:.0f} s after {len(before)}")
        audit.require(
            "the pauses", f"{pause:.0f} s after {len(before)} stops is at least {least:.0f} s", pause >= least - 1
        )
    bench.say(f"pauses: {', '.join(said)} stopped runs")


def _stalled(home: Home, name: str = "") -> list[Run]:
    """The chunk runs that the platform stopped, of those by the named error."""
    return [
        run
        for run in runs(home.databases_folder)
        if run.status == "FAILURE" and "clipfarm/stalled" in run.tags and name in run.tags["clipfarm/stalled"]
    ]


def _environment(endpoint: str) -> dict[str, str]:
    return {
        "CLIPFARM_STORE": f"s3://{BUCKET}/store",
        "AWS_ACCESS_KEY_ID": "torture", "AWS_SECRET_ACCESS_KEY": "torture", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint, "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    }  # fmt: skip


def _objects(backend: Any) -> Objects:
    """Content and stamp of every artifact and identity, asked of the server behind the proxy."""
    found: Objects = {}
    for page in backend.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="store/clipfarm/"):
        for entry in page.get("Contents", []):
            key = entry["Key"].removeprefix("store/")
            if key.count("/") == 3:
                content = backend.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read()
                found[key] = (content, (entry["ETag"], entry["LastModified"]))
    return found


@contextmanager
def _s3() -> Iterator[tuple[Any, str, Door]]:
    """A client of moto's server, the address of the proxy before it, and the proxy's door."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.Session("torture", "torture", region_name="us-east-1")
    backend = session.client("s3", endpoint_url=f"http://{host}:{port}")
    backend.create_bucket(Bucket=BUCKET)
    door = Door()
    proxy = LoopbackServer(("127.0.0.1", 0), _handler(host, port, door))
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        yield backend, f"http://127.0.0.1:{proxy.server_address[1]}", door
    finally:
        proxy.shutdown()
        server.stop()


def _handler(host: str, port: int, door: Door) -> type[BaseHTTPRequestHandler]:
    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if door.status and self.command in door.methods:
                body = f"<Error><Code>{_CODES[door.status]}</Code></Error>".encode()
                self._say(door.status, {"Content-Type": "application/xml"}, body)
                return
            onward = HTTPConnection(host, port, timeout=60)
            onward.request(self.command, self.path, sent, dict(self.headers))
            found = onward.getresponse()
            body = found.read()
            self._say(found.status, dict(found.getheaders()), body)
            onward.close()

        def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(body))
            self.send_header("Content-Length", length)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
        setattr(Proxy, f"do_{method}", Proxy.answer)
    return Proxy
