"""The profiles and codes of HL7 Genomics Reporting that our results name, and the genes, drugs and phenotypes in them.

Guide: hl7.fhir.uv.genomics-reporting 3.0.0 (STU3, FHIR R4). A gene, drug or phenotype that stands in no table here is
told in words alone. Sources: genes of HGNC (genenames.org); drugs of CPIC's table of drugs (cpicpgx/cpic-data 1.56.0,
CC0), which gives RxNorm ingredients; phenotypes of the guide's value set genetic-therapeutic-implications-vs (LOINC).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.formats.fhir import coding as codes
from gateway.formats.fhir.element import Resource, element
from gateway.formats.fhir.text import line

GUIDE: Final = "http://hl7.org/fhir/uv/genomics-reporting"
GUIDE_VERSION: Final = "3.0.0"
REPORT: Final = f"{GUIDE}/StructureDefinition/genomic-report"
GENOTYPE: Final = f"{GUIDE}/StructureDefinition/genotype"
THERAPEUTIC_IMPLICATION: Final = f"{GUIDE}/StructureDefinition/therapeutic-implication"
OWN_CODES: Final = f"{GUIDE}/CodeSystem/tbd-codes-cs"
HGNC: Final = "http://www.genenames.org"
RXNORM: Final = "http://www.nlm.nih.gov/research/umls/rxnorm"

GENETICS: Final = codes.concept(f"{codes.THO}/v2-0074", "GE", "Genetics")
CATEGORIES: Final = [codes.concept(f"{codes.THO}/observation-category", "laboratory", "Laboratory"), GENETICS]
GENE_STUDIED: Final = codes.concept(codes.LOINC, "48018-6", "Gene studied [ID]")

_GENES: Final[Mapping[str, str]] = {
    "ABCG2": "74", "CACNA1S": "1397", "CFTR": "1884", "CYP2B6": "2615", "CYP2C19": "2621", "CYP2C9": "2623",
    "CYP2D6": "2625", "CYP3A5": "2638", "DPYD": "3012", "F5": "3542", "G6PD": "4057", "IFNL3": "18365",
    "MT-RNR1": "7470", "NUDT15": "23063", "RYR1": "10483", "SLCO1B1": "10959", "TPMT": "12014", "UGT1A1": "12530",
}  # fmt: skip
_PHENOTYPES: Final[Mapping[str, tuple[str, str]]] = {
    "Ultrarapid Metabolizer": ("LA10315-2", "Ultrarapid metabolizer"),
    "Rapid Metabolizer": ("LA25390-8", "Rapid metabolizer"),
    "Normal Metabolizer": ("LA25391-6", "Normal metabolizer"),
    "Intermediate Metabolizer": ("LA10317-8", "Intermediate metabolizer"),
    "Poor Metabolizer": ("LA9657-3", "Poor metabolizer"),
    "Increased Function": ("LA25392-4", "Increased function"),
    "Normal Function": ("LA25393-2", "Normal function"),
    "Decreased Function": ("LA25395-7", "Decreased function"),
    "Poor Function": ("LA25394-0", "Poor function"),
}
_DRUGS: Final[Mapping[str, str]] = {
    "amitriptyline": "704", "atazanavir": "343047", "atomoxetine": "38400", "atorvastatin": "83367",
    "azathioprine": "1256", "capecitabine": "194000", "celecoxib": "140587", "citalopram": "2556",
    "clomipramine": "2597", "clopidogrel": "32968", "codeine": "2670", "desflurane": "27340", "desipramine": "3247",
    "dexlansoprazole": "816346", "doxepin": "3638", "efavirenz": "195085", "enflurane": "3920",
    "escitalopram": "321988", "fluorouracil": "4492", "flurbiprofen": "4502", "fluvoxamine": "42355",
    "halothane": "5095", "ibuprofen": "5640", "imipramine": "5691", "isoflurane": "6026", "ivacaftor": "1243041",
    "lansoprazole": "17128", "lornoxicam": "20890", "meloxicam": "41493", "mercaptopurine": "103",
    "methoxyflurane": "6857", "nortriptyline": "7531", "omeprazole": "7646", "ondansetron": "26225",
    "pantoprazole": "40790", "paroxetine": "32937", "peginterferon alfa-2a": "120608",
    "peginterferon alfa-2b": "253453", "piroxicam": "8356", "pravastatin": "42463", "ribavirin": "9344",
    "rosuvastatin": "301542", "sertraline": "36437", "sevoflurane": "36453", "simvastatin": "36567",
    "succinylcholine": "10154", "tacrolimus": "42316", "tamoxifen": "10324", "tenoxicam": "37790",
    "thioguanine": "10485", "tramadol": "10689", "trimipramine": "10834", "tropisetron": "27392",
    "voriconazole": "121243",
}  # fmt: skip


def gene_concept(gene: str) -> Resource:
    """A gene by its HGNC ID, its symbol as display (the guide's Appendix E)."""
    number = _GENES.get(gene)
    return _known(HGNC, f"HGNC:{number}" if number else None, gene, gene)


def drug_concept(drug: str) -> Resource:
    return _known(RXNORM, _DRUGS.get(drug), drug, drug)


def phenotype_concept(phenotype: str, text: str = "") -> Resource:
    """A phenotype of the tables; one that is only likely or possible has no code in LOINC, and gets none."""
    code, display = _PHENOTYPES.get(phenotype, (None, ""))
    return _known(codes.LOINC, code, display, text or phenotype)


def gene_component(gene: str) -> Resource:
    return {"code": GENE_STUDIED, "valueCodeableConcept": gene_concept(gene)}


def _known(system: str, code: str | None, display: str, text: str) -> Resource:
    """`text` is in every case what the tables say."""
    return element(coding=[codes.coding(system, code, display)] if code else None, text=line(text))
