"""Made-up resources of thirteen types for tests of search: every kind of value, many equal and nearly equal ones."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

from gateway.formats.fhir.element import Resource

LOINC, SNOMED, UCUM = "http://loinc.org", "http://snomed.info/sct", "http://unitsofmeasure.org"
FAMILIES = ("Müller", "Mueller", "Muller", "Lindqvist", "Lind", "O'Brien", "van der Berg", "李", "Иванов", "Ng")
GIVEN = ("Anna", "Änne", "Peter", "Petra", "José", "Jose", "伟", "Li")
TEXTS = ("Body weight", "Weight, body", "Systolic pressure", "SYSTOLIC  Pressure (mean)", "Résumé of care")
UNITS = ("kg", "g", "mg", "[lb_av]", "mg/dL", "g/L", "mm[Hg]", "kPa", "/min", "Cel", "bogus")
DATES = (
    "2024", "2024-02", "2024-02-29", "2024-03-01T00:00:00Z", "2024-02-29T23:30:00-01:00",
    "2024-03-01T00:30:00.250+01:00",
    "2025-12-31", "2026-01", "2026-01-01T10:20:00Z",
)  # fmt: skip
BIRTHS = ("1970", "1970-05", "1970-05-03", "1970-05-04", "1980-12-31", "1981-01-01", "2024-02-29")


class Ward:
    """Resources by the hundred from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def resources(self, count: int) -> list[Resource]:
        makers = (
            self._patient, self._observation, self._observation, self._condition, self._report, self._organization,
            self._encounter, self._questionnaire, self._sequence, self._risk, self._document, self._appointment,
            self._slot, self._charge,
        )  # fmt: skip
        return [makers[number % len(makers)](f"r{number}") for number in range(count)]

    def _one(self, *values: Any) -> Any:
        return self._random.choice(values)

    def _maybe(self, **members: Any) -> Resource:
        return {name: value for name, value in members.items() if self._random.random() < 0.6}

    def _base(self, kind: str, own_id: str) -> Resource:
        meta = self._maybe(
            profile=[self._one("http://a.example/p/one", "http://a.example/p/one|2", "http://a.example/p/", "urn:p")],
            tag=[{"system": "urn:tags", "code": self._one("red", "blue")}],
            source=self._one("http://a.example/feed/7", "http://a.example/feed"),
        )
        return {"resourceType": kind, "id": own_id, **({"meta": meta} if meta else {})}

    def _concept(self, *codes: tuple[str, str]) -> Resource:
        chosen = self._random.sample(codes, k=self._random.randint(1, min(2, len(codes))))
        coding = [{"system": system, "code": code, "display": self._one(*TEXTS)} for system, code in chosen]
        return self._maybe(text=self._one(*TEXTS)) | {"coding": [{k: v for k, v in c.items() if v} for c in coding]}

    def _code(self) -> Resource:
        return self._concept(
            (LOINC, "29463-7"), (LOINC, "8480-6"), (SNOMED, "29463-7"), ("", "29463-7"), (SNOMED, "a|b,c$d")
        )

    def _identifier(self) -> Resource:
        return {
            "system": self._one("urn:mrn", "urn:acc"),
            "value": self._one("1", "2", "3,4"),
            **self._maybe(
                type={"coding": [{"system": "urn:v2-0203", "code": self._one("MR", "ACSN")}], "text": "Number"}
            ),
        }

    def _reference(self, kind: str) -> Resource:
        own_id = f"r{self._random.randrange(40)}"
        return self._one(
            {"reference": f"{kind}/{own_id}"},
            {"reference": f"https://gateway.example/fhir/{kind}/{own_id}"},
            {"reference": f"{kind}/{own_id}/_history/2"},
            {"reference": f"https://other.example/fhir/{kind}/{own_id}"},
            {"reference": "#inside"},
            {"identifier": {"system": "urn:mrn", "value": self._one("1", "2")}, "type": kind},
        )

    def _period(self) -> Resource:
        return self._maybe(start=self._one(*DATES[:6]), end=self._one(*DATES[6:])) or {"start": "2024-02-29"}

    def _quantity(self) -> Resource:
        unit = self._one(*UNITS)
        number = self._one(
            Decimal("72.5"), Decimal("72.50"), Decimal("72500"), Decimal("0.0725"), 5, Decimal("5.04"), 120
        )
        named = self._one(
            {"system": UCUM, "code": unit}, {"system": UCUM, "code": unit, "unit": unit}, {"unit": unit}, {}
        )
        return {"value": number, **named, **self._one({}, {}, {"comparator": self._one("<", ">", "<=", ">=")})}

    def _patient(self, own_id: str) -> Resource:
        return {
            **self._base("Patient", own_id),
            "name": [{"family": self._one(*FAMILIES), "given": [self._one(*GIVEN), self._one(*GIVEN)]}],
            **self._maybe(
                identifier=[self._identifier()],
                active=self._one(True, False),
                gender=self._one("female", "male"),
                birthDate=self._one(*BIRTHS),
                telecom=[{"system": self._one("phone", "email"), "value": self._one("+46 1", "a@b.example")}],
                address=[{"line": ["Ringgatan 5"], "city": self._one("Malmö", "Malmo", "Lund"), "country": "SE"}],
                managingOrganization=self._reference("Organization"),
            ),
            **self._one(
                {},
                {"deceasedBoolean": False},
                {"deceasedBoolean": True},
                {"deceasedDateTime": "2024-03-01T00:30:00+01:00"},
            ),
        }

    def _observation(self, own_id: str) -> Resource:
        value = self._one(
            {"valueQuantity": self._quantity()},
            {"valueQuantity": self._quantity()},
            {"valueCodeableConcept": self._code()},
            {"valueString": self._one(*TEXTS)},
            {"valueDateTime": self._one(*DATES)},
            {"valuePeriod": self._period()},
            {"component": [{"code": self._code(), "valueQuantity": self._quantity()} for _ in range(2)]},
            {"component": [{"code": self._code(), "valueCodeableConcept": self._code()}]},
        )
        return {
            **self._base("Observation", own_id),
            "status": self._one("final", "preliminary"),
            "code": self._code(),
            **self._maybe(
                subject=self._reference(self._one("Patient", "Group")),
                category=[self._concept(("urn:cat", "lab"), ("urn:cat", "vital"))],
                performer=[self._reference("Organization"), self._reference("Practitioner")],
                identifier=[self._identifier()],
            ),
            **self._one({}, {"effectiveDateTime": self._one(*DATES)}, {"effectivePeriod": self._period()}),
            **value,
        }

    def _condition(self, own_id: str) -> Resource:
        years = {"value": self._one(40, 41, Decimal("40.4")), "unit": "a", "system": UCUM, "code": "a"}
        onset = self._one(
            {"onsetDateTime": self._one(*DATES)},
            {"onsetAge": years},
            {"onsetRange": {"low": years, "high": {**years, "value": 45}}},
            {"onsetString": self._one(*TEXTS)},
            {"onsetPeriod": self._period()},
        )
        found = self._maybe(code=self._code(), encounter=self._reference("Encounter"), recordedDate=self._one(*DATES))
        return {**self._base("Condition", own_id), "subject": self._reference("Patient"), **onset, **found}

    def _report(self, own_id: str) -> Resource:
        return {
            **self._base("DiagnosticReport", own_id),
            "status": self._one("final", "preliminary", "amended"),
            "code": self._code(),
            **self._maybe(
                subject=self._reference("Patient"),
                issued=self._one("2024-02-29T23:30:00.000-01:00", "2026-01-01T10:20:00Z"),
                result=[self._reference("Observation"), self._reference("Observation")],
                imagingStudy=[self._reference("ImagingStudy")],
            ),
        }

    def _organization(self, own_id: str) -> Resource:
        name = self._one("North Clinic", "NORTH  clinic II", "Régional Hospital", "100% Care_Home")
        return {
            **self._base("Organization", own_id),
            "name": name,
            **self._maybe(alias=["The Clinic"], active=True, partOf=self._reference("Organization")),
        }

    def _encounter(self, own_id: str) -> Resource:
        return {
            **self._base("Encounter", own_id),
            "status": self._one("finished", "planned"),
            "class": {"system": "urn:act", "code": self._one("AMB", "IMP")},
            **self._maybe(
                period=self._period(),
                length={"value": self._one(60, 1, 90), "system": UCUM, "code": self._one("min", "h")},
                subject=self._reference("Patient"),
            ),
        }

    def _questionnaire(self, own_id: str) -> Resource:
        context = {
            "code": {"system": "urn:ctx", "code": self._one("age", "focus")},
            **self._one({"valueQuantity": self._quantity()}, {"valueCodeableConcept": self._code()}),
        }
        return {
            **self._base("Questionnaire", own_id),
            "status": "active",
            **self._maybe(
                url=self._one("http://a.example/q/1", "http://a.example/q/1/2", "http://a.example/q", "urn:q:1"),
                title=self._one(*TEXTS),
                useContext=[context],
                date=self._one(*DATES),
            ),
        }

    def _sequence(self, own_id: str) -> Resource:
        start = self._one(100, 200, 300)
        return {
            **self._base("MolecularSequence", own_id),
            "coordinateSystem": 0,
            "referenceSeq": {
                "chromosome": self._concept(("urn:chr", "1"), ("urn:chr", "X")),
                "windowStart": start,
                "windowEnd": start + self._one(50, 100),
            },
            "variant": [{"start": start + 1, "end": start + 2}, {"start": start + 10, "end": start + 20}],
        }

    def _risk(self, own_id: str) -> Resource:
        chance = self._one(Decimal("0.5"), Decimal("0.50"), Decimal("0.05"), Decimal("0.549"), Decimal("0.1"))
        return {
            **self._base("RiskAssessment", own_id),
            "status": "final",
            "subject": self._reference("Patient"),
            "prediction": [{"probabilityDecimal": chance, "qualitativeRisk": self._concept(("urn:risk", "low"))}],
        }

    def _document(self, own_id: str) -> Resource:
        return {
            **self._base("DocumentReference", own_id),
            "status": "current",
            "content": [{"attachment": {"url": "http://a.example/doc/1"}}],
            "relatesTo": [
                {
                    "code": self._one("replaces", "signs"),
                    "target": {"reference": f"DocumentReference/r{self._random.randrange(3)}"},
                }
            ],
        }

    def _appointment(self, own_id: str) -> Resource:
        start = self._one("2024-02-29T23:30:00-01:00", "2024-03-01T00:30:00.250+01:00", "2026-01-01T10:20:00Z")
        return {
            **self._base("Appointment", own_id),
            "status": self._one("booked", "cancelled"),
            "start": start,
            "end": "2026-01-01T11:00:00Z",
            "participant": [
                {"actor": self._reference("Patient"), "status": self._one("accepted", "tentative")},
                {"actor": self._reference("Practitioner"), "status": "accepted"},
            ],
            **self._maybe(
                identifier=[self._identifier()],
                serviceType=[self._code()],
                slot=[self._reference("Slot")],
                basedOn=[self._reference("ServiceRequest")],
            ),
        }

    def _slot(self, own_id: str) -> Resource:
        start = self._one("2024-02-29T23:30:00-01:00", "2024-03-01T00:30:00.250+01:00", "2026-01-01T10:20:00Z")
        return {
            **self._base("Slot", own_id),
            "schedule": self._reference("Schedule"),
            "status": self._one("free", "busy"),
            "start": start,
            "end": "2026-01-01T11:00:00Z",
            **self._maybe(specialty=[self._code()], appointmentType=self._code()),
        }

    def _charge(self, own_id: str) -> Resource:
        price = {"value": self._one(5, Decimal("72.50"), 120), "currency": self._one("SEK", "EUR")}
        return {
            **self._base("ChargeItem", own_id),
            "status": "billable",
            "code": self._code(),
            "subject": self._reference("Patient"),
            "priceOverride": price,
            **self._one({}, {"occurrenceDateTime": self._one(*DATES)}, {"occurrencePeriod": self._period()}),
            **self._maybe(
                account=[self._reference("Account")],
                factorOverride=self._one(Decimal("0.5"), Decimal("1.5")),
                quantity=self._quantity(),
                enteredDate=self._one(*DATES),
                definitionCanonical=["http://a.example/q/1"],
            ),
        }
