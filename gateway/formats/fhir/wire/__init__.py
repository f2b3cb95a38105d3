"""Everything between FHIR R4 bytes and plain dicts: JSON, XML, validation, patch.

One resource is a plain dict in the shape of FHIR JSON (R4 2.6.2), whatever the bytes were. Pure functions; modules:

- `supported`: the resource types the gateway speaks
- `issue`: one finding, and the error that carries findings
- `json_form`: `parse_json`, `encode_json`
- `xml_form`: `parse_xml`, `encode_xml`
- `check`: `check(resource, kind=None)`, findings against schema and rules
- `narrative`: `narrative_fault(xhtml)`
- `json_patch`: `json_patch(resource, operations)`
- `fhirpath_patch`: `fhirpath_patch(resource, parameters)`
- `definitions`: the table of elements, types, targets, codes and the Patient compartment behind all of these
"""
