"""Steps over the store of FHIR resources (decision 9): whose record, planned, written, opened, and our own reports."""
