"""Sealed objects in a bucket of any service with the S3 API (port `BlobStore`), written once.

A PUT with `If-None-Match: *` is all or nothing and durable when it is answered. Credentials come from the AWS
variables of the environment. Needs the extra `s3`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from gateway.domain.errors import Conflict, Fault, Invalid, Missing, Unavailable
from gateway.domain.ids import BlobKey
from gateway.storage.blob_key import checked, is_key

_CLIENT_OPTIONS = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(seconds=120)}
_RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=30)}


class S3Blobs:
    """`url` is s3://bucket/prefix; `endpoint` names a service that is not AWS."""

    def __init__(self, url: str, *, endpoint: str = "", allow_http: bool = False) -> None:
        try:
            import obstore
        except ImportError:
            raise Unavailable("blobs.url names S3, which needs the extra: pip install 'dxgate[s3]'") from None
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise Invalid("blobs.url must be s3://bucket/prefix")
        self._obstore: Any = obstore
        self._store: Any = obstore.store.S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={**_CLIENT_OPTIONS, "allow_http": allow_http},
            retry_config=_RETRIES,
            **({"endpoint": endpoint} if endpoint else {}),
        )

    def put(self, key: BlobKey, parts: Sequence[bytes | memoryview]) -> None:
        """One PUT. A retry that finds its own first try succeeded counts as success."""
        data = b"".join(parts)
        try:
            with _translated():
                self._obstore.put(self._store, checked(key), data, mode="create", use_multipart=False)
        except Conflict:
            if self.get(key) != data:
                raise

    def get(self, key: BlobKey) -> bytes:
        """Missing where there is no such key."""
        with _translated():
            return bytes(self._obstore.get(self._store, checked(key)).bytes())

    def read_range(self, key: BlobKey, start: int, length: int) -> bytes:
        """Fewer bytes than `length` at the end of the object, none beyond it."""
        if start < 0 or length < 0:
            raise Fault("a range of a blob begins and ends in it")
        with _translated():
            size = self._obstore.head(self._store, checked(key))["size"]
            end = min(start + length, size)
            return bytes(self._obstore.get_range(self._store, key, start=start, end=end)) if start < end else b""

    def delete(self, key: BlobKey) -> None:
        with _translated():
            try:
                self._obstore.delete(self._store, checked(key))
            except FileNotFoundError:
                return

    def keys(self) -> Iterator[BlobKey]:
        """Every stored key, a page at a time; objects that are not ours are passed over."""
        yield from (key for key, _ in self._listed())

    def stored_before(self, moment: datetime) -> Iterator[BlobKey]:
        """By the service's own time of the last change."""
        yield from (key for key, changed in self._listed() if changed < moment)

    def _listed(self) -> Iterator[tuple[BlobKey, datetime]]:
        with _translated():
            for page in self._obstore.list(self._store):
                found = ((entry["path"].rpartition("/")[2], entry["last_modified"]) for entry in page)
                yield from ((BlobKey(name), changed) for name, changed in found if is_key(name))


@contextmanager
def _translated() -> Iterator[None]:
    """A service's text may repeat the request, so the kind of the error alone is passed on."""
    from obstore.exceptions import AlreadyExistsError, BaseError

    try:
        yield
    except AlreadyExistsError:
        raise Conflict("the blob key is taken") from None
    except FileNotFoundError:
        raise Missing("no such blob") from None
    except (BaseError, OSError, ValueError) as error:
        raise Unavailable(f"the S3 service answered {type(error).__name__}") from None
