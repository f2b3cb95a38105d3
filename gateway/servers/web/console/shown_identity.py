"""Whom a page is about, for those who may see identity; opening it is audited by the vault with purpose `console`.

A patient's record about which no model was asked has no identity of its own in the vault; it was not erased.
"""

from __future__ import annotations

from typing import Literal

from gateway.domain.errors import Erased, Missing
from gateway.domain.identity import StudyIdentity
from gateway.domain.study import Study
from gateway.servers.web.console.page import Visit
from gateway.servers.web.console.rights import may

Absent = Literal["unseen", "erased", "none"]


def shown_identity(visit: Visit, study: Study) -> StudyIdentity | Absent:
    """The identity, or why there is none to show."""
    if not may(visit.person, "see identity"):
        return "unseen"
    try:
        return visit.services.vault.study_identity(visit.unit, study, "console", visit.actor)
    except Erased:
        return "erased"
    except Missing:
        return "none"
