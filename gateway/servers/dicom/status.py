"""DIMSE status codes, and the one table from an error category to the status of a C-STORE response.

Every refusal a sender sees comes from here (PS3.7 Annex C, PS3.4 Table B.2-1); a test proves the table total.
"""

from __future__ import annotations

from gateway.domain.errors import Category, GatewayError

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
NO_SUCH_OBJECT_INSTANCE = 0x0112
INVALID_OBJECT_INSTANCE = 0x0117
SOP_CLASS_NOT_SUPPORTED = 0x0122
NOT_AUTHORISED = 0x0124
UNRECOGNISED_OPERATION = 0x0211
OUT_OF_RESOURCES = 0xA700
DATA_SET_MISMATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000

STORE_STATUS: dict[Category, int] = {
    Category.INVALID: CANNOT_UNDERSTAND,
    Category.FORBIDDEN: NOT_AUTHORISED,
    Category.UNSUPPORTED: SOP_CLASS_NOT_SUPPORTED,
    Category.CONFLICT: DATA_SET_MISMATCH,
    Category.MISSING: NO_SUCH_OBJECT_INSTANCE,
    Category.BUSY: OUT_OF_RESOURCES,
    Category.UNAVAILABLE: OUT_OF_RESOURCES,
    Category.FAULT: PROCESSING_FAILURE,
}


def store_status(error: Exception) -> int:
    """The C-STORE status for an error; one that is not ours is our own mistake, 0x0110."""
    if isinstance(error, GatewayError):
        return STORE_STATUS[error.category]
    return PROCESSING_FAILURE
