"""Milliseconds of CPU to parse, check and write a transaction of 100 Observations; rows for BENCHMARKS.md.

The bundle is made here: 100 Observations of about 2.1 KB each, every one with narrative, codings, a quantity, a
reference range, components, decimals and an extension. Use: python deploy/bench/bench_fhir_wire.py [ROUNDS]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from gateway.formats.fhir.wire.check import check
from gateway.formats.fhir.wire.json_form import encode_json, parse_json
from gateway.formats.fhir.wire.xml_form import encode_xml, parse_xml

ENTRIES = 100
OBSERVATION = """{"resourceType":"Observation","id":"o%(n)d","meta":{"versionId":"1","lastUpdated":
"2024-02-29T08:15:30.000Z","source":"https://ehr.example/fhir","security":[{"system":
"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]},"text":{"status":"generated","div":
"<div xmlns=\\"http://www.w3.org/1999/xhtml\\"><p><b>Tumour size</b> 72.50 mm</p><p>final</p></div>"},"extension":[
{"url":"http://example.org/fhir/StructureDefinition/confidence","valueDecimal":0.9310}],"identifier":[{"system":
"urn:ietf:rfc:3986","value":"urn:oid:1.2.3.4.5.%(n)d"}],"basedOn":[{"reference":"ServiceRequest/s1"}],"status":"final",
"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"imaging",
"display":"Imaging"}]}],"code":{"coding":[{"system":"http://loinc.org","code":"21889-1","display":"Size Tumor"},
{"system":"http://snomed.info/sct","code":"263605001"}],"text":"Tumour size"},"subject":{"reference":"Patient/p1",
"display":"Patient"},"effectiveDateTime":"2024-02-29T08:15:30+01:00","issued":"2024-02-29T08:20:00.000+01:00",
"performer":[{"reference":"Organization/1"},{"reference":"Practitioner/1"}],"valueQuantity":{"value":72.50,"unit":"mm",
"system":"http://unitsofmeasure.org","code":"mm"},"interpretation":[{"coding":[{"system":
"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"H"}]}],"bodySite":{"coding":[{"system":
"http://snomed.info/sct","code":"80248007"}]},"device":{"reference":"Device/d1"},"referenceRange":[{"low":{"value":0.0,
"unit":"mm"},"high":{"value":20.0,"unit":"mm"}}],"component":[{"code":{"coding":[{"system":"http://loinc.org","code":
"33728-7"}]},"valueQuantity":{"value":12.10,"unit":"mm","system":"http://unitsofmeasure.org","code":"mm"}},{"code":
{"coding":[{"system":"http://loinc.org","code":"33729-5"}]},"valueQuantity":{"value":9.80,"unit":"mm","system":
"http://unitsofmeasure.org","code":"mm"}}]}"""
ENTRY = (
    '{"fullUrl":"urn:uuid:00000000-0000-4000-8000-%(n)012d","resource":%(resource)s,'
    '"request":{"method":"POST","url":"Observation","ifNoneExist":"identifier=%(n)d"}}'
)


def transaction() -> bytes:
    rows = (ENTRY % {"n": n, "resource": (OBSERVATION % {"n": n}).replace("\n", "")} for n in range(ENTRIES))
    return b'{"resourceType":"Bundle","type":"transaction","entry":[%s]}' % ",".join(rows).encode()


def best(act: Callable[[], object], rounds: int) -> float:
    """The least CPU time of one call in milliseconds: what the machine does beside it only adds."""
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        act()
        spent.append(time.process_time() - start)
    return min(spent) * 1000


def main(rounds: int) -> None:
    body = transaction()
    bundle = parse_json(body)
    if check(bundle) or encode_json(bundle) != body:
        raise SystemExit("the bundle is not good, so nothing is measured")
    xml = encode_xml(bundle)
    print(f"{ENTRIES} entries, {len(body)} bytes of JSON, {len(xml)} bytes of XML; ms of CPU, least of {rounds}")
    for name, act in {
        "parse_json": lambda: parse_json(body),
        "check": lambda: check(bundle, bounded=True),
        "parse_json and check": lambda: check(parse_json(body), bounded=True),
        "encode_json": lambda: encode_json(bundle),
        "parse_xml": lambda: parse_xml(xml),
        "encode_xml": lambda: encode_xml(bundle),
    }.items():
        print(f"| {name} | {best(act, rounds):.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
