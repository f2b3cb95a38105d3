"""FHIR R4 resources without identity, by an allow-list of elements."""
