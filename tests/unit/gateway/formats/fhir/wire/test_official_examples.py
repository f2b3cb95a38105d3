"""The official examples of R4: accepted unless they break R4 themselves, and nothing of them is lost."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
from harness.fhir_examples import BROKEN, examples

from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.json_form import encode_json, parse_json
from gateway.formats.fhir.wire.supported import SUPPORTED

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_NUMBER = re.compile(rb"-?[0-9][0-9.eE+\-]*")


def test_examples_of_every_supported_type_are_there() -> None:
    """No supported type is left untried, and there are about two hundred examples."""
    assert {name.partition("-")[0] for name in examples()} == set(SUPPORTED) - {"Parameters"}  # HL7 has none of it
    assert len(examples()) > 200


@pytest.mark.parametrize("name", sorted(examples()))
def test_an_example_is_accepted_unless_it_is_broken(name: str) -> None:
    """What HL7 publishes as valid is accepted; the few that are not are refused at the element that does."""
    found = check(parse_json(examples()[name]), kind=name.partition("-")[0])
    assert [issue.expression for issue in found[:1]] == ([BROKEN[name]] if name in BROKEN else [])


def test_every_number_comes_out_as_it_was_written() -> None:
    """Over all examples the literals of numbers stay the same, in the same order; so does everything else."""
    for name, body in examples().items():
        written = encode_json(parse_json(body))
        assert _NUMBER.findall(_STRING.sub(b"", written)) == _NUMBER.findall(_STRING.sub(b"", body)), name
        assert json.loads(written, parse_float=Decimal) == json.loads(body, parse_float=Decimal), name
