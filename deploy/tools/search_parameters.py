"""Writes parameters.json and summary.json of gateway/formats/fhir/search: how R4 searches the types of the store.

The official SearchParameter resources (npm hl7.fhir.r4.examples 4.0.1, CC0) name what they search by FHIRPath. Here
each expression is compiled once, by the official StructureDefinitions, into JSON paths with their data types, so that
the gateway walks dicts and needs no FHIRPath at run time.
Use: `npm pack hl7.fhir.r4.examples@4.0.1`, then `python deploy/tools/search_parameters.py <the .tgz>`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "gateway" / "formats" / "fhir" / "search"
TYPES = (
    "Account", "AllergyIntolerance", "Appointment", "AppointmentResponse", "AuditEvent", "Basic", "Binary",
    "BodyStructure", "Bundle", "CarePlan", "CareTeam", "ChargeItem", "Claim", "ClaimResponse", "Communication",
    "Composition", "Condition", "Consent", "Coverage", "DetectedIssue", "Device", "DiagnosticReport",
    "DocumentReference", "Encounter", "Endpoint", "FamilyMemberHistory", "Flag", "Goal", "Group",
    "HealthcareService", "ImagingStudy", "Immunization", "List", "Location", "Media", "Medication",
    "MedicationAdministration", "MedicationDispense", "MedicationRequest", "MedicationStatement",
    "MolecularSequence", "Observation", "Organization", "Patient", "Practitioner", "PractitionerRole", "Procedure",
    "Provenance", "Questionnaire", "QuestionnaireResponse", "RelatedPerson", "RequestGroup", "RiskAssessment",
    "Schedule", "ServiceRequest", "Slot", "Specimen", "Subscription", "Task",
)  # fmt: skip
FITTING = {  # data types that a kind of parameter can search (R4 3.1.1.4.4 and following)
    "token": "code Coding CodeableConcept Identifier ContactPoint boolean string id uri",
    "date": "date dateTime instant Period Timing",
    "reference": "Reference canonical uri",
    "string": "string markdown HumanName Address",
    "quantity": "Quantity Age Duration Count Distance Money Range SampledData",
    "number": "decimal integer positiveInt unsignedInt",
    "uri": "uri url canonical oid uuid",
}
IMAGING_STUDY = {  # IHE IMR, volume 1: what the report is about
    "code": "imagingStudy",
    "type": "reference",
    "url": "https://profiles.ihe.net/RAD/IMR/SearchParameter/DiagnosticReport-imagingStudy",
    "expression": "DiagnosticReport.imagingStudy",
    "target": ["ImagingStudy"],
    "base": ["DiagnosticReport"],
}
EXCHANGED = {  # in R4 the two expressions stand at the wrong component; R5 has put it right
    ("http://hl7.org/fhir/SearchParameter/DocumentReference-relationship", "code"): "target",
    ("http://hl7.org/fhir/SearchParameter/DocumentReference-relationship", "target"): "code",
}
Path_ = list[Any]


class Definitions:
    """The official definitions of one package, by name."""

    def __init__(self, archive: Path) -> None:
        self.files: dict[str, dict[str, Any]] = {}
        with tarfile.open(archive) as package:
            for member in package:
                name = Path(member.name).name
                if name.startswith(("StructureDefinition-", "ValueSet-", "CodeSystem-", "Bundle-searchParams")):
                    self.files[name.removesuffix(".json")] = json.load(package.extractfile(member) or io.BytesIO())

    def element(self, kind: str, path: str) -> dict[str, Any] | None:
        """The element `path` (without its type), also as a choice."""
        definition = self.files.get(f"StructureDefinition-{kind}")
        for each in definition["snapshot"]["element"] if definition else ():
            if each["path"] in (f"{kind}.{path}", f"{kind}.{path}[x]"):
                return each
        return None

    def system(self, element: dict[str, Any]) -> str | None:
        """The code system that a `code` element implies by its required binding, where it is one."""
        binding = element.get("binding", {})
        named = binding.get("valueSet", "").partition("|")[0].rpartition("/")[2]
        found = self.files.get(f"ValueSet-{named}", {}).get("compose", {}).get("include", [])
        systems = {each.get("system") for each in found}
        return systems.pop() if binding.get("strength") == "required" and len(systems) == 1 else None


def compiled(definitions: Definitions, kind: str, expression: str, search: str) -> list[Path_]:
    """`expression` as [JSON path, data type, filter] for each place."""
    if expression == "Patient.deceased.exists() and Patient.deceased != false":
        return [["", "deceased", None]]
    found: list[Path_] = []
    for branch in expression.split(" | "):
        text = branch.strip().removeprefix("(").replace(" as ", ".as(") if " as " in branch else branch.strip()
        steps = re.findall(r"[^.()]+(?:\([^()]*(?:\(\)[^()]*)?\))?", text.replace("))", ")"))
        if steps[0] in (kind, "Resource", "DomainResource"):
            found += _paths(definitions, kind, steps[1:], search)
    return found


def _paths(definitions: Definitions, kind: str, steps: list[str], search: str) -> list[Path_]:
    places: list[tuple[str, str, str, str | None]] = [("", kind, "", None)]  # JSON path, type, path within it, system
    condition: str | None = None
    for step in steps:
        if step.startswith("as("):
            wanted = step[3:-1].strip().lower()
            places = [place for place in places if place[1].lower() == wanted]
        elif step.startswith("where("):
            condition = step.removeprefix("where(").rstrip(")").replace("resolve() is ", "is ").replace("'", "").strip()
        else:
            places = [after for place in places for after in _step(definitions, place, step)]
    fitting = FITTING[search].split()
    return [
        [path, kind, condition or (system if kind == "code" else None)]
        for path, kind, inner, system in places
        if kind in fitting
    ]


def _step(
    definitions: Definitions, place: tuple[str, str, str, str | None], step: str
) -> Iterator[tuple[str, str, str, str | None]]:
    path, kind, inner, _ = place
    within = f"{inner}.{step}" if inner else step
    element = definitions.element(kind, within)
    if element is None:
        return
    is_choice = element["path"].endswith("[x]")
    for each in element["type"]:
        code = each["code"] if "/" not in each["code"] else "id"  # System.String of ids
        name = step + code[:1].upper() + code[1:] if is_choice else step
        where = f"{path}.{name}" if path else name
        if code in ("BackboneElement", "Element"):
            yield where, kind, within, None
        else:
            yield where, code, "", definitions.system(element)


def rows(definitions: Definitions) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each parameter of each type, in the order of the type and the name."""
    official = [entry["resource"] for entry in definitions.files["Bundle-searchParams"]["entry"]]
    by_url = {each["url"]: each for each in official}
    for kind in TYPES:
        for each in sorted([*official, IMAGING_STUDY], key=lambda one: str(one["code"])):
            if (
                not {kind, "Resource"} & set(each["base"])
                or each["type"] == "special"
                or "[0]" in each.get("expression", "[0]")
            ):
                continue
            row: dict[str, Any] = {"type": each["type"], "url": each["url"], "expression": _of_type(each, kind)}
            if each["type"] == "composite":
                row["of"] = each["expression"].replace(kind, "").replace(" | ", "|").replace(".", "")
                row["parts"] = [_part(definitions, kind, each, part, by_url) for part in each["component"]]
            else:
                row["paths"] = compiled(definitions, kind, each["expression"], each["type"])
                if each["type"] == "reference":
                    row["targets"] = sorted(set(each.get("target", ())) & set(TYPES))
                if not row["paths"]:
                    sys.exit(f"the expression of {kind}.{each['code']} means nothing")
            yield kind, {"code": each["code"], **row}


def _of_type(parameter: dict[str, Any], kind: str) -> str:
    """The branches of the official expression that begin at this type."""
    branches = [each.strip() for each in parameter["expression"].split(" | ")]
    starts = (f"{kind}.", f"({kind}.", "Resource.")
    return " | ".join(each for each in branches if each.startswith(starts) or each == kind)


def _part(
    definitions: Definitions, kind: str, composite: dict[str, Any], part: dict[str, Any], by_url: dict[str, Any]
) -> list[Any]:
    """Kind of search, paths below the element that the parts share; `%resource` paths begin at the resource."""
    searched = by_url[part["definition"]]["type"]
    found: list[Path_] = []
    expression = EXCHANGED.get((composite["url"], part["expression"]), part["expression"])
    for branch in expression.split(" | "):
        if branch.startswith("%resource."):
            for path, data, condition in compiled(definitions, kind, f"{kind}.{branch[10:]}", searched):
                found.append([f"%{path}", data, condition])
            continue
        for start in composite["expression"].split(" | "):
            prefix = start.removeprefix(kind).removeprefix(".")
            for path, data, condition in compiled(definitions, kind, f"{start}.{branch}", searched):
                short = [path.removeprefix(f"{prefix}.") if prefix else path, data, condition]
                if short not in found:
                    found.append(short)
    if not found:
        sys.exit(f"a component of {kind}.{composite['code']} means nothing")
    return [searched, found]


def text(definitions: Definitions) -> str:
    """The file: one line for each parameter."""
    lines: dict[str, list[str]] = {}
    for kind, row in rows(definitions):
        code = row.pop("code")
        lines.setdefault(kind, []).append(f"  {json.dumps(code)}: {json.dumps(row, separators=(',', ':'))}")
    blocks = [f"{json.dumps(kind)}: {{\n" + ",\n".join(found) + "\n}" for kind, found in lines.items()]
    return "{\n" + ",\n".join(blocks) + "\n}\n"


def summaries(definitions: Definitions) -> str:
    """One line for each type: names of the elements of a summary, of the mandatory ones, and of the choices."""
    lines = []
    for kind in TYPES:
        found: dict[str, list[str]] = {"summary": [], "mandatory": [], "choices": []}
        for element in definitions.files[f"StructureDefinition-{kind}"]["snapshot"]["element"]:
            _, dot, name = element["path"].partition(".")
            if dot and "." not in name:
                plain = name.removesuffix("[x]")
                types = [each["code"] for each in element.get("type", ())]  # none: as another element
                names = [plain + each[:1].upper() + each[1:] for each in types] if plain != name else [name]
                found["summary"] += names if element.get("isSummary") else []
                found["mandatory"] += names if element["min"] > 0 else []
                found["choices"] += [plain] if plain != name else []
        lines.append(f"{json.dumps(kind)}: {json.dumps(found, separators=(',', ':'))}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


SOURCE = """parameters.json, summary.json: search parameters and summaries of FHIR R4 4.0.1
==============================================================================

Reduced by `deploy/tools/search_parameters.py` from the SearchParameter, StructureDefinition and ValueSet resources of
the npm package `hl7.fhir.r4.examples` 4.0.1 (HL7, licence CC0-1.0), and one parameter of IHE Radiology IMR.

sha256 of hl7.fhir.r4.examples-4.0.1.tgz: {package}
sha256 of parameters.json: {table}
sha256 of summary.json: {summary}

Each line is one parameter of one type: kind of search, canonical URL, the official FHIRPath `expression` as far as it
begins at this type, and `paths`: the JSON path that it means, the data type found there, and a condition
(`is Patient`: where the reference names a Patient; `system=phone`; for a `code` the code system that its binding
implies). A composite has `of`, the element that its parts share, and `parts`. Left out are `Location.near` (special),
the parameters without an expression (`_text`, `_content`, `_query`) and the two that search inside a Bundle
(`composition`, `message`). summary.json names, for each type, the elements that are marked `isSummary`, the mandatory
ones and the choices.
"""

if __name__ == "__main__":
    given = Path(sys.argv[1])
    definitions = Definitions(given)
    table, summary = text(definitions), summaries(definitions)
    (FOLDER / "parameters.json").write_text(table, "utf-8")
    (FOLDER / "summary.json").write_text(summary, "utf-8")
    digests = {
        "package": hashlib.sha256(given.read_bytes()).hexdigest(),
        "table": hashlib.sha256(table.encode()).hexdigest(),
        "summary": hashlib.sha256(summary.encode()).hexdigest(),
    }
    (FOLDER / "parameters_SOURCE.md").write_text(SOURCE.format(**digests), "utf-8")
