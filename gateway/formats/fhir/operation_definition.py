"""Definitions of the operations that are ours alone: what `$sign` and `$recall` take and give (FHIR R4 5.5).

The standard's own operations have their definitions at hl7.org; these are served at [base]/OperationDefinition/[name].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.formats.fhir.element import Resource, element

_Parameter = dict[str, Any]


def _in(name: str, kind: str, text: str, least: int = 0) -> _Parameter:
    return {"name": name, "use": "in", "min": least, "max": "1", "documentation": text, "type": kind}


def _out(name: str, kind: str | None, text: str, most: str = "1", part: list[_Parameter] | None = None) -> _Parameter:
    return element(name=name, use="out", min=0, max=most, documentation=text, type=kind, part=part or [])


_SIGN: Final = element(
    title="A physician's decision about a report",
    description="Signs, changes, rejects or retracts a report for the person who uses the app. If-Match is required.",
    affectsState=True,
    resource=["DiagnosticReport"],
    system=False,
    type=False,
    instance=True,
    parameter=[
        _in("outcome", "code", "accept, amend, correct, append, reject or retract", 1),
        _in("conclusion", "string", "The text of the report; to append, the addendum alone. It names no patient."),
        _in("reason", "string", "Why; needed to amend, correct, reject and retract."),
        _in("takeNewer", "boolean", "To amend or correct: with the findings of the study as it is now."),
        _out("report", "Reference", "The version that came of it."),
        _out("status", "code", "Its status."),
    ],
)
_RECALL: Final = element(
    title="Reports that a model version had a part in",
    description="Lists reports, who has them and who signed; patients by pseudonym. It changes nothing.",
    affectsState=False,
    system=True,
    type=False,
    instance=False,
    parameter=[
        _in("model", "string", "Name of the model.", 1),
        _in("version", "string", "Its version.", 1),
        _out("more", "boolean", "Whether there are more reports than are listed."),
        _out(
            "report",
            None,
            "One report.",
            "*",
            [
                _out("reference", "Reference", "The DiagnosticReport."),
                _out("patient", "Reference", "Whose it is."),
                _out("status", "code", "Its status now."),
                _out("current", "boolean", "Whether its newest version still says what the model found."),
                _out("signed", "boolean", "Whether a physician has signed it."),
                _out(
                    "recipient",
                    None,
                    "Who has it.",
                    "*",
                    [
                        _out("destination", "string", "Name of the destination."),
                        _out("state", "string", "State of the delivery."),
                        _out("acknowledgement", "string", "What the destination answered."),
                    ],
                ),
            ],
        ),
    ],
)
OWN_OPERATIONS: Final[Mapping[str, Resource]] = {"sign": _SIGN, "recall": _RECALL}


def operation_address(base: str, name: str) -> str:
    return f"{base}/OperationDefinition/{name}"


def operation_definition(base: str, name: str) -> Resource:
    """The definition as a resource; `base` is our address for clients."""
    said = dict(OWN_OPERATIONS[name])
    title, told = said.pop("title"), {"status": "active", "kind": "operation"}
    first = {"resourceType": "OperationDefinition", "id": name, "url": operation_address(base, name)}
    return {**first, "name": name.capitalize(), "title": title, **told, "code": name, **said}
