"""One finding about a resource, and the error that carries findings (FHIR R4 OperationOutcome.issue).

A finding names the element and the rule, never the value: values are patient data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gateway.domain.errors import Invalid

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """`code` from the issue types of R4; `expression` as `Observation.component[1].code`, empty where unknown."""

    severity: Severity
    code: str
    expression: str
    text: str


class InvalidResource(Invalid):
    """What was sent is no acceptable resource; `issues` say where and why, at least one."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        first = issues[0]
        super().__init__(f"{first.expression}: {first.text}" if first.expression else first.text)
        self.issues = tuple(issues)


def refused(code: str, text: str, expression: str = "") -> InvalidResource:
    """The error with one finding."""
    return InvalidResource([Issue("error", code, expression, text)])
