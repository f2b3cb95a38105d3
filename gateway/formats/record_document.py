"""The gathered input of a model as the bytes that are sealed for a worker: JSON, the same for the same content.

Equal bytes mean that nothing has changed for the model, so that a record that was only rewritten is not analysed
again.
"""

from __future__ import annotations

import msgspec

from gateway.domain.errors import Fault
from gateway.domain.record import InputDocument

LIMIT = 8 * 1024 * 1024  # bytes
_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder(InputDocument)
_LATER = ("calls", "unread", "excluded")  # came later: left out where empty, so that older documents keep their bytes


def encode(document: InputDocument) -> bytes:
    told = msgspec.to_builtins(document)
    return _ENCODER.encode({name: value for name, value in told.items() if value or name not in _LATER})


def decode(data: bytes) -> InputDocument:
    """Fault where the bytes are not a document that `encode` has made."""
    try:
        return _DECODER.decode(data)
    except (msgspec.MsgspecError, UnicodeError):
        raise Fault("a gathered input cannot be read") from None
