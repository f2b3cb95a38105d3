"""The tables of the web server are total: what is declared is served, what exists has a word and a colour."""

from __future__ import annotations

from gateway.domain.errors import Category
from gateway.domain.lifecycle import LIFECYCLES
from gateway.formats.fhir.capability import SERVED
from gateway.formats.fhir.outcome import OUTCOMES
from gateway.servers.web.console.page import STATUS
from gateway.servers.web.console.wording import TONES, person_name, tone
from gateway.servers.web.fhir.audit_events import TYPE
from gateway.servers.web.fhir.criteria import CONDITIONS, condition
from gateway.servers.web.fhir.endpoint import INTERACTIONS
from gateway.servers.web.fhir.search import _INCLUDED


def test_each_declared_parameter_has_a_condition() -> None:
    """No parameter of the CapabilityStatement is without the function that serves it, and none is served undeclared."""
    declared = {(served.type, parameter.name) for served in SERVED for parameter in served.parameters}
    for served in SERVED:
        for parameter in served.parameters if served.type != TYPE else ():  # the trail's own are tested over the wire
            assert callable(condition(served.type, parameter))
    assert {key for key in CONDITIONS if key[0] != "*"} <= declared


def test_each_declared_include_is_served() -> None:
    """Every declared _include and _revinclude has a target type."""
    declared = {include for served in SERVED for include in (*served.includes, *served.reverse_includes)}
    assert declared == set(_INCLUDED)


def test_each_declared_interaction_is_routed() -> None:
    """Every interaction of the CapabilityStatement has an address and a method."""
    routed = {one.name for methods in INTERACTIONS.values() for one in methods.values()}
    assert {name for served in SERVED for name in served.interactions} <= routed


def test_each_category_has_a_status() -> None:
    """Both tables from category to HTTP status are total."""
    assert set(STATUS) == set(OUTCOMES) == set(Category)


def test_each_state_has_one_tone() -> None:
    """Every state of every lifecycle has exactly one colour."""
    for life in LIFECYCLES:
        for state in life.states:
            assert sum(state in states for states in TONES.values()) == 1, state
            assert tone(state) in TONES


def test_person_name_in_order_of_speech() -> None:
    """A DICOM person name is written as it is spoken, each writing once."""
    assert person_name("Quillfeather^Zebulon^Xavier^Dr^Jr") == "Dr Zebulon Xavier Quillfeather Jr"
    assert person_name("Ouyang^Nana=欧阳^娜娜") == "Nana Ouyang · 娜娜 欧阳"
    assert person_name("") == ""
