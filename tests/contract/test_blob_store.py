"""The BlobStore port on a folder and on a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Conflict, Fault, Missing, Unavailable
from gateway.domain.ids import BlobKey, new_id
from gateway.ports import BlobStore
from gateway.storage.blobs_folder import FolderBlobs
from gateway.storage.blobs_s3 import S3Blobs


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    import boto3

    for name, value in (("ACCESS_KEY_ID", "test"), ("SECRET_ACCESS_KEY", "test"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    name = f"blobs-{new_id()}"
    boto3.client("s3", endpoint_url=s3_endpoint, region_name="us-east-1").create_bucket(Bucket=name)
    return name


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    if request.param == "folder":
        return FolderBlobs(tmp_path / "blobs")
    endpoint: Any = request.getfixturevalue("s3_endpoint")
    return S3Blobs(f"s3://{request.getfixturevalue('bucket')}/site/a", endpoint=endpoint, allow_http=True)


def _key() -> BlobKey:
    return BlobKey(new_id())


def test_parts_are_read_back_as_one(blobs: BlobStore) -> None:
    """What was put in parts, more than one system call takes, is read back whole."""
    key = _key()
    parts: list[bytes | memoryview] = [b"head", memoryview(b"-body-"), b"", *[b"%04d" % n for n in range(1500)]]
    blobs.put(key, parts)
    assert blobs.get(key) == b"".join(parts)


def test_an_empty_blob(blobs: BlobStore) -> None:
    """A blob may be empty."""
    key = _key()
    blobs.put(key, [])
    assert blobs.get(key) == b""


def test_a_key_is_written_once(blobs: BlobStore) -> None:
    """Putting other bytes under a taken key is a Conflict, and the first bytes stay."""
    key = _key()
    blobs.put(key, [b"first"])
    with pytest.raises(Conflict):
        blobs.put(key, [b"second"])
    assert blobs.get(key) == b"first"


def test_ranges(blobs: BlobStore) -> None:
    """A range is cut out, shortened at the end and empty beyond it."""
    key = _key()
    blobs.put(key, [b"0123456789"])
    assert blobs.read_range(key, 2, 3) == b"234"
    assert blobs.read_range(key, 8, 100) == b"89"
    assert blobs.read_range(key, 10, 5) == b""
    assert blobs.read_range(key, 3, 0) == b""
    with pytest.raises(Fault):
        blobs.read_range(key, -1, 5)


def test_missing_blobs(blobs: BlobStore) -> None:
    """Reading what is not there is Missing."""
    for read in (lambda: blobs.get(_key()), lambda: blobs.read_range(_key(), 0, 1)):
        with pytest.raises(Missing):
            read()


def test_delete_is_idempotent(blobs: BlobStore) -> None:
    """A deleted blob is gone, deleting it again is no error, and its key is free."""
    key = _key()
    blobs.put(key, [b"x"])
    blobs.delete(key)
    blobs.delete(key)
    with pytest.raises(Missing):
        blobs.get(key)


def test_keys_lists_every_blob(blobs: BlobStore) -> None:
    """All stored keys are listed, and no other."""
    stored = {_key() for _ in range(20)}
    for key in stored:
        blobs.put(key, [b"x"])
    assert set(blobs.keys()) == stored


def test_what_was_stored_before_is_told_apart(blobs: BlobStore) -> None:
    """By the store's own time: all of it is older than an hour from now, none of it than an hour ago."""
    key, now = _key(), datetime.now(UTC)
    blobs.put(key, [b"x"])
    assert list(blobs.stored_before(now - timedelta(hours=1))) == []
    assert list(blobs.stored_before(now + timedelta(hours=1))) == [key]


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 32, "0" * 31, "0" * 33, "0" * 31 + "\n", "０" * 32])
def test_only_our_ids_are_keys(blobs: BlobStore, key: str) -> None:
    """No text but 32 hexadecimal digits reaches a path or an object name."""
    for use in (
        blobs.get,
        blobs.delete,
        lambda name: blobs.put(name, [b"x"]),
        lambda name: blobs.read_range(name, 0, 1),
    ):
        with pytest.raises(Fault):
            use(BlobKey(key))


def test_a_service_that_is_out_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers, the store is Unavailable, and the message holds no address."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr("gateway.storage.blobs_s3._RETRIES", {"max_retries": 0})
    store = S3Blobs("s3://bucket", endpoint="http://127.0.0.1:9", allow_http=True)
    with pytest.raises(Unavailable, match=r"^the S3 service answered GenericError$"):
        store.put(_key(), [b"x"])
