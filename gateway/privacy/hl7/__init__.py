"""HL7 v2 messages without identity, by data type."""
