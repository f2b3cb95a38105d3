"""Search over FHIR resources: which parameters there are, what a resource says of each, and what a search asks."""
