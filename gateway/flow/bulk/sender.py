"""Who asks of a job, looked up before each step of it: what was taken back meanwhile holds for the rest of the job.

The scopes are those of the token that began it, as far as client and person have them now (RFC 7009 2.1: what came of
a grant ends with it; SMART App Launch 2.2, 3).
"""

from __future__ import annotations

from dataclasses import replace

from gateway.domain.access import Caller
from gateway.domain.bulk import BulkJob
from gateway.flow.bulk.asked import AskedJob
from gateway.flow.bulk.lease import GrantEnded, look
from gateway.flow.scopes import ROLE_SCOPES, shared
from gateway.ports import UnitOfWork


def sender(unit: UnitOfWork, job: BulkJob, asked: AskedJob) -> Caller:
    """As far as he still may; JobEnded, or GrantEnded where nothing of it is left."""
    look(unit, job)
    client = unit.access.client("fhir", job.client)
    person = unit.access.person(asked.person) if asked.person else None
    if client is None or not client.active:
        raise GrantEnded("the client that asked is disabled: nothing further was done")
    if asked.person and (person is None or not person.active):
        raise GrantEnded("the person who asked may not sign in any more: nothing further was done")
    scopes = client.scopes if asked.scopes is None else asked.scopes
    if asked.scopes is not None:
        scopes = shared(client.scopes, asked.scopes, "system" if person is None else "user")
    if person is not None:
        scopes = shared(ROLE_SCOPES[person.role], scopes, "user")
    if asked.scopes and not scopes:
        raise GrantEnded("nothing is left of the scopes that it was asked with: nothing further was done")
    return Caller.of(replace(client, scopes=scopes), asked.address, asked.number, person)
