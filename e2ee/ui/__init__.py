"""The command line: verbs, the line interface, and the one place that prints."""
