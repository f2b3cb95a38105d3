"""The FHIR R4 REST endpoint (HL7 FHIR R4 3.1), one file for each interaction, named as in the specification."""
