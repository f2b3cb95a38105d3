"""pull: nothing is pushed, the EHR reads the report from our FHIR endpoint when it wants to."""

from __future__ import annotations

from gateway.outlets.strategies.sending import Sending, local


def pull(sending: Sending) -> str:
    """What the EHR may read: acknowledged at once, for nothing is on its way."""
    return f"{local(sending.rendered.report)} is there to be read"
