"""Real processes, real sockets, the real command line: what only the whole can show."""
