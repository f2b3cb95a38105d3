"""The room that an auditor reads whole: what is removed from a header, how it is sealed, and every use of a key."""
