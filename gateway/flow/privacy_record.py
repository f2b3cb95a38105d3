"""privacy record: what was done to one study's objects, what the checker said of them, and which a model may read.

Made from the rows whenever it is asked for, so that it cannot differ from them. PS3.2 N.11.2.6 asks for profile and
options; edition, counts and verdicts are for the auditor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from gateway.domain.ids import StudyId
from gateway.domain.lifecycle import UNCLEARED
from gateway.domain.study import Instance
from gateway.ports import UnitOfWork
from gateway.privacy.checker.marks import MEANINGS

MOST_REASONS: Final = 20
_WORST_FIRST: Final = ("quarantined", "held", "rejected", "masking", "unchecked")


@dataclass(frozen=True)
class NotCleared:
    """Why objects are not read: state, reason, how many."""

    state: str
    reason: str
    count: int


@dataclass(frozen=True)
class PrivacyRecord:
    """Current objects of a study summed up.

    `verdict` is the checker's: passed only where it has refused none and owes no answer. `actions` counts elements.
    """

    objects: int
    profiles: tuple[str, ...]
    editions: tuple[str, ...]
    methods: tuple[tuple[str, str], ...]
    actions: Mapping[str, int]
    clearances: Mapping[str, int]
    pixels: Mapping[str, int]
    verdict: Literal["passed", "refused", "waiting"]
    checked_at: datetime | None
    not_cleared: tuple[NotCleared, ...]

    @property
    def summary(self) -> str:
        """How many a model may read, and what has become of the others: `3 of 4 cleared; 1 held`."""
        others = [f"{count} {state}" for state, count in self.clearances.items() if state != "cleared"]
        return "; ".join([f"{self.clearances.get('cleared', 0)} of {self.objects} cleared", *others])

    @property
    def worst(self) -> str:
        """The state of the objects that need looking at first, for a colour."""
        return next((state for state in _WORST_FIRST if state in self.clearances), "cleared")


def privacy_record(unit: UnitOfWork, study_id: StudyId) -> PrivacyRecord:
    """The record of a study as its rows stand now."""
    instances = unit.studies.instances(study_id)
    done = [one.deidentification for one in instances if one.deidentification is not None]
    actions: Counter[str] = Counter()
    for each in done:
        actions.update(each.counts)
    codes = sorted({code for each in done for code in each.methods})
    return PrivacyRecord(
        objects=len(instances),
        profiles=tuple(sorted({each.profile for each in done})),
        editions=tuple(sorted({each.edition for each in done})),
        methods=tuple((code, MEANINGS.get(code, "")) for code in codes),
        actions=dict(sorted(actions.items())),
        clearances=_counted(one.clearance for one in instances),
        pixels=_counted(one.pixels for one in instances),
        verdict=_verdict(instances),
        checked_at=max((one.checked_at for one in instances if one.checked_at), default=None),
        not_cleared=_not_cleared(instances),
    )


def _verdict(instances: Iterable[Instance]) -> Literal["passed", "refused", "waiting"]:
    states = {one.clearance for one in instances}
    if "quarantined" in states:
        return "refused"
    return "waiting" if not states or states & set(UNCLEARED) else "passed"


def _not_cleared(instances: Iterable[Instance]) -> tuple[NotCleared, ...]:
    """The most frequent reasons first."""
    told = Counter((one.clearance, one.clearance_reason or "") for one in instances if one.clearance != "cleared")
    return tuple(NotCleared(state, reason, count) for (state, reason), count in told.most_common(MOST_REASONS))


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))
