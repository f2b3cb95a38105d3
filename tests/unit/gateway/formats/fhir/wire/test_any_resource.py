"""Whatever JSON may be sent: check and both patches answer, and never with anything but findings."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from harness.fhir_examples import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.definitions import all_types
from gateway.formats.fhir.wire.fhirpath_patch import fhirpath_patch
from gateway.formats.fhir.wire.issue import InvalidResource
from gateway.formats.fhir.wire.json_form import parse_json
from gateway.formats.fhir.wire.json_patch import json_patch
from gateway.formats.fhir.wire.supported import SUPPORTED
from gateway.formats.fhir.wire.xml_form import encode_xml, parse_xml

NAMES = sorted({name for kind in all_types().values() for name in kind.members})
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.decimals(allow_nan=False, allow_infinity=False, places=2)
    | st.text(max_size=8)
    | st.sampled_from(["#", "#a", "Patient/1", "2024-02-30", "Zg==", "urn:uuid:", "<div/>", "final", "1e3"])
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*NAMES, *(f"_{name}" for name in NAMES)]), inner, max_size=4)
    ),
    max_leaves=12,
)
GOOD = [parse_json(examples()[name]) for name in ("Patient-example", "Observation-blood-pressure", "Bundle-hla-1")]
_PATHS = """
Patient|Patient.name|name.given|Patient.name[0].given|birthDate|contact.where(gender='female')|Observation.value
value.ofType(Quantity)|component[0].code.coding.first()|a.b[9]|text.div|extension('u')|x(|(((|'|entry.resource.id
name.where(use = 'official' and given.exists())|name.where(use)|(value as Quantity).value|$this|true|1|@2020
"""
PATHS = st.sampled_from([path for line in _PATHS.split("\n") for path in line.split("|")])


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """A good resource with some members anywhere replaced by anything, or one made of anything."""
    resource: Any = copy.deepcopy(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(1, 3))):
        node = resource
        for _ in range(draw(st.integers(0, 6))):
            inner = [
                each for each in (node.values() if isinstance(node, dict) else node) if isinstance(each, dict | list)
            ]
            if not inner:
                break
            node = draw(st.sampled_from(inner))
        if isinstance(node, dict):
            node[draw(st.sampled_from([*node, *NAMES[:50], "resourceType"]))] = draw(VALUES)
        elif node:
            node[draw(st.integers(0, len(node) - 1))] = draw(VALUES)
    return resource  # type: ignore[no-any-return]


@example({"resourceType": "Bundle", "type": [], "entry": [{"request": {}}]})
@settings(max_examples=80)
@given(mutated())
def test_check_finds_faults_in_anything(resource: dict[str, Any]) -> None:
    """No shape of JSON stops the check, and no finding is without code and text."""
    assert all(issue.code and issue.text for issue in check(resource))


@settings(max_examples=80)
@given(st.sampled_from(SUPPORTED), st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5))
def test_check_survives_a_resource_of_anything(kind: str, members: dict[str, Any]) -> None:
    """Also where hardly anything fits the type; what it accepts, XML can say and say back."""
    resource = {"resourceType": kind, **members}
    if not check(resource):
        assert parse_xml(encode_xml(resource)) == resource


@settings(max_examples=60)
@given(mutated())
def test_what_check_accepts_survives_xml(resource: dict[str, Any]) -> None:
    """A resource without findings is written as XML and comes back the same; any other may be refused."""
    try:
        back = parse_xml(encode_xml(resource))
    except InvalidResource:
        assert check(resource)
        return
    if not check(resource):
        assert back == resource


POINTERS = st.sampled_from(
    ["", "/name", "/name/0", "/name/-", "/name/0/given/1", "/id", "/~2", "x", "/name/00", "/a/b"]
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "spam"])},
    optional={"path": POINTERS | PLAIN, "from": POINTERS, "value": VALUES},
)


@settings(max_examples=80)
@given(st.lists(OPERATIONS, max_size=5) | VALUES)
def test_json_patch_answers_anything(operations: Any) -> None:
    """A patch of any shape gives a resource of the same type and id or is refused, and the original stays."""
    before = copy.deepcopy(GOOD[0])
    try:
        result = json_patch(GOOD[0], operations)
    except InvalidResource:
        assert GOOD[0] == before
        return
    assert GOOD[0] == before
    assert (result["resourceType"], result["id"]) == ("Patient", "example")


PART = st.fixed_dictionaries(
    {"name": st.sampled_from(["type", "path", "name", "value", "index", "source", "destination", "spam"])},
    optional={
        "valueCode": st.sampled_from(["add", "insert", "delete", "replace", "move", "spam"]),
        "valueString": PATHS | st.sampled_from(["name", "given", "value", "contact"]),
        "valueInteger": st.integers(-1, 3),
        "valueDecimal": st.just(Decimal("1.0")),
        "part": VALUES,
    },
)
PARAMETER = st.fixed_dictionaries({"name": st.just("operation"), "part": st.lists(PART, max_size=5)})
WHOLE = st.builds(
    lambda kind, path, name, index, value: {
        "name": "operation",
        "part": [
            {"name": "type", "valueCode": kind},
            {"name": "path", "valueString": path},
            {"name": "name", "valueString": name},
            {"name": "index", "valueInteger": index},
            {"name": "source", "valueInteger": index},
            {"name": "destination", "valueInteger": 0},
            {"name": "value", **value},
        ],
    },
    st.sampled_from(["add", "insert", "delete", "replace", "move"]),
    PATHS,
    st.sampled_from(["name", "given", "value", "contact", "extension", "birthDate", "id", "resourceType"]),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(["valueString", "valueHumanName", "valueQuantity", "part", "resource"]), VALUES),
)


@settings(max_examples=100)
@given(st.sampled_from(GOOD), st.lists(WHOLE | PARAMETER | VALUES, max_size=4))
def test_fhirpath_patch_answers_anything(resource: dict[str, Any], operations: list[Any]) -> None:
    """A patch of any shape gives a resource of the same type and id or is refused, and the original stays."""
    before = copy.deepcopy(resource)
    try:
        result = fhirpath_patch(resource, {"resourceType": "Parameters", "parameter": operations})
    except InvalidResource:
        assert resource == before
        return
    assert resource == before
    assert (result["resourceType"], result["id"]) == (before["resourceType"], before["id"])
