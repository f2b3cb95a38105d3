"""Report versions as FHIR R4 (4.0.1) resources and bundles; pure functions, no clock, no network, no database."""
