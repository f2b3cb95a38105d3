"""FHIRPath Patch, case by case as R4 describes the operations (fhirpatch.html)."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from gateway.formats.fhir.wire.fhirpath import evaluate
from gateway.formats.fhir.wire.fhirpath_patch import fhirpath_patch
from gateway.formats.fhir.wire.fhirpath_syntax import read_path
from gateway.formats.fhir.wire.issue import InvalidResource


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    """One parameter; `value` is the members of its part, such as {"valueDate": "2020"}."""
    made: list[dict[str, Any]] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in parts.items():
        if name == "value":
            made.append({"name": "value", **value})
        else:
            made.append({"name": name, "valueString" if isinstance(value, str) else "valueInteger": value})
    return {"name": "operation", "part": made}


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    before = copy.deepcopy(resource)
    try:
        return fhirpath_patch(resource, {"resourceType": "Parameters", "parameter": list(operations)})
    finally:
        assert resource == before


PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "extension": [{"url": "http://e.org/a", "valueString": "x"}, {"url": "http://e.org/b", "valueCode": "y"}],
    "identifier": [{"system": "s", "value": "1"}, {"system": "s", "value": "2"}, {"system": "t", "value": "3"}],
    "name": [{"use": "official", "family": "F", "given": ["A", "B"]}, {"use": "usual", "given": ["C"]}],
    "birthDate": "1970-01-01",
    "_birthDate": {"extension": [{"url": "http://e.org/t", "valueDateTime": "1970-01-01T01:00:00Z"}]},
    "deceasedBoolean": False,
    "contact": [{"name": {"text": "N"}, "gender": "male"}],
}
P = "Patient"
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "nothing": ([], {}),
    "replace a primitive, with what stands beside it": (
        [operation("replace", "Patient.birthDate", value={"valueDate": "1980-01-01"})],
        {"birthDate": "1980-01-01", "_birthDate": None},
    ),
    "delete a primitive": ([operation("delete", "Patient.birthDate")], {"birthDate": None, "_birthDate": None}),
    "delete what is not there": ([operation("delete", "Patient.gender")], {}),
    "delete the last member of an element": (
        [operation("delete", "Patient.contact[0].name.text")],
        {"contact": [{"gender": "male"}]},
    ),
    "delete one by a condition": (
        [operation("delete", "Patient.identifier.where(system = 't')")],
        {"identifier": PATIENT["identifier"][:2]},
    ),
    "delete an item of a list of primitives": (
        [operation("delete", "Patient.name.where(use = 'official').given[0]")],
        {"name": [{"use": "official", "family": "F", "given": ["B"]}, PATIENT["name"][1]]},
    ),
    "add a primitive": ([operation("add", P, name="gender", value={"valueCode": "female"})], {"gender": "female"}),
    "add a complex type": (
        [operation("add", P, name="maritalStatus", value={"valueCodeableConcept": {"text": "m"}})],
        {"maritalStatus": {"text": "m"}},
    ),
    "add to the end of a list": (
        [operation("add", "Patient.name[1]", name="given", value={"valueString": "D"})],
        {"name": [PATIENT["name"][0], {"use": "usual", "given": ["C", "D"]}]},
    ),
    "add an anonymous type by parts": (
        [
            operation(
                "add",
                P,
                name="contact",
                value={
                    "part": [
                        {"name": "name", "valueHumanName": {"text": "M"}},
                        {"name": "telecom", "valueContactPoint": {"value": "1"}},
                        {"name": "telecom", "valueContactPoint": {"value": "2"}},
                    ]
                },
            )
        ],
        {"contact": [*PATIENT["contact"], {"name": {"text": "M"}, "telecom": [{"value": "1"}, {"value": "2"}]}]},
    ),
    "add a choice by its name": (
        [
            operation("delete", "Patient.deceased"),
            operation("add", P, name="deceased", value={"valueDateTime": "2020"}),
        ],
        {"deceasedBoolean": None, "deceasedDateTime": "2020"},
    ),
    "replace a choice by another type": (
        [operation("replace", "Patient.deceased", value={"valueDateTime": "2020"})],
        {"deceasedBoolean": None, "deceasedDateTime": "2020"},
    ),
    "add an extension beside a primitive": (
        [
            operation(
                "add", "Patient.deceased", name="extension", value={"valueExtension": {"url": "u", "valueCode": "c"}}
            ),
        ],
        {"_deceasedBoolean": {"extension": [{"url": "u", "valueCode": "c"}]}},
    ),
    "add an extension beside one of many": (
        [
            operation(
                "add",
                "Patient.name[0].given[1]",
                name="extension",
                value={"valueExtension": {"url": "u", "valueCode": "c"}},
            ),
        ],
        {
            "name": [
                {**PATIENT["name"][0], "_given": [None, {"extension": [{"url": "u", "valueCode": "c"}]}]},
                PATIENT["name"][1],
            ]
        },
    ),
    "replace inside an extension by its url": (
        [operation("replace", "Patient.extension('http://e.org/b').value", value={"valueCode": "z"})],
        {"extension": [PATIENT["extension"][0], {"url": "http://e.org/b", "valueCode": "z"}]},
    ),
    "replace an extension of a primitive": (
        [operation("replace", "Patient.birthDate.extension('http://e.org/t').value", value={"valueString": "s"})],
        {"_birthDate": {"extension": [{"url": "http://e.org/t", "valueString": "s"}]}},
    ),
    "insert in the middle": (
        [operation("insert", "Patient.identifier", index=1, value={"valueIdentifier": {"value": "n"}})],
        {"identifier": [PATIENT["identifier"][0], {"value": "n"}, *PATIENT["identifier"][1:]]},
    ),
    "insert at the end": (
        [operation("insert", "Patient.identifier", index=3, value={"valueIdentifier": {"value": "n"}})],
        {"identifier": [*PATIENT["identifier"], {"value": "n"}]},
    ),
    "insert into an empty list": (
        [operation("insert", "Patient.photo", index=0, value={"valueAttachment": {"title": "n"}})],
        {"photo": [{"title": "n"}]},
    ),
    "move forwards": (
        [operation("move", "Patient.identifier", source=0, destination=2)],
        {"identifier": [*PATIENT["identifier"][1:], PATIENT["identifier"][0]]},
    ),
    "move backwards": (
        [operation("move", "Patient.identifier", source=2, destination=0)],
        {"identifier": [PATIENT["identifier"][2], *PATIENT["identifier"][:2]]},
    ),
    "the last one": (
        [operation("replace", "Patient.identifier.last().value", value={"valueString": "9"})],
        {"identifier": [*PATIENT["identifier"][:2], {"system": "t", "value": "9"}]},
    ),
    "two conditions": (
        [operation("replace", "identifier.where(system = 's' and value != '1').value", value={"valueString": "9"})],
        {"identifier": [PATIENT["identifier"][0], {"system": "s", "value": "9"}, PATIENT["identifier"][2]]},
    ),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_an_operation_does_what_r4_says(case: str) -> None:
    """The resource after the patch differs in exactly the members named, None meaning gone."""
    operations, changes = CASES[case]
    expected = {name: value for name, value in {**PATIENT, **changes}.items() if value is not None}
    assert patched(PATIENT, *operations) == expected


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "path finds nothing": (operation("replace", "Patient.gender", value={"valueCode": "male"}), "exactly one element"),
    "path finds several": (operation("replace", "Patient.identifier.value", value={"valueString": "x"}), "exactly one"),
    "delete of several": (operation("delete", "Patient.identifier"), "more than one element"),
    "add to what is not there": (
        operation("add", "Patient.identifier[0].period", name="end", value={"valueDateTime": "2021"}),
        "exactly one element",
    ),
    "add of what is there": (operation("add", P, name="birthDate", value={"valueDate": "2020"}), "there already"),
    "add of the other type of a choice": (
        operation("add", P, name="deceased", value={"valueDateTime": "2020"}),
        "there already",
    ),
    "unknown element": (operation("add", P, name="colour", value={"valueCode": "x"}), "no element of that type"),
    "type that a choice lacks": (operation("replace", "Patient.deceased", value={"valueTime": "10:00:00"}), "type"),
    "index beyond": (
        operation("insert", "Patient.identifier", index=4, value={"valueIdentifier": {}}),
        "index is beyond",
    ),
    "insert where there is no list": (operation("insert", "Patient.birthDate", index=0, value={"valueDate": "2020"}), "list"),
    "move beyond": (operation("move", "Patient.identifier", source=0, destination=3), "beyond the list"),
    "no value": (operation("add", P, name="gender"), "value is missing"),
    "two values": (operation("add", P, name="gender", value={"valueCode": "a", "valueString": "b"}), "one value"),
    "unknown operation": (operation("spam", P), "type must be"),
    "no path": ({"name": "operation", "part": [{"name": "type", "valueCode": "delete"}]}, "path is missing"),
    "another parameter": ({"name": "spam", "part": []}, "an operation with parts"),
    "a part twice": (
        {"name": "operation", "part": [{"name": "path", "valueString": P}, {"name": "path", "valueString": P}]},
        "one twice",
    ),
    "the resource itself": (operation("delete", P), "the resource itself"),
    "the id": (operation("replace", "Patient.id", value={"valueId": "q"}), "may not change the id"),
    "a function beyond": (operation("delete", "Patient.name.repeat(given)"), "function that patches do not use"),
    "arithmetic": (operation("delete", "Patient.name[0 + 1]"), "not in the part of FHIRPath"),
    "an environment variable": (operation("delete", "%resource.id"), "not in the part of FHIRPath"),
    "deep nesting": (operation("delete", "(" * 50 + "name" + ")" * 50), "not in the part of FHIRPath"),
    "a long path": (operation("delete", "name." * 300 + "given"), "longer than 1000"),
}  # fmt: skip


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_done_is_refused(case: str) -> None:
    """The error says why; the resource is untouched."""
    bad, text = REFUSED[case]
    with pytest.raises(InvalidResource, match=text):
        patched(PATIENT, bad)


def test_the_error_names_the_operation() -> None:
    """The second of two fails: its parameter is named, nothing is changed."""
    with pytest.raises(InvalidResource) as caught:
        patched(PATIENT, operation("delete", "Patient.birthDate"), operation("spam", P))
    assert caught.value.issues[0].expression == "Parameters.parameter[1]"


OBSERVATION = {
    "resourceType": "Observation",
    "valueQuantity": {"value": Decimal("1.5"), "unit": "kg"},
    "component": [{"code": {"text": "a"}, "valueString": "x"}, {"code": {"text": "b"}, "valueInteger": 2}],
    "contained": [{"resourceType": "Patient", "id": "c", "active": True}],
}
FOUND: dict[str, list[Any]] = {
    "Observation.value.unit": ["kg"],
    "Observation.value.ofType(Quantity).unit": ["kg"],
    "(Observation.value as Quantity).unit": ["kg"],
    "value.as(Quantity).unit": ["kg"],
    "value.ofType(string)": [],
    "component.value": ["x", 2],
    "component.value.ofType(integer)": [2],
    "component.where(code.text = 'b').value": [2],
    "component.where(value = 2).code.text": ["b"],
    "component.where(value.exists() and code.text != 'a').code.text": ["b"],
    "component.where(code.coding.exists().not()).first().code.text": ["a"],
    "component.where(code.coding.empty())[1].code.text": ["b"],
    "contained.where($this.active = true).id": ["c"],
    "contained.where(active).id": ["c"],
    "value.where(value = 1.50).unit": ["kg"],
    "value = 1": [False],
    "component.first().value.single()": ["x"],
    "`component`[5]": [],
    "component.code.text.where($this = 'a' or $this = 'c')": ["a"],
}


@pytest.mark.parametrize("path", sorted(FOUND))
def test_a_path_finds_its_elements(path: str) -> None:
    """Members, choices, conditions and functions of the subset, in document order."""
    assert [element.value for element in evaluate(read_path(path), OBSERVATION)] == FOUND[path]
