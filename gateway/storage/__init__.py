"""Where things are kept: tables, units of work, the audit trail and the blob stores, each behind a port."""
