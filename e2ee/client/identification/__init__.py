"""X.509 identities: the own one, those of contacts, and the authorities that are trusted."""
