"""The Held page: objects that wait for a person's decision, and those in quarantine, oldest first, without identity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gateway.domain.errors import Invalid
from gateway.domain.ids import InstanceId, StudyId
from gateway.domain.study import Instance, Study
from gateway.servers.web.console.page import View, Visit
from gateway.servers.web.console.rights import may, require

ROWS: Final = 25
LISTED: Final = {
    "held": "A model reads these objects only after a person has looked at them.",
    "quarantined": "No model reads these objects: something was left in them, or the rule for their kind forbids it.",
}
DONE: Final = {
    "release": "The object was released. The checker looks at its header before a model may read it.",
    "mask": "A worker masks the boxes; then the checker looks at the object again.",
    "reject": "The object was rejected. No model will read it.",
    "recheck": "The checker looks at the object again.",
}
"""What a decision leads to, said on the page that follows it."""


@dataclass(frozen=True)
class HeldRow:
    """An object with its study, which knows the priority."""

    instance: Instance
    study: Study


def held(visit: Visit) -> View:
    require(visit.person, "list held objects")
    state, study = visit.field("state") or "held", visit.field("study")
    if state not in LISTED:
        raise Invalid("there is no such list")
    found = _of_study(visit, StudyId(study), state) if study else _waiting(visit, state)
    study_of = _remembering(visit)
    data = {
        "rows": [HeldRow(one, study_of(one.study_id)) for one in found[:ROWS]],
        "state": state,
        "states": LISTED,
        "study": study,
        "next": found[ROWS - 1].id if len(found) > ROWS and not study else None,
        "more": len(found) - ROWS if study else 0,
        "first": not visit.field("after"),
        "done": DONE.get(visit.field("done"), ""),
        "decides": may(visit.person, "decide about held objects"),
    }
    return View("held.html", "held", data)


def _waiting(visit: Visit, state: str) -> list[Instance]:
    after = visit.field("after")
    if len(after) > 64:
        raise Invalid("the page link is malformed")
    return visit.unit.clearances.waiting((state,), ROWS + 1, InstanceId(after) if after else None)


def _of_study(visit: Visit, study_id: StudyId, state: str) -> list[Instance]:
    """All of one study's; the page shows as many as any other and says how many are left out."""
    visit.unit.studies.get(study_id)
    return [one for one in visit.unit.studies.instances(study_id) if one.clearance == state]


def _remembering(visit: Visit) -> Callable[[StudyId], Study]:
    known: dict[StudyId, Study] = {}

    def study_of(study_id: StudyId) -> Study:
        if study_id not in known:
            known[study_id] = visit.unit.studies.get(study_id)
        return known[study_id]

    return study_of
