"""Free text without identity: what is known of the patient, what looks like identity, and a last check."""
