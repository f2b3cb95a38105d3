"""Has three foreign validators judge the FHIR resources that we emit: google-fhir-r4, fhirkit-rs, fhircraft.

Together they see codes, reference targets, invariants and shape (`make judge-fhir`); our own check must not be its own
judge. They live in an environment of their own, for google-fhir-r4 needs an old protobuf; so nothing of the gateway
is imported here. Use: python deploy/tools/judge_fhir.py FOLDER_OR_FILE...; exit status 1 when anything is refused.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Judge = Callable[[bytes], str | None]  # what it says against the resource
MOST_SAID = 300
NOT_VALID = b'{"resourceType":"Observation","id":"x","status":"bogus","subject":{"reference":7}}'


def google(body: bytes) -> str | None:
    """Protocol buffers generated from R4: codes, reference targets, ids, dates, cardinality."""
    from google.fhir.r4 import json_format

    name = json.loads(body)["resourceType"]
    module = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() if name != "Bundle" else "bundle_and_contained_resource"
    found = importlib.import_module(f"google.fhir.r4.proto.core.resources.{module}_pb2")
    try:
        json_format.json_fhir_string_to_proto(body.decode(), getattr(found, name), validate=True, default_timezone="Z")
    except Exception as cause:
        return str(cause)
    return None


def fhirkit(body: bytes) -> str | None:
    """Rust types generated from R4, with the invariants of FHIRPath that it knows."""
    judge = importlib.import_module("fhirkit")
    try:
        found = judge.validate(body)
    except ValueError as cause:
        return str(cause)
    return "; ".join(map(str, found)) or None


def fhircraft(body: bytes) -> str | None:
    """Pydantic models made from the StructureDefinitions of R4, invariants run as FHIRPath."""
    registry = importlib.import_module("fhircraft.fhir.resources.datatypes.registry")
    resource = json.loads(body)
    try:
        registry.get_fhir_type(resource["resourceType"], release="R4").model_validate(resource)
    except ValueError as cause:
        return str(cause)
    return None


JUDGES: dict[str, Judge] = {"google-fhir-r4": google, "fhirkit-rs": fhirkit, "fhircraft": fhircraft}


def resources(arguments: list[str]) -> Iterator[tuple[str, bytes]]:
    """Every JSON file under the arguments that holds a resource."""
    for argument in map(Path, arguments):
        for path in sorted(argument.rglob("*.json")) if argument.is_dir() else [argument]:
            body = path.read_bytes()
            read: Any = json.loads(body)
            if isinstance(read, dict) and "resourceType" in read:
                yield str(path), body


def main(arguments: list[str]) -> int:
    warnings.simplefilter("ignore")
    asleep = [name for name, judge in JUDGES.items() if judge(NOT_VALID) is None]
    if asleep:
        print("these judges accept what is not valid:", *asleep)
        return 2
    judged = refused = 0
    for path, body in resources(arguments):
        judged += 1
        against = {name: said for name, judge in JUDGES.items() if (said := judge(body)) is not None}
        refused += bool(against)
        for name, said in against.items():
            print(f"{path}: {name}: {' '.join(said.split())[:MOST_SAID]}")
    print(f"{judged} resources, {refused} refused by one of {', '.join(JUDGES)}")
    return 1 if refused or not judged else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
