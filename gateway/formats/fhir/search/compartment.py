"""The patient compartment: which resources belong to a patient, by the references that R4's definition names.

R4 2.2.3, CompartmentDefinition/patient. A resource may be in the compartments of several patients: of its subject, and
of whoever performed it; the Patient itself is in its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from gateway.domain.criterion import InCompartment, OfTypes
from gateway.domain.search_parameter import Parameter
from gateway.formats.fhir.search.parameters import parameters, types

DEFINITION: Final = "http://hl7.org/fhir/CompartmentDefinition/patient"
_TRAIL: Final = "AuditEvent"


@cache
def compartment_types() -> frozenset[str]:
    """The types of the store that can be in a compartment; the audit trail lies outside of it."""
    return frozenset(_table()) & frozenset(types()) - {_TRAIL}


@cache
def every_type() -> frozenset[str]:
    """The types of the store; the audit trail lies outside of it."""
    return frozenset(types()) - {_TRAIL}


def in_compartment(own_id: str, kinds: Sequence[str]) -> tuple[OfTypes, InCompartment]:
    """Resources of these types in the compartment of the Patient with this id."""
    leading: list[Parameter] = [parameters(kind)[code] for kind in kinds for code in _table()[kind]]
    return OfTypes(tuple(kinds)), InCompartment(own_id, tuple(leading))


@cache
def _table() -> dict[str, tuple[str, ...]]:
    """Codes of search parameters by type."""
    raw = json.loads((files(__package__) / "patient_compartment.json").read_text("utf-8"))
    return {kind: tuple(codes) for kind, codes in raw.items()}
