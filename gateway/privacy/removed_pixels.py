"""What masking took out of an object, in a deposit for the vault: enough to rebuild the file as it was before.

An object may be masked more than once (first by detectors, later by a person), so each deposit names the one before
it. It is bound to its instance and to the file that replaced the earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct, error
from typing import Final

from gateway.domain.errors import Invalid
from gateway.domain.ids import BlobKey, InstanceId
from gateway.privacy.deposit import seal_deposit

_HEAD: Final = Struct("<4sB")  # magic, length of the earlier deposit's key
_MAGIC: Final = b"DXR1"


@dataclass(frozen=True)
class RemovedPixels:
    """`removed` is what `restore_pixels` takes; `previous` the deposit that leads from its result further back."""

    removed: bytes = field(repr=False)
    previous: BlobKey | None


def seal_removed(removed: RemovedPixels, public: bytes, instance_id: InstanceId, digest: bytes) -> list[bytes]:
    """A deposit; `digest` is the SHA-256 of the file that replaces the earlier one."""
    previous = (removed.previous or "").encode("ascii")
    head = _HEAD.pack(_MAGIC, len(previous)) + previous
    return seal_deposit([head, removed.removed], public, bound_to(instance_id, digest))


def read_removed(opened: bytes) -> RemovedPixels:
    """From the plain bytes of a deposit."""
    try:
        magic, length = _HEAD.unpack_from(opened)
        previous = opened[_HEAD.size : _HEAD.size + length].decode("ascii")
    except (error, UnicodeDecodeError) as cause:
        raise Invalid("a deposit holds no removed pixels") from cause
    if magic != _MAGIC or len(previous) != length:
        raise Invalid("a deposit holds no removed pixels of a form that this version knows")
    return RemovedPixels(opened[_HEAD.size + length :], BlobKey(previous) if previous else None)


def bound_to(instance_id: InstanceId, digest: bytes) -> bytes:
    """The associated data of a deposit."""
    return f"removed-pixels|{instance_id}|{digest.hex()}".encode()
