"""Public fakes, imported by tests only: a network in memory with real TLS, entropy from a seed."""
