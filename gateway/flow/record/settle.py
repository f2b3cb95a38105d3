"""settle: a record gone quiet is gathered for every model on records, and a task is planned for each that is complete.

It is the counterpart of `gateway/flow/settle.py` for studies without images, and runs where identity may be opened;
what it hands on has none. Where no input has changed since the last revision nothing is analysed again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.domain.errors import Missing
from gateway.domain.ids import BlobKey, derive_id, new_id
from gateway.domain.model import ServedModel
from gateway.domain.record import Needs, RecordInput
from gateway.domain.report import report_id
from gateway.domain.study import Study, record_id
from gateway.flow.record.entries import FILES, READ, Resource, is_read
from gateway.flow.record.gather import DIED, Gathered, gather
from gateway.flow.record.genome_files import MOST_FILES
from gateway.flow.settle import plan
from gateway.formats import record_document
from gateway.ports import BlobStore, Database, ObjectSeal, OpenResource, SealIdentity, UnitOfWork

PAGE = 500  # resources that are read at a time
MOST_RESOURCES = 50_000  # of one record; beyond, the oldest are not read


@dataclass(frozen=True)
class SettleRecords:
    """One look for records whose time has come; run by the sweeper."""

    database: Database
    blobs: BlobStore
    seal: ObjectSeal
    open_resource: OpenResource
    seal_identity: SealIdentity
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def __call__(self, limit: int = 20) -> int:
        """Settles at most `limit` records and returns how many tasks it planned."""
        self._wake(limit)
        with self.database.read() as unit:
            due = unit.records.due(self.now(), limit)
            models = [model for model in unit.models.running() if model.needs is not None] if due else []
        return sum(self.settle(study, models) for study in due) if models else 0

    def _wake(self, limit: int) -> None:
        now = self.now()
        with self.database.read() as unit:
            ripe = unit.records.ripe(now, limit)
        for study in ripe:
            with self.database.begin("settle") as unit:
                unit.records.touch_known(study.patient, now, now)
                unit.commit()

    def settle(self, study: Study, models: Sequence[ServedModel]) -> int:
        """Settles one record unless it has changed since it was read; returns the planned tasks."""
        with self.database.read() as unit:
            resources = self._resources(unit, study)
            known = unit.records.last_digests(study.id)
            facts = _facts(unit, study)
        made = [(model, gather(resources, model.needs, self.now(), facts)) for model in models if model.needs]
        ready = [(model, one) for model, one in made if one.is_complete or one.is_told]
        if not any(_is_answered(model, one) for model, one in ready):
            ready += [each for each in _lacking(made) if each not in ready]
        again = min((one.again_at for _, one in made if one.again_at and (one.begun or not one.missing)), default=None)
        kept = [self._kept(study, model, one) for model, one in ready]
        is_new = {one.model_id: one.digest for one, _, _ in kept} != known
        if is_new:
            for one, _, content in kept:
                self.blobs.put(one.blob_key, self.seal.seal(study.patient, one.blob_key, [content]))
        return self._commit(study, [model for model, _ in ready], kept if is_new else [], resources, again)

    def _commit(
        self,
        study: Study,
        models: Sequence[ServedModel],
        kept: Sequence[tuple[RecordInput, Sequence[str], bytes]],
        resources: Sequence[Resource],
        again: datetime | None,
    ) -> int:
        at = self.now()
        with self.database.begin("settle") as unit:
            if not unit.studies.settle(study, "quiet-time"):
                return 0
            if kept:
                unit.records.identify(study.id, self.seal_identity(study, resources))
                for one, basis, _ in kept:
                    unit.records.keep(one, basis, at)
                plan(unit, study, models, at)
            else:
                _as_it_was(unit, study)
            if again is not None:
                unit.records.look_again(study.id, again)
            unit.commit()
        return len(models) if kept else 0

    def _kept(self, study: Study, model: ServedModel, found: Gathered) -> tuple[RecordInput, Sequence[str], bytes]:
        content = record_document.encode(found.document)
        key = BlobKey(new_id())
        made = RecordInput(
            id=derive_id("record-input", study.id, str(study.revision), model.id),
            study_id=study.id,
            revision=study.revision,
            model_id=model.id,
            blob_key=key,
            size=len(content),
            digest=hashlib.sha256(content).digest(),
        )
        return made, found.basis, content

    def _resources(self, unit: UnitOfWork, study: Study) -> list[Resource]:
        found: list[Resource] = []
        files: list[Resource] = []  # the newest alone stay in memory
        after = 0
        while len(found) < MOST_RESOURCES:
            page = unit.resources.of_owner(study.patient, PAGE, after)
            for one in page:
                opened = self.open_resource(unit, one) if one.type in READ and not one.is_deleted else {}
                if is_read(opened):
                    (files if one.type in FILES else found).append(opened)
                    del files[:-MOST_FILES]
            if len(page) < PAGE:
                break
            after = page[-1].key
        return found + files


def _is_answered(model: ServedModel, one: Gathered) -> bool:
    """Whether a report tells an answer of this model: not in the shadow. Proposals say nothing of what models lack."""
    return one.is_complete and model.state == "active" and model.needs is not None and model.needs.kind != "plan"


def _lacking(made: Sequence[tuple[ServedModel, Gathered]]) -> list[tuple[ServedModel, Gathered]]:
    """Where no model answers, those that some value is for: they refuse, and the report tells what is lacking.

    A stay is not lacking while its window is open, values of one visit are no stay, and a drug alone asks for no
    genotype. Of somebody who has died every model says so.
    """
    return [
        (model, one)
        for model, one in made
        if model.needs and one.basis and one.again_at is None and _refuses(model.needs, one)
    ]


def _refuses(needs: Needs, one: Gathered) -> bool:
    is_stay = needs.kind == "series" and len({value.minute for value in one.document.values}) > 1
    is_told = needs.kind in ("plan", "genotype") and DIED in one.document.excluded
    return needs.kind == "record" or is_stay or is_told


def _as_it_was(unit: UnitOfWork, study: Study) -> None:
    """Nothing new for any model: the report of an earlier revision still stands."""
    try:
        unit.reports.get(report_id(study.id))
    except Missing:
        return
    unit.studies.move(study.id, "settled", "analyse")
    unit.studies.move(study.id, "analysing", "report")


def _facts(unit: UnitOfWork, study: Study) -> list[str]:
    """`question=label` of what models have last said about this patient and reported, for rules that build on it."""
    facts: dict[str, str] = {}
    for one in sorted({*unit.studies.ids_by_patient(study.patient), record_id(study.patient)}):
        try:
            report = unit.reports.get(report_id(one))
        except Missing:
            continue
        content = unit.reports.version(report.id, report.version).content
        for finding in content.findings if content else ():
            if finding.decided is not None:
                facts[finding.question.value] = finding.decided.name
    return [f"{question}={label}" for question, label in sorted(facts.items())]
