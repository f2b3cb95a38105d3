"""Who may lead a pseudonym back to a patient, and for what: the role table, as data, and the closed list of purposes.

Purposes are codes of HL7 v3 ActReason, PurposeOfUse. Research (HRESCH) is not among them on purpose: what a study
finds out about a patient goes back for treatment or safety, never for the research itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from gateway.domain.access import Role
from gateway.domain.identity import StudyIdentity, Unprintable

PURPOSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TREAT": "treatment of this patient",
        "ETREAT": "emergency treatment of this patient",
        "PATSFTY": "patient safety: a recall, an incident, an incidental finding",
        "PATRQT": "the patient asks for it",
        "PUBHLTH": "public health, where the law asks for it",
        "HLEGAL": "legal proceedings or an order of a court",
    }
)
"""Code -> what it means, in the order in which it is offered."""

MAY_REIDENTIFY: Final[Mapping[Role, frozenset[str]]] = MappingProxyType(
    {
        "privacy-officer": frozenset(PURPOSES),
        "physician": frozenset({"TREAT", "ETREAT", "PATSFTY"}),
    }
)
"""Role -> purposes; a role that is not here leads nothing back, the administrator's least of all."""

LONGEST_REASON: Final = 500
LONGEST_NAME: Final = 128


@dataclass(frozen=True, repr=False)
class Reidentified(Unprintable):
    """What a pseudonym stood for: of a patient the identifiers alone, of a study all that names it."""

    kind: Literal["patient", "study"]
    patient: str
    identity: StudyIdentity
