"""Finding reports as an EHR does, with a FHIR client that we did not write."""

from __future__ import annotations

from fhirpy import SyncFHIRClient
from harness.gateway_process import wait_for


def reported(fhir: SyncFHIRClient, seconds: float = 120, **search: str) -> list[dict[str, object]]:
    """Reports found once analysis is over; AssertionError where none comes."""

    def done() -> list[dict[str, object]]:
        found = [dict(one) for one in fhir.resources("DiagnosticReport").search(**search).fetch()]
        return found if found and all(one["status"] != "registered" for one in found) else []

    return wait_for(done, seconds, f"a report by {sorted(search)}")
