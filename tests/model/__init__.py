"""People and a server in memory, in whatever order things may happen; in the end all must agree."""
