"""gather: the input of one model from the resources of one patient, de-identified, and whether it is complete.

Pure: resources in clear come in, a document without identity goes out: an age in whole years (90 for those who are
older), times in minutes from the first value, words only where the model declares them. A value in a unit that the
model does not take, and that is not of the same kind, is left out and never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.domain.record import InputDocument, Needs, Sought, Value, Wanted
from gateway.domain.ucum import convert
from gateway.flow.record.concept import LOINC, words
from gateway.flow.record.entries import Entry, Resource, entries, is_read, patient_of, time_of
from gateway.flow.record.exclusions import excluded
from gateway.flow.record.genome_files import agreed, doubts, genome_files
from gateway.flow.record.genotypes import gainsaid, genotypes, unusable
from gateway.flow.record.variants import variants

AGE, SEX = Sought(LOINC, "30525-0"), Sought(LOINC, "76689-9")
OLDEST = 90  # years; beyond, an age tells who somebody is (45 CFR 164.514(b)(2)(i)(C))
RECENT = timedelta(days=730)  # a measurement that is older says nothing about today
DIED = "that the patient has died"
GAP = timedelta(hours=24)  # without a measurement for so long, another stay begins
MOST_VALUES = 20_000  # of one series
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Gathered:
    """The document of one model, the resources it came from, what is missing, and when to look again (None: never).

    `begun`: a stay of which enough is there to look again when its window is over, or a record with some value for the
    model; `measured`: as much as it asks, so that what else is missing is told beside the answers of other models.
    """

    document: InputDocument
    basis: tuple[str, ...]
    missing: tuple[str, ...]
    again_at: datetime | None = None
    begun: bool = False
    measured: bool = False

    @property
    def is_complete(self) -> bool:
        return not self.missing and self.again_at is None

    @property
    def is_told(self) -> bool:
        """Whether the model is asked though it lacks something: it refuses, and the report says why."""
        return self.begun and self.measured and self.again_at is None


@dataclass(frozen=True)
class _Record:
    """One patient's record as it is read: entries up to `at`, age and sex."""

    found: Sequence[Entry]
    age: int | None
    sex: str | None
    at: datetime


def gather(resources: Sequence[Resource], needs: Needs, at: datetime, facts: Iterable[str] = ()) -> Gathered:
    """What `needs` asks for, as the record stands at `at`. `facts` are answers of models about this patient."""
    patient = patient_of(resources)
    found = tuple(entry for entry in entries(resources) if entry.at is None or entry.at <= at)
    record = _Record(found, age_years(patient, at), _sex(patient), at)
    if needs.kind == "genotype":
        made = _genotypes(resources, needs, record)
    elif needs.kind == "series":
        made = _series(record, needs)
    elif needs.kind == "plan":
        made = _plan(record, needs, tuple(sorted(set(facts))))
    else:
        made = _single(record, needs, excluded(resources, needs.excludes, at))
    return _of_dead(made) if has_died(patient, at) else made


def has_died(patient: Resource, at: datetime) -> bool:
    """Whether the record says so (Patient.deceased[x], R4 8.1.7); a time that is still to come says nothing."""
    when = time_of(patient.get("deceasedDateTime"))
    return patient.get("deceasedBoolean") is True or (when is not None and when <= at)


def _of_dead(made: Gathered) -> Gathered:
    """No model looks ahead for somebody who has died, and no proposal is made."""
    document = replace(made.document, excluded=(*made.document.excluded, DIED))
    return replace(made, document=document, missing=(f"a record without: {DIED}", *made.missing), again_at=None)


def age_years(patient: Resource, at: datetime) -> int | None:
    """Whole years of age, at most `OLDEST`; None where the birth date is not known."""
    born = time_of(patient.get("birthDate"))
    if born is None or born > at:
        return None
    years = at.year - born.year - ((at.month, at.day) < (born.month, born.day))
    return min(years, OLDEST)


def _sex(patient: Resource) -> str | None:
    return {"male": "M", "female": "F"}.get(str(patient.get("gender")))


def _single(record: _Record, needs: Needs, barred: tuple[str, ...]) -> Gathered:
    values, basis = _latest(record, needs.fields)
    unread = _unread(record, needs.fields, values)
    document = InputDocument("record", record.age, record.sex, values=values, unread=unread, excluded=barred)
    signs = _none_of(needs, values)
    missing = (*(f"a record without: {one}" for one in barred), *_missing(needs.fields, values, needs.measured_min))
    measured = len({value.name for value in values}) >= needs.measured_min and not signs
    return Gathered(document, basis, (*missing, *signs), begun=bool(basis), measured=measured)


def _none_of(needs: Needs, values: Sequence[Value]) -> tuple[str, ...]:
    said = {value.name: value.value for value in values}
    telling = [one for one in needs.fields if one.name in needs.one_of]
    if not telling or any(one.name in said and said[one.name] not in one.shows_nothing for one in telling):
        return ()
    return (f"one of: {', '.join(_in_title(one) for one in telling)}",)


def _in_title(one: Wanted) -> str:
    return f"{one.title} (not: {', '.join(one.shows_nothing)})" if one.shows_nothing else one.title


def _unread(record: _Record, wanted: Sequence[Wanted], values: Sequence[Value]) -> tuple[str, ...]:
    """Names of the fields that no usable value was found for, though one in another unit or word is on record."""
    known = {value.name for value in values}
    recent = [one for one in record.found if not _is_old(one, record.at)]
    return tuple(
        one.name
        for one in wanted
        if one.name not in known and any(_fits(each, one) and _value(each, one, 0) is None for each in recent)
    )


def _plan(record: _Record, needs: Needs, facts: tuple[str, ...]) -> Gathered:
    values, basis = _latest(record, needs.fields)
    unread = _unread(record, needs.fields, values)
    document = InputDocument("plan", record.age, record.sex, values=values, facts=facts, unread=unread)
    return Gathered(document, basis, () if values or facts else ("nothing that a rule is about",))


def _genotypes(resources: Sequence[Resource], needs: Needs, record: _Record) -> Gathered:
    found, basis = genotypes(resources, needs.genes)
    drugs, taken = _drugs(resources, needs.drugs)
    read = [one for one in resources if is_read(one)]
    heard = [
        *unusable(read, needs.genes),
        *gainsaid(read, needs.genes),
        *genome_files(read, needs.sites),
        *variants(read, needs.sites),
    ]
    calls = agreed(heard)
    unread = doubts(heard, calls)
    document = InputDocument(
        "genotype", record.age, record.sex, genotypes=found, drugs=drugs, calls=calls, unread=unread
    )
    missing = () if found or heard else ("a reported genotype or phenotype of a gene that the rules know",)
    sources = (one.source for one in heard)
    return Gathered(document, tuple(dict.fromkeys((*basis, *taken, *sources))), missing)


def _series(record: _Record, needs: Needs) -> Gathered:
    """The last stay: measurements without a gap of a day, from the first of them for the length of the window."""
    timed = sorted(
        ((entry, wanted) for wanted in needs.fields for entry in record.found if entry.at and _fits(entry, wanted)),
        key=lambda pair: pair[0].at or _EPOCH,
    )
    stay = _last_stay(timed)
    start = stay[0][0].at if stay else None
    if start is None:
        return Gathered(InputDocument("series", record.age, record.sex), (), ("any measurement",))
    values, basis = [], []
    for entry, wanted in stay[:MOST_VALUES]:
        minute = int(((entry.at or start) - start).total_seconds() // 60)
        value = _value(entry, wanted, minute)
        if value is not None and minute < needs.window_minutes:
            values.append(value)
            basis.append(entry.source)
    statics, said = _latest(record, needs.statics)
    document = InputDocument("series", record.age, record.sex, values=tuple(values), statics=statics)
    end = start + timedelta(minutes=needs.window_minutes)
    missing = (*_missing(needs.statics, statics, 0), *_unmeasured(values, needs.measured_min))
    again_at, known = end if end > record.at else None, len({value.name for value in values})
    begun = known * 2 >= needs.measured_min and len({one.minute for one in values}) > 1  # one visit's signs are no stay
    sources = tuple(dict.fromkeys([*basis, *said]))
    return Gathered(document, sources, missing, again_at, begun, known >= needs.measured_min)


def _unmeasured(values: Sequence[Value], least: int) -> tuple[str, ...]:
    measured = len({value.name for value in values})
    return (f"{least - measured} more measured quantities",) if measured < least else ()


def _last_stay(timed: Sequence[tuple[Entry, Wanted]]) -> Sequence[tuple[Entry, Wanted]]:
    first = 0
    for place in range(1, len(timed)):
        before, after = timed[place - 1][0].at, timed[place][0].at
        if before and after and after - before > GAP:
            first = place
    return timed[first:]


def _latest(record: _Record, wanted: Sequence[Wanted]) -> tuple[tuple[Value, ...], tuple[str, ...]]:
    """The newest usable value of each field, and where it came from."""
    values, basis = [], []
    for one in wanted:
        own = _of_patient(one, record.age, record.sex)
        if own is not None:
            values.append(own)
            continue
        fitting = [entry for entry in record.found if _fits(entry, one) and not _is_old(entry, record.at)]
        newest = _newest(fitting, one)
        values += list(dict.fromkeys(value for value, _ in newest))
        basis += [source for _, source in newest]
    return tuple(values), tuple(dict.fromkeys(basis))


def _newest(fitting: Sequence[Entry], wanted: Wanted) -> list[tuple[Value, str]]:
    """The newest usable value; of words all of that time, so that a model refuses those that gainsay each other."""
    found: list[tuple[Value, str, datetime | None]] = []
    for entry in sorted(fitting, key=lambda each: each.at or _EPOCH, reverse=True):
        value = _value(entry, wanted, 0)
        if value is not None and (not found or (isinstance(value.value, str) and entry.at == found[0][2])):
            found.append((value, entry.source, entry.at))
    return [(value, source) for value, source, _ in found]


def _of_patient(wanted: Wanted, age: int | None, sex: str | None) -> Value | None:
    if AGE in wanted.codes and age is not None and wanted.unit == "a":
        return Value(wanted.name, float(age), "a")
    word = {"M": "male", "F": "female"}.get(sex or "")
    if SEX in wanted.codes and word in wanted.answers:
        return Value(wanted.name, str(word))
    return None


def _fits(entry: Entry, wanted: Wanted) -> bool:
    return any((code.system, code.code) in entry.codes for code in wanted.codes)


def _is_old(entry: Entry, at: datetime) -> bool:
    """A measurement ages; a condition that is present does not."""
    return entry.at is not None and entry.value is not True and at - entry.at > RECENT


def _value(entry: Entry, wanted: Wanted, minute: int) -> Value | None:
    said = entry.value
    if isinstance(said, bool):
        word = "yes" if said else "no"
        return Value(wanted.name, word, "", minute) if word in wanted.answers else None
    if isinstance(said, tuple):
        known = next((word for word in said if word in wanted.answers), None)
        return None if known is None else Value(wanted.name, known, "", minute)
    if entry.unit in (wanted.unit, *wanted.other_units):
        return Value(wanted.name, said, entry.unit, minute)
    for unit in (wanted.unit, *wanted.other_units):
        turned = convert(said, entry.unit, unit)
        if turned is not None:
            return Value(wanted.name, turned, unit, minute)
    return None


def _missing(wanted: Sequence[Wanted], values: Sequence[Value], least: int) -> tuple[str, ...]:
    known = {value.name for value in values}
    lacking = [one.title for one in wanted if one.required and one.name not in known]
    if len(known) < least:
        lacking.append(f"{least - len(known)} more values")
    return tuple(lacking)


def _drugs(resources: Sequence[Resource], known: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ingredients that the rules know and the record lists; no other word of a prescription is passed on."""
    found, basis = set(), []
    for resource in resources:
        if resource.get("resourceType") in ("MedicationStatement", "MedicationRequest") and resource.get("status") in (
            "active",
            "intended",
        ):
            said = set(" ".join(words(_concept(resource))).replace(",", " ").replace("/", " ").split())
            named = {drug for drug in known if set(drug.split()) <= said}
            if named:
                found |= named
                basis.append(f"{resource['resourceType']}/{resource.get('id')}")
    return tuple(sorted(found)), tuple(basis)


def _concept(resource: Resource) -> Any:
    return resource.get("medicationCodeableConcept")
