"""Steps of bulk data: what is asked for, carried out by the sweeper, files sealed (FHIR Bulk Data Access 2.0)."""
