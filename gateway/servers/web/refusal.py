"""Refusals that HTTP has a status of its own for, inside the gateway's tree of errors."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.domain.errors import Unsupported


class Refusal(Unsupported):
    """`status` is the HTTP status, `code` the FHIR issue code, `expression` what the answer points at."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        expression: tuple[str, ...] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.expression = expression
        self.headers = dict(headers or {})


def wrong_method(allowed: tuple[str, ...]) -> Refusal:
    words = ", ".join(allowed)
    return Refusal(405, "not-supported", f"this address answers to {words} only", headers={"Allow": words})
