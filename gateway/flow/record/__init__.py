"""Steps over the store of FHIR resources (decision 9): whose record, planned, written, opened, and our own reports.

And from a record to the inputs of models (decision 10): watch, gather, settle.
"""
