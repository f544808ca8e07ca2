"""Starts runs for those outside of Dagster, through its web server's GraphQL."""

import threading
import time
from urllib.parse import unquote, urlsplit, urlunsplit

from dagster_graphql import DagsterGraphQLClient, DagsterGraphQLClientError
from pydantic import SecretStr
from requests.auth import HTTPBasicAuth
from requests.exceptions import RequestException, Timeout

from clipfarm_assets.clips.work import Launched
from clipfarm_assets.graph.jobs import TAGS, export_clips, make_clips

JOBS = {"score_batch": make_clips.name, "export_clip": export_clips.name}  # by the kind of the row in `jobs`
_TIMEOUT_SEC = 3
_QUIET_SEC = 10.0
_NOT_BEGUN = ("QUEUED", "NOT_STARTED", "STARTING")


class Launcher:
    """Asks for runs, one caller at a time.

    A run takes all that waits when it begins, so one that has not begun serves the next caller too. A server that has
    just not answered is left alone for ten seconds: nobody waits for it in vain, and the sensor takes up what waits.
    """

    def __init__(self, url: str, header: SecretStr | None = None) -> None:
        """``header``: its name and value, as a proxy before the server wants it; a user in ``url`` is basic auth."""
        parts = urlsplit(url)
        self._shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        name, _, value = header.get_secret_value().partition(":") if header else ("", "", "")
        user = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._client = DagsterGraphQLClient(
            parts.hostname or "127.0.0.1", parts.port, use_https=parts.scheme == "https", timeout=_TIMEOUT_SEC,
            path_prefix=parts.path.rstrip("/"), headers={name.strip(): value.strip()} if header else None,
            auth=HTTPBasicAuth(*user) if user else None,
        )  # fmt: skip
        self._lock = threading.Lock()
        self._asked: dict[str, str] = {}
        self._silent_until = 0.0
        self._why = ""

    def launch(self, kind: str) -> Launched:
        """The run that will do a job of this kind, or why there is none yet."""
        with self._lock:
            if time.monotonic() < self._silent_until:
                return Launched(None, self._why)
            try:
                return Launched(self._waiting_run(kind) or self._start(kind), None)
            except DagsterGraphQLClientError as error:
                self._why = f"Dagster at {self._shown} starts no run: {_reason(error)}. Its sensor takes it up later."
                self._silent_until = time.monotonic() + _QUIET_SEC
                return Launched(None, self._why)

    def _waiting_run(self, kind: str) -> str | None:
        run_id = self._asked.get(kind)
        if run_id is None:
            return None
        return run_id if self._client.get_run_status(run_id).value in _NOT_BEGUN else None

    def _start(self, kind: str) -> str:
        self._asked.pop(kind, None)
        run_id: str = self._client.submit_job_execution(JOBS[kind], tags=TAGS)
        self._asked[kind] = run_id
        return run_id


def _reason(error: BaseException) -> str:
    """What is behind an error, without the query that it quotes."""
    while error.__cause__ is not None and not isinstance(error, RequestException):
        error = error.__cause__
    if isinstance(error, Timeout):
        return f"no answer within {_TIMEOUT_SEC} s"
    if isinstance(error, RequestException):
        return "it cannot be reached" if error.response is None else f"it answers with {error.response.status_code}"
    text = str(error.args[-1] if error.args else error).strip()
    return text.splitlines()[0][:200].rstrip(".") if text else type(error).__name__
