"""OperationOutcome, and the one table from error category to HTTP status and FHIR issue code (FHIR R4 2.15).

The web server answers with it and the outlet reads with it; a test proves the table total.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.domain.errors import Category
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.text import line
from gateway.formats.fhir.wire.issue import Issue, Severity

OUTCOMES: dict[Category, tuple[int, str]] = {
    Category.INVALID: (400, "invalid"),
    Category.FORBIDDEN: (403, "forbidden"),
    Category.UNSUPPORTED: (422, "not-supported"),
    Category.CONFLICT: (409, "conflict"),
    Category.MISSING: (404, "not-found"),
    Category.BUSY: (429, "throttled"),
    Category.UNAVAILABLE: (503, "transient"),
    Category.FAULT: (500, "exception"),
}
LOGIN = (401, "login")  # no client is known yet: a matter of HTTP authentication, not of an error category

# https://hl7.org/fhir/R4/valueset-issue-type.html, all of it
_ISSUE_CODES = """
invalid structure required value invariant security login unknown expired forbidden suppressed processing not-supported
duplicate multiple-matches not-found deleted too-long code-invalid extension too-costly business-rule conflict transient
lock-error no-store exception timeout incomplete throttled informational
"""
ISSUE_CODES = frozenset(_ISSUE_CODES.split())


def outcome(issues: Iterable[Issue]) -> Resource:
    """An OperationOutcome of findings about a resource; without any it says that all is well (R4 validation)."""
    said = [
        element(
            severity=each.severity,
            code=each.code,
            diagnostics=line(each.text, 1024),
            expression=[each.expression] if each.expression else [],
        )
        for each in issues
    ]
    well = element(severity="information", code="informational", diagnostics="no issues were found")
    return {"resourceType": "OperationOutcome", "issue": said or [well]}


def issue(code: str, text: str, expression: Sequence[str] = (), severity: Severity = "error") -> Resource:
    """An OperationOutcome with one issue; `expression` names elements, or `http.<parameter>` for a parameter.

    `text` is ours and free of patient data.
    """
    said = element(severity=severity, code=code, diagnostics=line(text, 1024), expression=list(expression))
    return {"resourceType": "OperationOutcome", "issue": [said]}
