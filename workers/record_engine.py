"""Answers for a patient's record: the model runtime's words inwards, the domain's outwards.

The counterpart of the part of `engine.py` that answers for images. A record that does not fit is Unsupported, with a
reason that holds no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gateway.domain.errors import Unsupported
from gateway.domain.finding import DrugAdvice, GenePhenotype, Label, Proposal, RecordAnswer
from gateway.domain.prediction import Prediction
from gateway.domain.record import InputDocument, Value
from models.runtime.plan import PlanRules
from models.runtime.readings import Patient, Reading
from models.runtime.record import UNREAD, RecordPredictor, ValuePrediction
from models.runtime.rules import INDETERMINATE, Advice, RulesTable
from models.runtime.series import SeriesPredictor
from models.runtime.value_session import ValueSession
from workers.genotype_answer import Told, nothing_told, told_of

UNREVIEWED = "No medical review of these rules is known; a physician decides each."
Answers = RecordPredictor | SeriesPredictor | RulesTable | PlanRules


@dataclass(frozen=True)
class Answering:
    """A loaded pack on records, series or genotypes, and what answers for it."""

    loaded: ValueSession | RulesTable | PlanRules
    answers: Answers

    def close(self) -> None:
        """Rules hold nothing of the runtime."""
        if isinstance(self.loaded, ValueSession):
            self.loaded.close()


def answering(loaded: ValueSession | RulesTable | PlanRules) -> Answering:
    """What answers for a loaded pack."""
    if isinstance(loaded, RulesTable | PlanRules):
        return Answering(loaded, loaded)
    kind = RecordPredictor if loaded.manifest.kind == "record" else SeriesPredictor
    return Answering(loaded, kind(loaded))


def predict(model: Answers, document: InputDocument) -> Prediction:
    """Unsupported where the record is outside the model's scope."""
    if document.kind != model.manifest.kind:
        raise Unsupported("the gathered input is for another kind of model")
    if document.excluded:
        raise Unsupported(f"Not scored where the record holds: {'; '.join(document.excluded)}.")
    if isinstance(model, RulesTable):
        return _advised(model, document)
    if isinstance(model, PlanRules):
        return _proposed(model, document)
    patient = Patient(document.sex, None if document.age_years is None else float(document.age_years))
    if isinstance(model, SeriesPredictor):
        told = model.predict(_readings(document.values), _readings(document.statics), patient)
    else:
        told = model.predict(_readings(document.values), patient, document.unread)
    if told.refusal is not None:
        raise Unsupported(told.text)
    return _scored(model, told)


def _readings(values: Iterable[Value]) -> list[Reading]:
    return [Reading(one.name, one.value, one.unit, one.minute) for one in values]


def _scored(model: RecordPredictor | SeriesPredictor, told: ValuePrediction) -> Prediction:
    manifest = model.manifest
    rules = {label.name: label for label in manifest.labels}
    labels = tuple(Label(name, rules[name].code, prob, rules[name].title) for name, prob in told.probabilities)
    return Prediction(
        question=manifest.question,
        decided=next((label for label in labels if label.name == told.decided), None),
        conclusion=f"{manifest.title}: {told.text}",
        threshold=manifest.output.threshold,
        images=(),
        provider=told.provider,
        runtime=told.runtime,
        answer=RecordAnswer(manifest.kind, labels, told.explanation, told.missing, told.set_aside),
    )


def _advised(tables: RulesTable, document: InputDocument) -> Prediction:
    told = told_of(tables, document)
    if not told.genes:
        raise Unsupported(nothing_told(told, document))
    known = [one.phenotype for one in told.genes if one.phenotype.name != INDETERMINATE]
    advice = tuple(_advice(tables.advise(drug, known)) for drug in document.drugs)
    genes = tuple(
        GenePhenotype(
            one.gene, one.genotype, one.phenotype.name, one.phenotype.score, one.phenotype.source, one.diplotype
        )
        for one in told.genes
    )
    return Prediction(
        question=tables.manifest.question,
        decided=None,
        conclusion=_in_words(tables.manifest.title, genes, advice, told),
        threshold=None,
        images=(),
        provider=tables.provider,
        runtime=f"{tables.runtime}, tables {tables.version}",
        answer=RecordAnswer("genotype", set_aside=told.aside + told.notes, phenotypes=genes, advice=advice),
    )


def _proposed(rules: PlanRules, document: InputDocument) -> Prediction:
    patient = Patient(document.sex, None if document.age_years is None else float(document.age_years))
    fired = rules.propose(_readings(document.values), document.facts, patient)
    titles = [one.title for one in rules.manifest.input.fields if one.name in document.unread]
    unread = f"{UNREAD.capitalize()}: {', '.join(titles)}." if titles else ""
    if not fired:
        raise Unsupported(f"No rule is about what the record and the findings say. {unread}".strip())
    told = tuple(
        Proposal(one.rule.id, one.rule.category, one.rule.text, one.rule.guideline, one.because, one.rule.caution)
        for one in fired
    )
    said = [f"{one.text} ({one.guideline}; because: {', '.join(one.because)})" for one in told]
    count = f"{len(told)} proposal{'s' if len(told) > 1 else ''}"
    return Prediction(
        question=rules.manifest.question,
        decided=None,
        conclusion="\n".join([f"{rules.manifest.title}: {count}. {UNREVIEWED}", *said, *([unread] if unread else [])]),
        threshold=None,
        images=(),
        provider=rules.provider,
        runtime=f"{rules.runtime}, rules {rules.version}",
        answer=RecordAnswer("plan", proposals=told),
    )


def _advice(one: Advice) -> DrugAdvice:
    genes = tuple(each.gene for each in one.phenotypes)
    return DrugAdvice(one.drug, one.text, genes, one.cpic_level, one.guideline, one.source)


def _in_words(title: str, genes: tuple[GenePhenotype, ...], advice: tuple[DrugAdvice, ...], told: Told) -> str:
    said = [f"{title}: " + "; ".join(f"{one.gene} {one.genotype}: {one.phenotype}" for one in genes) + "."]
    for one in advice:
        text = one.text or "the tables give no advice, which does not mean the standard dose"
        said.append(f"{one.drug} (CPIC level {one.level or 'not given'}): {text}")
    if not advice:
        said.append("No drug of the tables is in the record.")
    if told.aside:
        said.append(f"Not determined: {'; '.join(told.aside)}.")
    if told.notes:
        said.append(f"To be noted: {'; '.join(told.notes)}.")
    return "\n".join(said)
