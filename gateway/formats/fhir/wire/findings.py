"""Gathers findings while a resource is walked; a place becomes text only when something is found there.

A Place is a chain of (parent, name, index), so that the good path builds no strings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gateway.formats.fhir.wire.issue import Issue, Severity
from gateway.formats.fhir.wire.json_form import safe_path

MOST_FINDINGS: Final = 100
Place = tuple[Any, str, int | None]


def root(name: str) -> Place:
    return (None, name, None)


def expression(place: Place | None) -> str:
    """`Observation.component[1].code`; a name that no element has is left out, for it may be anything."""
    steps: list[str] = []
    while place is not None:
        parent, name, index = place
        shown = name if safe_path(name) and len(name) <= 64 and name.isidentifier() else ""
        steps.append(shown + (f"[{index}]" if index is not None else ""))
        place = parent
    return ".".join(step for step in reversed(steps) if step)


@dataclass(slots=True)
class Findings:
    """Issues in the order in which they were found, up to a limit."""

    issues: list[Issue] = field(default_factory=list)

    def add(self, code: str, place: Place, text: str, severity: Severity = "error") -> None:
        if len(self.issues) < MOST_FINDINGS:
            self.issues.append(Issue(severity, code, expression(place), text))

    def add_below(self, code: str, place: Place, below: str, text: str) -> None:
        """`below` is an expression relative to the place, such as `component[1].code`; empty: the place itself."""
        if len(self.issues) < MOST_FINDINGS:
            whole = ".".join(part for part in (expression(place), below) if part)
            self.issues.append(Issue("error", code, whole, text))

    def covers(self, whole: str) -> bool:
        """Whether something was already found at this element or below it."""
        return any(
            issue.expression == whole or issue.expression.startswith((f"{whole}.", f"{whole}["))
            for issue in self.issues
        )
