"""What went wrong in a store, told as one of ``errors.StoreError``.

In: an error of obstore or of the file system. Out: its name, in words that hold nothing secret: no body of the
server's (it may repeat key ids), no signed query, no user of a URL.
"""

import re
from pathlib import Path
from typing import NamedTuple

from obstore import exceptions as obstore_errors

from clipfarm_assets.errors import StoreAccessDenied, StoreError, StoreFull, StoreMissing, StoreUnavailable

NOT_FOUND = (FileNotFoundError, obstore_errors.NotFoundError)
_DENIALS = (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError, PermissionError)
_DENIED_LOCALLY = re.compile(r"os error (1|13|30)\b")  # EPERM, EACCES, EROFS
_TEMPORARY_NAME = re.compile(r"#\d+(?=[:\s\"']|$)")
_RETRY_RULE = re.compile(r", max_retries: \d+, retry_timeout: \S+ +")
_USER = re.compile(r"://[^/\s]*@")
_S3_CODE = re.compile(r"(?:<Code>|\(code: )(\w{1,64})")
_S3_REGION = re.compile(r"<Region>([a-z0-9-]{1,32})</Region>")


class Named(NamedTuple):
    """A failure: its class, what is said of it, and what to do where the class's own hint does not fit."""

    kind: type[StoreError]
    what: str
    hint: str | None = None


_DENIED = Named(StoreAccessDenied, "access denied")
_REFUSED = Named(StoreAccessDenied, "the credentials are missing or refused")
_EXPIRED = Named(
    StoreAccessDenied, "the session token has expired or is not valid",
    "Renew it (AWS_SESSION_TOKEN, or `aws sso login`); work resumes at the next run.",
)  # fmt: skip
_CLOCK = Named(StoreAccessDenied, "this machine's clock and the store's differ", "Set this machine's clock.")
_NO_BUCKET = Named(StoreMissing, "the bucket does not exist")
_FULL = Named(StoreFull, "no space left")
_ELSEWHERE = Named(StoreMissing, "the bucket lies in another region", "Set AWS_REGION to the region of the bucket.")

_BY_CODE = {
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "NotSignedUp", "AccountProblem"), _REFUSED),
    **dict.fromkeys(("AccessDenied", "AllAccessDisabled"), _DENIED),
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestExpired"), _EXPIRED),
    "RequestTimeTooSkewed": _CLOCK,
    **dict.fromkeys(("NoSuchBucket", "InvalidBucketName"), _NO_BUCKET),
    **dict.fromkeys(("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed"), _ELSEWHERE),
    **dict.fromkeys(("IllegalLocationConstraintException", "IncorrectEndpoint"), _ELSEWHERE),
    **dict.fromkeys(("XMinioStorageFull", "QuotaExceeded", "XMinioAdminBucketQuotaExceeded"), _FULL),
}  # fmt: skip
_BY_WORDS = (
    ("redirect without LOCATION", _ELSEWHERE),
    ("307 Temporary Redirect", _ELSEWHERE),
    ("507 Insufficient Storage", _FULL),
    ("401 Unauthorized", _DENIED),
    ("403 Forbidden", _DENIED),
    ("No space left", _FULL),
    ("os error 28", _FULL),
    ("credentials", _REFUSED),
    ("dns error", Named(StoreUnavailable, "the name of {endpoint} does not resolve")),
    ("ConnectionRefused", Named(StoreUnavailable, "nobody listens at {endpoint}")),
    ("kind: Timeout", Named(StoreUnavailable, "no answer from {endpoint} within CLIPFARM_STORE_TIMEOUT_SEC")),
    ("body error", Named(StoreUnavailable, "the connection to {endpoint} broke")),
    ("error sending request", Named(StoreUnavailable, "the connection to {endpoint} broke")),
)


def store_error(action: str, url: str, root: Path | None, error: Exception) -> StoreError:
    """The failure of an action such as ``read clipfarm/x``, in the store of that URL or local folder."""
    text, what = str(error), f"Could not {action} in {url}"
    if root is not None and (isinstance(error, PermissionError) or _DENIED_LOCALLY.search(text)):
        reason = "the file system is read-only" if "os error 30" in text else "permission denied"
        return StoreAccessDenied(f"{what}: {reason}.", hint=folder_hint(root))
    named = _of_s3(text) if root is None else None
    if named is None and isinstance(error, _DENIALS):
        named = _DENIED
    if named is None:
        named = next((found for words, found in _BY_WORDS if words in text), None)
    if named is None:
        return StoreUnavailable(f"{what}: {_TEMPORARY_NAME.sub('', _reason(text))}.")
    return named.kind(f"{what}: {named.what.format(endpoint=_endpoint(text))}.", hint=named.hint)


def is_refusal(error: Exception) -> bool:
    """S3 answered no, and says why only in the body of its answer."""
    return isinstance(error, _DENIALS) or bool(re.search(r"status code: [34]\d\d|redirect without", str(error)))


def is_lack_of_bucket(error: Exception) -> bool:
    """What is not found is the bucket rather than the key."""
    return _of_s3(str(error)) is _NO_BUCKET


def is_cut_once(error: Exception) -> bool:
    """The connection broke in a request that obstore does not send again by itself."""
    text = _reason(str(error))
    return "HTTP error" in text and " retries, " not in text


def folder_hint(root: Path) -> str:
    """What to do where the file system refuses."""
    return f"Give this user the right to read and write in {root}, or correct CLIPFARM_STORE."


def _of_s3(text: str) -> Named | None:
    code = _S3_CODE.search(text)
    named = _BY_CODE.get(code[1]) if code else None
    region = _S3_REGION.search(text)
    if named is _ELSEWHERE and region:
        return named._replace(hint=f"Set AWS_REGION={region[1]}.")
    return named


def _reason(text: str) -> str:
    """The backend's own words, in one line that is fit to be shown."""
    words, _, body = text.partition("<")
    first = words.strip().splitlines()[0].rstrip(": ") if words.strip() else "no reason given"
    first = _RETRY_RULE.sub(" ", _USER.sub("://***@", first))
    code = _S3_CODE.search("<" + body)
    return re.sub(r"\?[^\s\")]+", "?…", first)[:300].rstrip(".") + (f": {code[1]}" if code else "")


def _endpoint(text: str) -> str:
    """The server that was asked, as its URL without a user."""
    asked = re.search(r"https?://[^/\s]+", text)
    return _USER.sub("://***@", asked[0]) if asked else "the endpoint"
