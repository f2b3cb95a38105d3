"""JSON Patch: the examples of RFC 6902, appendix A, and what FHIR adds to it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.formats.fhir.wire.issue import InvalidResource
from gateway.formats.fhir.wire.json_form import encode_json, parse_json
from gateway.formats.fhir.wire.json_patch import json_patch


def op(kind: str, path: str, **more: Any) -> dict[str, Any]:
    return {"op": kind, "path": path, **more}


# RFC 6902 appendix A, each document put under one member so that it can be a resource: (before, operations, after).
APPENDIX: dict[str, tuple[Any, list[dict[str, Any]], Any]] = {
    "A.1": ({"foo": "bar"}, [op("add", "/x/baz", value="qux")], {"baz": "qux", "foo": "bar"}),
    "A.2": ({"foo": ["bar", "baz"]}, [op("add", "/x/foo/1", value="qux")], {"foo": ["bar", "qux", "baz"]}),
    "A.3": ({"baz": "qux", "foo": "bar"}, [op("remove", "/x/baz")], {"foo": "bar"}),
    "A.4": ({"foo": ["bar", "qux", "baz"]}, [op("remove", "/x/foo/1")], {"foo": ["bar", "baz"]}),
    "A.5": ({"baz": "qux", "foo": "bar"}, [op("replace", "/x/baz", value="boo")], {"baz": "boo", "foo": "bar"}),
    "A.6": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/x/foo/waldo", "path": "/x/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/x/foo/1", "path": "/x/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [op("test", "/x/baz", value="qux"), op("test", "/x/foo/1", value=2)],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.10": ({"foo": "bar"}, [op("add", "/x/child", value={"a": {"b": 1}})], {"foo": "bar", "child": {"a": {"b": 1}}}),
    "A.11": ({"foo": "bar"}, [op("add", "/x/baz", value="qux", xyz=123)], {"foo": "bar", "baz": "qux"}),
    "A.14": ({"/": 9, "~1": 10}, [op("test", "/x/~01", value=10)], {"/": 9, "~1": 10}),
    "A.16": ({"foo": ["bar"]}, [op("add", "/x/foo/-", value=["abc", "def"])], {"foo": ["bar", ["abc", "def"]]}),
    "copy": ({"a": {"b": 1}}, [{"op": "copy", "from": "/x/a", "path": "/x/c"}], {"a": {"b": 1}, "c": {"b": 1}}),
    "replace through ~1": ({"a/b": 1}, [op("replace", "/x/a~1b", value=2)], {"a/b": 2}),
}
REFUSED: dict[str, tuple[Any, Any, str]] = {
    "A.9 test fails": ({"baz": "qux"}, [op("test", "/x/baz", value="bar")], "operation 0: the test does not hold"),
    "A.12 no target": ({"foo": "bar"}, [op("add", "/x/baz/bat", value="qux")], "operation 0: the path leads nowhere"),
    "A.15 text is no number": ({"/": 9, "~1": 10}, [op("test", "/x/~01", value="10")], "does not hold"),
    "true is not one": ({"a": 1}, [op("test", "/x/a", value=True)], "does not hold"),
    "beyond the list": ({"a": [1]}, [op("add", "/x/a/2", value=1)], "leads beyond the list"),
    "leading zero": ({"a": [1]}, [op("replace", "/x/a/00", value=1)], "leads nowhere"),
    "into itself": ({"a": {}}, [{"op": "move", "from": "/x/a", "path": "/x/a/b"}], "moved into itself"),
    "no pointer": ({}, [op("add", "x", value=1)], "path is no JSON pointer"),
    "bad escape": ({}, [op("add", "/x/~2", value=1)], "path is no JSON pointer"),
    "no value": ({}, [op("add", "/x/a")], "value is missing"),
    "no op": ({}, [{"path": "/x"}], "op must be"),
    "the second fails": ({"a": 1}, [op("remove", "/x/a"), op("remove", "/x/a")], "operation 1: the path leads nowhere"),
    "no list": ({}, {"op": "add"}, "a JSON patch is a list"),
    "no object": ({}, [1], "an operation is a JSON object"),
    "too many": ({}, [op("test", "/id", value="1")] * 1001, "more than 1000 operations"),
    "another type": ({}, [op("replace", "/resourceType", value="Group")], "may not change the resource type"),
    "another id": ({}, [op("replace", "/id", value="2")], "may not change the id"),
    "no id": ({}, [op("remove", "/id")], "may not change the id"),
    "everything": ({}, [op("remove", "")], "cannot be removed"),
    "another document": ({}, [op("replace", "", value=[])], "may not change the resource type"),
}


@pytest.mark.parametrize("case", sorted(APPENDIX))
def test_an_operation_does_what_the_rfc_says(case: str) -> None:
    """The document after the patch is the one of the RFC, and the one before is untouched."""
    before, operations, after = APPENDIX[case]
    resource = {"resourceType": "Basic", "id": "1", "x": before}
    kept = encode_json(resource)
    assert json_patch(resource, operations)["x"] == after
    assert encode_json(resource) == kept


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_cannot_be_done_is_refused(case: str) -> None:
    """The error says which operation and why, and nothing was changed."""
    before, operations, text = REFUSED[case]
    resource = {"resourceType": "Basic", "id": "1", "x": before}
    kept = encode_json(resource)
    with pytest.raises(InvalidResource, match=text):
        json_patch(resource, operations)
    assert encode_json(resource) == kept


def test_copies_of_copies_do_not_grow_without_end() -> None:
    """Sixty doublings are refused long before they fill the memory."""
    operations = [{"op": "copy", "from": "/x", "path": f"/x/a{number}"} for number in range(60)]
    with pytest.raises(InvalidResource, match=r"nested deeper|adds more than"):
        json_patch({"resourceType": "Basic", "x": {"a": [1] * 50}}, operations)


def test_removing_the_last_member_removes_the_list() -> None:
    """An empty list is no FHIR (R4 2.6.2)."""
    patient = {"resourceType": "Patient", "name": [{"text": "a"}], "active": True}
    assert json_patch(patient, [op("remove", "/name/0")]) == {"resourceType": "Patient", "active": True}


def test_decimals_pass_a_patch_to_the_letter() -> None:
    """What a patch does not touch, and what it brings, keeps its digits."""
    before = parse_json(b'{"resourceType":"Observation","valueQuantity":{"value":1.20E2}}')
    patch = parse_json(b'{"patch":[{"op":"add","path":"/x","value":72.50}]}')["patch"]
    assert (
        encode_json(json_patch(before, patch))
        == b'{"resourceType":"Observation","valueQuantity":{"value":1.20E2},"x":72.50}'
    )
