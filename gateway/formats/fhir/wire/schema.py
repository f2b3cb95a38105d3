"""The official JSON schema of R4, cut to our types: a fast yes, and on no the elements that break it.

The validator's own messages hold values, that is patient data; the texts here are ours.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from gateway.formats.fhir.wire.decimal_literal import plain

MOST_ERRORS: Final = 100
_TEXTS: Final = {
    "additionalProperties": "there is an element that the type does not have",
    "const": "this value is not allowed here",
    "enum": "this code is not one of those allowed here",
    "minItems": "a list may not be empty",
    "pattern": "this does not have the form of its type",
    "required": "a required element is missing",
    "type": "this has the wrong JSON type",
}
_CODES: Final = {"enum": "code-invalid", "pattern": "value", "required": "required"}


@cache
def _validator() -> Any:
    packed = (files("gateway.formats.fhir") / "data" / "schema.json.gz").read_bytes()
    return jsonschema_rs.validator_for(json.loads(gzip.decompress(packed)))


def schema_holds(resource: dict[str, Any]) -> bool:
    """True where the schema accepts the resource as parsed; False may still be a number kept as it was written."""
    return bool(_validator().is_valid(resource))


def schema_faults(resource: dict[str, Any]) -> Iterator[tuple[list[str | int], str, str]]:
    """(path below the resource, issue code, text) for each place that breaks the schema, up to a limit."""
    for error in islice(_validator().iter_errors(plain(resource)), MOST_ERRORS):
        yield list(error.instance_path), *_said(error.kind.name)


def _said(kind: str) -> tuple[str, str]:
    return _CODES.get(kind, "structure"), _TEXTS.get(kind, "this breaks the schema of R4")
