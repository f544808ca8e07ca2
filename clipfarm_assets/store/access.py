"""How this deployment reaches its stores, as a value that another process can have too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    CredentialRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from obstore.exceptions import BaseError

from clipfarm_assets.errors import ConfigurationError, StoreAccessDenied, StoreMissing, StoreUnavailable
from clipfarm_assets.store.object_store import BUCKET_NAME, ObjectStore, open_store


@dataclass(frozen=True)
class Access:
    """The credentials of a deployment.

    Attributes:
        account: what ``boto3.Session`` takes them from; None where AWS's own variables and files say it.
        endpoint: an S3 endpoint other than that of the AWS variables and files.
        settings: the places that settings name, by variable, for errors to say which one is wrong.
        timeout_sec: longest silence of S3.
    """

    account: Mapping[str, str | None] = field(default_factory=dict, repr=False)
    endpoint: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    timeout_sec: float = 20.0

    def open_store(self, url: str) -> ObjectStore:
        """The store behind a URL.

        Raises:
            ConfigurationError, StoreError: as their names say; no text holds what is secret.
        """
        if not url.startswith("s3://"):
            return open_store(url)
        import boto3

        self._check_bucket(url)
        try:
            # the client finds the endpoint in AWS_ENDPOINT_URL or the config file
            endpoint = self.endpoint or boto3.Session(**self.account).client("s3").meta.endpoint_url
            return open_store(url, account=self.account, endpoint=endpoint, timeout_sec=self.timeout_sec)
        except ProfileNotFound:  # not chained, as below: the texts can hold what is secret
            raise StoreAccessDenied("The AWS profile is not in the AWS files.", hint="Correct AWS_PROFILE.") from None
        except (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError) as error:
            raise StoreAccessDenied(f"The AWS credentials cannot be had: {type(error).__name__}.") from None
        except (BotoCoreError, ValueError, BaseError) as error:
            bad_endpoint = isinstance(error, ValueError) and "endpoint" in str(error).lower()
            what = "the endpoint is no URL" if bad_endpoint else f"{type(error).__name__}"
            raise StoreUnavailable(
                f"S3 cannot be opened: {what}.", hint="Check AWS_ENDPOINT_URL, AWS_REGION and the AWS config file."
            ) from None

    def _check_bucket(self, url: str) -> None:
        if BUCKET_NAME.fullmatch(urlsplit(url).netloc):
            return
        what = "{} names an S3 bucket that cannot be."
        hint = "Write s3://bucket/prefix; a bucket has 3 to 63 lower-case letters, digits, dots and hyphens."
        for setting, place in self.settings.items():
            if place == url or place.startswith(f"{url}/"):
                raise ConfigurationError(what.format(setting), hint=hint)
        raise StoreMissing(what.format("The address"), hint=hint)
