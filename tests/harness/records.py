"""Patients' records as an EHR posts them: one transaction per patient, with what the built-in packs ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from harness.built_in import built_in
from harness.clinic import LOINC, observation, quantity, worded

from models.registry import BUILT_IN

Resource = dict[str, Any]
OWN: Final = "urn:dxgate:input"
MRN: Final = "urn:oid:1.2.36.146.595.217.0.1"
PERSON: Final = "urn:uuid:7f3c9b1e-6f0e-4a52-9f2a-000000000001"


@dataclass(frozen=True)
class Person:
    """Words unlikely enough to be searched for in whole files."""

    family: str
    given: str
    number: str
    gender: str
    born: str

    @property
    def words(self) -> tuple[str, ...]:
        return (self.family, self.given, self.number, self.born)

    @property
    def resource(self) -> Resource:
        return {
            "resourceType": "Patient",
            "identifier": [{"system": MRN, "value": self.number}],
            "name": [{"family": self.family, "given": [self.given]}],
            "gender": self.gender,
            "birthDate": self.born,
        }


RISKS: Final = Person("Brandywine-Okonkwo", "Thaddeus", "MRN-RISK-5541", "male", "1965-05-02")
STAY: Final = Person("Szczepankiewicz", "Bogumiła", "MRN-STAY-5542", "female", "1958-11-23")
TUMOUR: Final = Person("Abernathy-Lindqvist", "Persephone", "MRN-TUMR-5543", "female", "1961-07-19")
GENOME: Final = Person("Featherstonehaugh-Ng", "Cornelius", "MRN-GENO-5545", "male", "1959-09-14")
LACKING: Final = Person("Vandersteen-Ximenes", "Ottoline", "MRN-LACK-5544", "female", "1970-02-03")


def transaction(person: Person | str, resources: Sequence[Resource]) -> Resource:
    """`person` new, or the reference of one who is known."""
    entries, subject = [], person
    if isinstance(person, Person):
        subject = PERSON
        entries.append({"fullUrl": PERSON, "resource": person.resource, "request": _post("Patient")})
    for number, resource in enumerate(resources, 2):
        whose = "patient" if resource["resourceType"] == "MolecularSequence" else "subject"
        named = {key: value for key, value in resource.items() if key != "id"} | {whose: {"reference": subject}}
        full_url = f"{PERSON[:-4]}{number:04}"
        entries.append({"fullUrl": full_url, "resource": named, "request": _post(resource["resourceType"])})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def _post(kind: str) -> Resource:
    return {"method": "POST", "url": kind}


def own(pack: str, at: datetime, **words: str | float) -> list[Resource]:
    """Values under our own codes, words as concepts and numbers without a unit."""
    made = []
    for name, value in words.items():
        code = f"{pack}.{name}"
        said = {"valueCodeableConcept": {"text": value}} if isinstance(value, str) else _number(value)
        made.append(observation(code, code, at, OWN, **said))
    return made


def _number(value: float, unit: str = "1") -> Resource:
    return {"valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": unit, "unit": unit}}


def risks(at: datetime) -> list[Resource]:
    """For diabetes-risk, chd-risk, incident-diabetes, heart-disease, lung-nodule, pgx-rules and treatment-plan."""
    named = (("30525-0", 61, "a"), ("39156-5", 36.0, "kg/m2"), ("8280-0", 1.12, "m"), ("29463-7", 112, "kg"),
             ("2085-9", 0.9, "mmol/L"), ("2093-3", 6.4, "mmol/L"), ("8867-4", 82, "/min"), ("2345-7", 6.1, "mmol/L"),
             ("64218-1", 20, "/d"), ("33728-7", 1.9, "cm"))  # fmt: skip
    values = [quantity(code, code, value, unit, at) for code, value, unit in named[1:]]
    pressure = [
        {"code": {"coding": [{"system": LOINC, "code": code}]}, **_number(value, "mm[Hg]")}
        for code, value in (("8480-6", 158), ("8462-4", 96))
    ]
    said = [
        *own("diabetes-risk", at, smoked="yes"),
        *own("chd-risk", at, pressure_drugs="no", stroke="no", hypertension="yes", diabetes="no"),
        *own("incident-diabetes", at, smoker="yes", nafld="yes", hypertension="yes", dyslipidemia="yes"),
        *own("heart-disease", at, pain="asymptomatic", exercise_angina="yes", sugar="no", ecg="normal"),
        *own("lung-nodule", at, roundness=0.6, elongation=1.8, grey=120.0, unevenness=30.0, rim=40.0),
        *nodule(at),
        *own("treatment-plan", at, smoker="yes"),
    ]
    drug = {
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": {"text": "Clopidogrel 75 mg oral tablet"},
    }
    condition = {
        "resourceType": "Condition",
        "clinicalStatus": _concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active"),
        "verificationStatus": _concept("http://terminology.hl7.org/CodeSystem/condition-ver-status", "confirmed"),
        "code": _concept("http://snomed.info/sct", "38341003"),
    }
    genes = [genotype("CYP2C19", "*2/*2", at), genotype("CYP2D6", "*1/*1", at)]
    return [*values, observation("bp", "85354-9", at, component=pressure), *said, *genes, drug, condition]


def nodule(at: datetime) -> list[Resource]:
    """Counts of a segmented nodule, which have units of their own."""
    counts = (("area", 220.0, "{pixels}"), ("slices", 9.0, "{slices}"), ("total_area", 1400.0, "{pixels}"))
    return [observation(name, f"lung-nodule.{name}", at, OWN, **_number(value, unit)) for name, value, unit in counts]


def genotype(gene: str, diplotype: str, at: datetime) -> Resource:
    made = observation(f"geno-{gene}", "84413-4", at, valueCodeableConcept={"text": diplotype})
    made["component"] = [{"code": _concept(LOINC, "48018-6"), "valueCodeableConcept": {"text": gene}}]
    return made


def genome() -> list[Resource]:
    """A compressed VCF of two genes, one of them with two sites left out, a drug, and a variant of a third gene."""
    from harness.genome_file import document, of_pair, variant, vcf, zipped

    lines = [*of_pair("CYP2C19", "*2", "*2"), *of_pair("SLCO1B1", "*1", "*1", without=["rs4149056", "rs2306283"])]
    drug = {
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationCodeableConcept": {"text": "Clopidogrel 75 mg oral tablet"},
    }
    told = {"start": 88131171, "end": 88131172, "observedAllele": "T", "referenceAllele": "G"}
    sequence = {
        "resourceType": "MolecularSequence",
        "type": "dna",
        "coordinateSystem": 1,
        "referenceSeq": {"referenceSeqId": _concept("http://www.ncbi.nlm.nih.gov/refseq", "NC_000004.12")}
        | {"windowStart": 88131171, "windowEnd": 88131172, "strand": "watson"},
        "variant": [told | {"variantPointer": {"reference": f"{PERSON[:-4]}0004"}}],
    }
    state = variant("state", {"53034-5": "LA6706-1"})
    return [document(zipped(vcf(lines)), "application/gzip"), drug, state, sequence]


def stay(start: datetime) -> list[Resource]:
    """Forty hours of intensive care, a measurement of each kind every two hours."""
    kinds = (("8867-4", 110, "/min"), ("9269-2", 5, "{score}"), ("8310-5", 101.3, "[degF]"),
             ("2160-0", 2.4, "mg/dL"), ("2524-7", 4.1, "mmol/L"), ("9279-1", 28, "/min"))  # fmt: skip
    series = [
        quantity(f"{code}-{hour}", code, value, unit, start + timedelta(hours=hour))
        for hour in range(0, 40, 2)
        for code, value, unit in kinds
    ]
    return [worded("icu", "icu-deterioration-gru.ICUType", "medical", start, OWN), *series]


def tumour(at: datetime) -> list[Resource]:
    """A radiologist's findings on a mammogram, and the expression of two panels of genes, each one Observation."""
    no = ("shape_round", "shape_oval", "shape_lobulated", "margin_circumscribed", "margin_obscured", "shape_lymph_node")
    words = {"finding": "mass", "breast_density": "b", "birads": "5", "shape_irregular": "yes"}
    words |= {"margin_spiculated": "yes", **dict.fromkeys(no, "no")}
    panels = [*expression("tumour-er-status", at), *expression("tumour-recurrence", at)]
    return [*own("mammography-findings", at, **words), *panels]


def expression(pack: str, at: datetime) -> list[Resource]:
    """The first record of the pack's own proof."""
    from models.manifest import RecordManifest

    manifest = built_in()[pack].manifest
    assert isinstance(manifest, RecordManifest)
    row = np.load(BUILT_IN / pack / "golden.npz")["values"][0]
    parts = [
        {"code": _concept(OWN, f"{pack}.{one.name}"), **_number(round(float(value), 6))}
        for one, value in zip(manifest.input.fields, row, strict=True)
        if not np.isnan(value)
    ]
    return [observation("panel", "panel", at, "urn:example:lab", component=parts)]


def lacking(at: datetime) -> list[Resource]:
    """One value that models ask for, and too little for any of them."""
    return [quantity("hdl", "2085-9", 1.1, "mmol/L", at)]


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}
