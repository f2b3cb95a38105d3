"""The one tree of errors, each with a category that every wire maps to its own code.

A wire (DIMSE, HTTP/FHIR) has one table from `Category` to its status; a test proves each table total.

    GatewayError
    ├── Invalid        the sender's data is wrong and sending it again will not help
    ├── Forbidden      the sender may not do this
    ├── Unsupported    well-formed, but not something we do
    ├── Conflict       the state has moved on, or another object holds the place
    │   └── Unmet      a condition that the sender has set does not hold
    ├── Missing        what was named does not exist
    │   ├── Deleted    it did exist, and was deleted
    │   └── Erased     its patient was erased
    ├── Busy           a limit is reached; sending again later will help
    ├── Unavailable    a part we need (disk, database, broker, destination) is out
    └── Fault          our own mistake
Messages never carry patient data: name the tag, the rule and the limit, not the value.
"""

from __future__ import annotations

from enum import Enum


class Category(Enum):
    """What went wrong, in the words that all wires share."""

    INVALID = "invalid"
    FORBIDDEN = "forbidden"
    UNSUPPORTED = "unsupported"
    CONFLICT = "conflict"
    MISSING = "missing"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    FAULT = "fault"


class GatewayError(Exception):
    """Base of every error that dxgate raises on purpose. `place` is which part of a request is meant, if not all."""

    category = Category.FAULT
    place = ""


class Invalid(GatewayError):
    category = Category.INVALID


class Forbidden(GatewayError):
    category = Category.FORBIDDEN


class Unsupported(GatewayError):
    category = Category.UNSUPPORTED


class Conflict(GatewayError):
    category = Category.CONFLICT


class Unmet(Conflict):
    """If-Match and the like: the sender has asked that nothing be done then."""


class Missing(GatewayError):
    category = Category.MISSING


class Deleted(Missing):
    """What was named is deleted; earlier versions may still be there."""


class Erased(Missing):
    """The patient was erased, perhaps while something of that patient was under way."""


class Busy(GatewayError):
    category = Category.BUSY


class Unavailable(GatewayError):
    category = Category.UNAVAILABLE


class Fault(GatewayError):
    category = Category.FAULT
