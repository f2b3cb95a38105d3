"""The tables of the web server are total: what is declared is served, what exists has a word and a colour."""

from __future__ import annotations

from pathlib import Path

from wire.fhir_rest.hospital import open_hospital

from gateway.domain.errors import Category
from gateway.domain.lifecycle import LIFECYCLES
from gateway.formats.fhir.outcome import OUTCOMES
from gateway.formats.fhir.search.parameters import types
from gateway.servers.web.console.page import STATUS
from gateway.servers.web.console.wording import TONES, person_name, tone
from gateway.servers.web.fhir.address import STORED
from gateway.servers.web.fhir.capabilities import able
from gateway.servers.web.fhir.endpoint import INTERACTIONS


def test_each_stored_type_is_searched() -> None:
    """Every type that can be written has search parameters, and no other has."""
    assert set(types()) == STORED


def test_the_statement_follows_the_table_of_interactions(tmp_path: Path, sqlite_template: Path) -> None:
    """What is routed on a type is claimed for it; audit events are claimed for reading alone."""
    services = open_hospital(tmp_path / "home", sqlite_template).services
    claimed = able(services, INTERACTIONS)
    routed = {
        one.name
        for shape, methods in INTERACTIONS.items()
        if shape.startswith("[type]") and "$" not in shape
        for one in methods.values()
    }
    assert set(claimed.interactions["Patient"]) == routed
    assert claimed.interactions["AuditEvent"] == ("read", "search-type")
    assert claimed.operations["Patient"] == ["everything", "export", "validate"]
    assert claimed.operations["Subscription"] == ["events", "status", "validate"]
    assert claimed.operations[""] == ["export", "import", "process-message", "recall"]
    assert {"batch", "transaction", "history-system"} <= set(claimed.system)


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
