"""Domain values to JSON text and back, for the columns that hold a whole value.

One pair of functions for every such column, so that what one release writes has one obvious reader in the next:
JSON with sorted keys, tuples as arrays, times as RFC 3339 with microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from threading import Lock
from typing import Any

import msgspec

from gateway.domain.errors import Fault, Invalid


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError


_ENCODER = msgspec.json.Encoder(order="sorted", enc_hook=_plain)


_BUILDING = Lock()
"""msgspec shows what it knows of a dataclass to other threads while it still finds it out: a second decoder that was
built of it meanwhile crashed the process (0.22.0, SIGSEGV). One built under the lock is complete."""


@lru_cache(maxsize=64)
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    with _BUILDING:
        return msgspec.json.Decoder(shape)


def encode(shape: Any, value: Any) -> str:
    """JSON text of a value of `shape`, proven readable: JSON has no NaN, and a model may well compute one.

    Invalid where the value holds what JSON cannot carry, such as NaN or a lone surrogate.
    """
    try:
        text = _ENCODER.encode(value)
        same = _decoder(shape).decode(text) == value
    except (UnicodeError, OverflowError, TypeError, NotImplementedError, msgspec.MsgspecError):
        same = False
    if not same:
        raise Invalid(f"a {type(value).__name__} holds a value that cannot be stored as JSON")
    return text.decode()


def decode(shape: Any, text: str) -> Any:
    """The value of `shape` that `encode` has written. Fault where the text is not one."""
    try:
        return _decoder(shape).decode(text)
    except (msgspec.MsgspecError, UnicodeError):
        raise Fault(f"a stored {getattr(shape, '__name__', 'value')} cannot be read") from None
