"""The Twitch Helix API: clips, games and users by id. https://dev.twitch.tv/docs/api/reference

In: ids. Out: for each id what it is, or why it is not known: ``Missing`` (Twitch has no such thing, an outcome) or
``TwitchFailure`` (a later run may know). A token of the client-credentials flow is fetched when it is needed and
renewed once where a request is answered with 401. 429, 502, 503, 504 and broken connections are tried three times, with
growing pauses or as long as the API says. Every request takes a token of a bucket of 800 a minute that the processes of
a machine share. Neither secret nor token is in any message.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import SecretStr

from clipfarm_assets.errors import ProviderError
from clipfarm_assets.measures import Measures, outcome_of_status
from clipfarm_assets.text_provider.limiter import RateLimiter

Resource = Literal["clips", "games", "users"]

_IDS_AT_ONCE = 100
_TRIED_AGAIN = {429, 502, 503, 504}
_LONGEST_PAUSE_SEC = 60.0


@dataclass(frozen=True)
class TwitchSettings:
    """How the API is reached. ``folder`` holds the limiter's state; processes that share it share the limit."""

    client_id: str
    client_secret: SecretStr
    api_url: str = "https://api.twitch.tv/helix"
    token_url: str = "https://id.twitch.tv/oauth2/token"
    requests_per_minute: int = 800
    timeout_sec: float = 10.0
    attempts: int = 3
    pause_sec: float = 0.5
    folder: Path = Path("data/twitch")


@dataclass(frozen=True)
class Missing:
    """Twitch knows nothing by this id."""


@dataclass(frozen=True)
class TwitchFailure:
    """There was no answer; a later run may get one."""

    what: str


Answer = dict[str, Any] | Missing | TwitchFailure


class Twitch:
    """Asks Helix. Safe in several threads."""

    def __init__(
        self,
        settings: TwitchSettings,
        sleep: Callable[[float], None] = time.sleep,
        measures: Measures | None = None,
    ) -> None:
        self._settings, self._sleep, self._measures = settings, sleep, measures or Measures()
        self._limiter = RateLimiter(settings.folder / "twitch.bucket", settings.requests_per_minute)
        self._token: str | None = None
        self._renewing = threading.Lock()

    def get(self, resource: Resource, ids: Sequence[str]) -> dict[str, Answer]:
        """What each id is, up to 100 in one request.

        Raises:
            ProviderError: Twitch refuses the client id or its secret.
        """
        found: dict[str, Answer] = {}
        different = list(dict.fromkeys(ids))
        for start in range(0, len(different), _IDS_AT_ONCE):
            some = different[start : start + _IDS_AT_ONCE]
            rows = self._rows(resource, some)
            if isinstance(rows, list):
                by_id = {str(row.get("id")): row for row in rows}
                found |= {each: by_id.get(each, Missing()) for each in some}
            else:
                found |= dict.fromkeys(some, rows)
        return found

    def _rows(self, resource: Resource, ids: Sequence[str]) -> list[dict[str, Any]] | Missing | TwitchFailure:
        failure = TwitchFailure("Twitch was not asked.")
        renewed = False
        attempt = 0
        while attempt < self._settings.attempts:
            token = self._current_token()
            if isinstance(token, TwitchFailure):
                return token
            response = self._send("GET", f"{self._settings.api_url}/{resource}", ids, token)
            status = response if isinstance(response, str) else response.status_code
            if status == 401:
                if renewed:
                    raise ProviderError("Twitch refuses the token that it has just given.", hint=_HINT)
                renewed = True
                self._forget_token(token)
                continue
            if status == 404:
                return Missing()
            if not isinstance(response, str) and status == 200:
                return _data(response)
            failure = TwitchFailure(response if isinstance(response, str) else f"Twitch answers {status}.")
            attempt += 1
            if not isinstance(response, str) and status not in _TRIED_AGAIN:
                return failure
            if attempt < self._settings.attempts:
                self._pause(attempt, None if isinstance(response, str) else response.headers)
        return failure

    def _current_token(self) -> str | TwitchFailure:
        """The token in use, fetched where there is none; one thread fetches, the others wait."""
        with self._renewing:
            failure: TwitchFailure | None = None
            for attempt in range(1, self._settings.attempts + 1):
                if self._token is not None:
                    return self._token
                response = self._send("POST", self._settings.token_url, (), None)
                if isinstance(response, str):
                    failure = TwitchFailure(response)
                elif response.status_code == 200:
                    self._token = _token(response)
                    failure = TwitchFailure("Twitch gives a token that cannot be read.")
                elif response.status_code in (400, 401, 403):
                    raise ProviderError(f"Twitch refuses the client ({response.status_code}).", hint=_HINT)
                else:
                    failure = TwitchFailure(f"Twitch gives no token ({response.status_code}).")
                if self._token is None and attempt < self._settings.attempts:
                    self._pause(attempt, None)
            return self._token or failure or TwitchFailure("Twitch gives no token.")

    def _forget_token(self, token: str) -> None:
        with self._renewing:
            if self._token == token:  # another thread may have renewed it already
                self._token = None

    def _send(self, method: str, url: str, ids: Sequence[str], token: str | None) -> Any:
        """The response, or in words why there is none."""
        import requests

        secret = self._settings.client_secret.get_secret_value()
        form = {"client_id": self._settings.client_id, "client_secret": secret, "grant_type": "client_credentials"}
        headers = {"Client-Id": self._settings.client_id, "Authorization": f"Bearer {token}"} if token else {}
        self._limiter.take()
        began, outcome = time.monotonic(), "unavailable"
        try:
            response = requests.request(
                method, url, params=[("id", each) for each in ids], data=None if token else form, headers=headers,
                timeout=self._settings.timeout_sec, allow_redirects=False,
            )  # fmt: skip
            outcome = outcome_of_status(response.status_code)
            return response
        except requests.RequestException as error:  # its text holds the URL; the form's secret stands in no URL
            outcome = "timed_out" if isinstance(error, requests.Timeout) else outcome
            return f"Twitch cannot be reached ({type(error).__name__})."
        finally:
            self._measures.upstream("twitch", outcome, time.monotonic() - began)

    def _pause(self, attempt: int, headers: Any) -> None:
        longest = min(self._settings.pause_sec * 2**attempt, _LONGEST_PAUSE_SEC)
        asked = _asked_pause_sec(headers or {})
        if asked is not None:
            self._limiter.pause(asked)
        self._sleep(random.uniform(longest / 2, longest))


_HINT = "Check TWITCH_CLIENT_ID and TWITCH_CLIENT_SECRET."


def _token(response: Any) -> str | None:
    try:
        token = response.json()["access_token"]
    except (ValueError, KeyError, TypeError):
        return None
    return token if isinstance(token, str) and token else None


def _data(response: Any) -> list[dict[str, Any]] | TwitchFailure:
    try:
        rows = response.json()["data"]
    except (ValueError, KeyError, TypeError):
        return TwitchFailure("Twitch's answer cannot be read.")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return TwitchFailure("Twitch's answer cannot be read.")
    return rows


def _asked_pause_sec(headers: Any) -> float | None:
    """Seconds until ``Ratelimit-Reset`` (a moment) or of ``Retry-After``; None where neither can be read."""
    try:
        if "Retry-After" in headers:
            return max(0.0, float(headers["Retry-After"]))
        if "Ratelimit-Reset" in headers:
            return min(max(0.0, float(headers["Ratelimit-Reset"]) - time.time()), _LONGEST_PAUSE_SEC)
    except ValueError:
        pass
    return None
