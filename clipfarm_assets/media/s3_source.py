"""Videos in S3, read with this deployment's credentials.

In: an ``s3://`` address. Out: chunks of bytes. What can go wrong: ``SourceUnavailable``, ``SourceForbidden``,
``SourceNetwork``.
"""

from collections.abc import Iterator

from clipfarm_assets.errors import (
    SourceForbidden,
    SourceNetwork,
    SourceUnavailable,
    StoreAccessDenied,
    StoreMissing,
    StoreUnavailable,
)
from clipfarm_assets.media.download import CHUNK_BYTES
from clipfarm_assets.store.access import Access


def read_s3(access: Access, url: str) -> Iterator[bytes]:
    """The content of an object; the store's troubles are the source's here."""
    folder, _, key = url.rpartition("/")
    try:
        with access.open_store(folder).local_file(key) as path:
            if path is None:
                raise SourceUnavailable(f"There is no object {url}.")
            with path.open("rb") as file:
                while block := file.read(CHUNK_BYTES):
                    yield block
    except (StoreAccessDenied, StoreMissing) as error:
        raise SourceForbidden(error.what, hint=error.hint) from error
    except StoreUnavailable as error:
        raise SourceNetwork(error.what) from error
