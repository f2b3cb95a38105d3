"""FHIR XML and back: the same resource, in the order of R4, and nothing but a bounded plain document is read."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # judges what we write; reads nothing foreign
from importlib import import_module
from typing import Any

import pytest
from harness.fhir_examples import BROKEN, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.formats.fhir.wire import xml_tree
from gateway.formats.fhir.wire.issue import InvalidResource
from gateway.formats.fhir.wire.json_form import encode_json, parse_json
from gateway.formats.fhir.wire.xml_form import encode_xml, parse_xml

NARRATIVES = {name for name, where in BROKEN.items() if where.endswith(".div")}
F = '<Patient xmlns="http://hl7.org/fhir">{}</Patient>'


def sorted_json(resource: dict[str, Any]) -> bytes:
    """One text for equal resources, numbers to the letter."""

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: ordered(value[name]) for name in sorted(value)}
        return [ordered(each) for each in value] if isinstance(value, list) else value

    return encode_json(ordered(resource))


@pytest.mark.parametrize("name", sorted(set(examples()) - NARRATIVES))
def test_an_example_survives_the_way_through_xml(name: str) -> None:
    """JSON to XML to JSON is the same resource, decimals and narratives to the letter."""
    resource = parse_json(examples()[name])
    assert sorted_json(parse_xml(encode_xml(resource))) == sorted_json(resource)


def test_elements_stand_in_the_order_of_r4() -> None:
    """Whatever the order in JSON, XML has the order that R4B's models of another project declare."""
    written = encode_xml({name: value for name, value in reversed(parse_json(examples()["Patient-example"]).items())})
    model = import_module("fhir.resources.R4B.patient").Patient
    order = [name for name in model.elements_sequence() if name != "resource_type"]
    found = [child.tag.removeprefix("{http://hl7.org/fhir}") for child in ET.fromstring(written)]  # noqa: S314
    assert found == sorted(found, key=order.index)
    assert len(set(found)) > 8


def test_what_stands_beside_primitives_finds_its_value() -> None:
    """Ids and extensions of primitives, also in lists with gaps (R4 2.6.2.3)."""
    body = (
        '<name><given value="A"/><given id="g"><extension url="u"><valueDecimal value="1.20"/></extension></given>'
        '<given value="B"/></name><birthDate id="b" value="1970-01-01"/>'
    )
    parsed = parse_xml(F.format(body).encode())
    assert parsed["name"] == [
        {
            "given": ["A", None, "B"],
            "_given": [None, {"id": "g", "extension": [{"url": "u", "valueDecimal": parsed_decimal(parsed)}]}, None],
        }
    ]
    assert parsed["_birthDate"] == {"id": "b"}
    assert parse_xml(encode_xml(parsed)) == parsed


def parsed_decimal(parsed: dict[str, Any]) -> Any:
    found = parsed["name"][0]["_given"][1]["extension"][0]["valueDecimal"]
    assert str(found) == "1.20"
    return found


def test_a_narrative_with_a_prefix_stands_by_itself_in_json() -> None:
    """Writers that declare XHTML at the root are understood; the text becomes a div with its own namespace."""
    body = (
        '<f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text>'
        '<f:status value="generated"/><h:div><h:p class="a&quot;b">x &lt; y</h:p></h:div></f:text></f:Patient>'
    )
    div = parse_xml(body.encode())["text"]["div"]
    assert div == '<div xmlns="http://www.w3.org/1999/xhtml"><p class=\'a"b\'>x &lt; y</p></div>'


REFUSED = {
    "document type": ('<!DOCTYPE Patient><Patient xmlns="http://hl7.org/fhir"/>', ""),
    "entities": ('<!DOCTYPE P [<!ENTITY a "b">]><Patient xmlns="http://hl7.org/fhir"/>', ""),
    "outside file": (
        '<!DOCTYPE P [<!ENTITY a SYSTEM "file:///etc/passwd">]><Patient xmlns="http://hl7.org/fhir">&a;</Patient>',
        "",
    ),
    "no namespace": ("<Patient/>", ""),
    "another namespace": ('<Patient xmlns="urn:hl7-org:v3"/>', ""),
    "unknown type": ('<Patent xmlns="http://hl7.org/fhir"/>', "Patent"),
    "a data type": ('<Quantity xmlns="http://hl7.org/fhir"/>', "Quantity"),
    "unknown element": (F.format('<colour value="x"/>'), "Patient.colour"),
    "unknown attribute": (F.format('<active value="true" colour="x"/>'), "Patient.active.colour"),
    "attribute of the resource": ('<Patient xmlns="http://hl7.org/fhir" id="x"/>', "Patient.id"),
    "once and again": (F.format('<active value="true"/><active value="true"/>'), "Patient.active"),
    "no value": (F.format("<active/>"), "Patient.active"),
    "no boolean": (F.format('<active value="yes"/>'), "Patient.active"),
    "no whole number": (F.format('<multipleBirthInteger value="1.0"/>'), "Patient.multipleBirthInteger"),
    "text between": (F.format("text"), ""),
    "two contained in one": (F.format("<contained><Patient/><Patient/></contained>"), "Patient.contained[0]"),
    "contained of nothing": (F.format("<contained/>"), "Patient.contained[0]"),
    "not well-formed": (F.format("<active>"), ""),
    "deep": (F.format("<extension url='a'>" * 100 + "</extension>" * 100), ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_what_is_no_plain_bounded_resource_is_refused(case: str) -> None:
    """Each is refused with one finding, at its element where there is one."""
    body, expression = REFUSED[case]
    with pytest.raises(InvalidResource) as caught:
        parse_xml(body.encode())
    assert [issue.expression for issue in caught.value.issues] == [expression]


def test_count_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document with more elements than the limit is refused while it is read."""
    monkeypatch.setattr(xml_tree, "MOST_ELEMENTS", 5)
    with pytest.raises(InvalidResource, match="more than 5 elements"):
        parse_xml(F.format("<name/>" * 10).encode())


UNWRITABLE = {
    "control character": ({"resourceType": "Patient", "language": "a\x0bb"}, "Patient.language"),
    "unknown element": ({"resourceType": "Patient", "colour": 1}, "Patient.colour"),
    "open narrative": (
        {"resourceType": "Patient", "text": {"div": '<div xmlns="http://www.w3.org/1999/xhtml"/><active value="1"/>'}},
        "Patient.text.div",
    ),
    "list": ({"resourceType": "Patient", "name": {"text": "x"}}, "Patient.name"),
    "no type": ({"id": "x"}, ""),
}


@pytest.mark.parametrize("case", sorted(UNWRITABLE))
def test_what_xml_cannot_say_is_refused(case: str) -> None:
    """Nothing is written that would read back as something else."""
    resource, expression = UNWRITABLE[case]
    with pytest.raises(InvalidResource) as caught:
        encode_xml(resource)
    assert [issue.expression for issue in caught.value.issues] == [expression]


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_text_survives_or_is_refused(text: str) -> None:
    """Line ends, tabs, quotes and all scripts come back from an attribute unchanged."""
    resource = {"resourceType": "Patient", "name": [{"text": text}]}
    try:
        written = encode_xml(resource)
    except InvalidResource:
        assert any(ord(letter) < 32 or ord(letter) in (0xFFFE, 0xFFFF) for letter in text)
        return
    assert parse_xml(written) == resource


@settings(max_examples=40)
@given(st.data())
def test_a_damaged_document_is_read_or_refused(data: st.DataObject) -> None:
    """Cutting and changing bytes of a good document gives a resource or InvalidResource, nothing else."""
    body = bytearray(encode_xml(parse_json(examples()["Patient-example"])))
    for place in data.draw(st.lists(st.integers(0, len(body) - 1), max_size=4)):
        body[place : place + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=3))
    try:
        parsed = parse_xml(bytes(body))
    except InvalidResource:
        return
    assert parsed["resourceType"]


@pytest.mark.parametrize(
    ("declared", "charset", "taken"),
    [
        ("UTF-8", "utf-8", True),
        ("us-ascii", "utf-8", True),
        ("ISO-8859-1", "latin-1", False),
        ("ISO-8859-1", "utf-8", False),
        ("UTF-16", "utf-16", False),
        ("UTF-16", "utf-16-be", False),
        ("windows-1252", "utf-8", False),
    ],
)
def test_what_declares_another_encoding_is_not_guessed_at(declared: str, charset: str, taken: bool) -> None:
    """A resource is UTF-8 (R4 2.6.0.5); what says or is anything else is refused, and never read as if it were."""
    name = "Mueller" if declared == "us-ascii" else "M\u00fcller"
    text = (
        f'<?xml version="1.0" encoding="{declared}"?><Organization xmlns="http://hl7.org/fhir"><name value="{name}"/>'
    )
    body = f"{text}</Organization>".encode(charset)
    if taken:
        assert parse_xml(body)["name"] == name
        return
    with pytest.raises(InvalidResource, match="UTF-8"):
        parse_xml(body)


def test_the_media_type_goes_before_the_declaration() -> None:
    """What is sent as UTF-8 is read as that, though a .NET string was declared as UTF-16 (RFC 7303 3.2)."""
    patient = '<Patient xmlns="http://hl7.org/fhir"><name><family value="Žák"/></name></Patient>'
    body = f'<?xml version="1.0" encoding="utf-16"?>{patient}'
    assert parse_xml(body.encode(), is_utf_8=True)["name"][0]["family"] == "Žák"
    with pytest.raises(InvalidResource):
        parse_xml(body.encode())
    with pytest.raises(InvalidResource):
        parse_xml(body.encode("utf-16"), is_utf_8=True)
