"""check: holds every received object against what was promised of it, before any model may read it.

The checker (privacy/checker) is other code than the engine and knows the study's identity, opened once per study for
this purpose. An object that passes is cleared, or sent on to the search for text in its pixels; one that does not is
quarantined with a reason that names rule and place, never a value.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import BinaryIO, Literal, NamedTuple, Protocol

from gateway.domain.errors import Category, GatewayError, Missing, Unavailable
from gateway.domain.ids import BlobKey, InstanceId
from gateway.domain.study import Instance, Study
from gateway.ports import Database, IdentityVault
from gateway.privacy.checker.check import check
from gateway.privacy.checker.residue import Residue
from gateway.privacy.checker.verdict import INFERENCE_METHODS, Claim, Verdict
from gateway.privacy.disposition import dispose

log = logging.getLogger(__name__)
ACTOR = "check"
TRY_AGAIN_AFTER = timedelta(seconds=5)  # an object whose blob could not be read
_REMEMBERED = 32  # studies whose compiled search is kept in memory
_TRY_AGAIN = frozenset({Category.UNAVAILABLE, Category.BUSY})


class StoredFiles(Protocol):
    """Opens a stored object as a seekable file of `size` plain bytes; reads no more of it than is asked for."""

    def open(self, pseudonym: str, key: BlobKey, size: int) -> BinaryIO: ...


class Decision(NamedTuple):
    """What becomes of one object, and why."""

    event: Literal["clear", "mask", "hold", "quarantine"]
    reason: str | None = None
    pixels: Literal["exempt"] | None = None


@dataclass
class CheckInstances:
    """One batch of unchecked objects, STAT first; run by the sweeper, by one thread."""

    database: Database
    vault: IdentityVault
    files: StoredFiles
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _residues: OrderedDict[tuple[str, int, bytes | None], Residue] = field(default_factory=OrderedDict, init=False)
    _waiting: dict[InstanceId, datetime] = field(default_factory=dict, init=False)

    def __call__(self, limit: int = 64) -> int:
        """How many objects were decided about; Unavailable where none could be read."""
        decided, failure = 0, None
        for study, instances in self._batch(limit):
            try:
                decided += self._check_study(study, instances)
            except Unavailable as error:
                failure = error
        if failure is not None and not decided:
            raise failure
        return decided

    def _batch(self, limit: int) -> list[tuple[Study, list[Instance]]]:
        """Unchecked objects, those left out that could not be read a moment ago, so that they block no others."""
        now = self.now()
        self._waiting = {one: until for one, until in self._waiting.items() if until > now}
        with self.database.read() as unit:
            found = unit.clearances.unchecked(limit + len(self._waiting))
            batch = [one for one in found if one.id not in self._waiting][:limit]
            by_study = groupby(batch, key=lambda one: one.study_id)
            return [(unit.studies.get(study_id), list(instances)) for study_id, instances in by_study]

    def _check_study(self, study: Study, instances: Sequence[Instance]) -> int:
        residue = self._residue(study)
        decisions = list(self._decisions(study, instances, residue))
        if not decisions:
            raise Unavailable("the stored objects of a study cannot be read")
        at = self.now()
        with self.database.begin(ACTOR) as unit:
            unit.studies.lock(study.id)  # the order in which receiving takes the locks
            for instance, decision in decisions:
                moved = unit.clearances.decide(instance, decision.event, decision.reason, pixels=decision.pixels)
                if moved and decision.event == "mask":
                    unit.pixel_tasks.plan(instance, study.priority, at)
            unit.commit()
        return len(decisions)

    def _decisions(
        self, study: Study, instances: Sequence[Instance], residue: Residue | None
    ) -> Iterator[tuple[Instance, Decision]]:
        for instance in instances:
            try:
                yield instance, self._decide(study, instance, residue)
            except GatewayError as error:
                if error.category in _TRY_AGAIN:
                    self._waiting[instance.id] = self.now() + TRY_AGAIN_AFTER
                    continue
                yield instance, Decision("quarantine", f"could not be checked: {error.category.value}")
            except Exception as error:
                log.exception("check failed", extra={"fields": {"instance": instance.id}})
                yield instance, Decision("quarantine", f"could not be checked: {type(error).__name__}")

    def _decide(self, study: Study, instance: Instance, residue: Residue | None) -> Decision:
        with self.files.open(study.patient, instance.blob_key, instance.size) as file:
            verdict = check(file, instance.size, _claim(study, instance), residue)
        if residue is None:
            return Decision("quarantine", "could not be checked: the study's identity cannot be opened")
        return decision_on(instance, verdict)

    def _residue(self, study: Study) -> Residue | None:
        """The compiled search for the study's identity; None where there is none to open any more."""
        key = (study.id, study.revision, study.accession_index)  # the identity is written anew with these
        if key not in self._residues:
            try:
                with self.database.begin(ACTOR) as unit:
                    identity = self.vault.study_identity(unit, study, "check", ACTOR)
                    unit.commit()
            except Missing:
                return None
            self._residues[key] = Residue(identity)
            if len(self._residues) > _REMEMBERED:
                self._residues.popitem(last=False)
        self._residues.move_to_end(key)
        return self._residues[key]


def decision_on(instance: Instance, verdict: Verdict) -> Decision:
    """What follows from the verdict under the rule for this kind of object."""
    if not verdict.passed:
        return Decision("quarantine", verdict.reason)
    facts = verdict.facts
    rule = dispose(instance.sop_class_uid, instance.modality, facts.image_type, facts.burned_in, facts.has_pixels)
    if rule.action == "quarantine":
        return Decision("quarantine", rule.reason)
    if instance.pixels in ("clean", "masked", "released"):
        return Decision("clear")
    return Decision("clear", pixels="exempt") if rule.pixels == "exempt" else Decision("mask", rule.reason)


def _claim(study: Study, instance: Instance) -> Claim:
    done = instance.deidentification
    return Claim(
        methods=INFERENCE_METHODS if done is None else frozenset(done.methods),
        patient=study.patient,
        study_uid=study.study_uid,
        series_uid=instance.series_uid,
        sop_instance_uid=instance.sop_instance_uid,
        sop_class_uid=instance.sop_class_uid,
        transfer_syntax_uid=instance.transfer_syntax_uid,
    )
