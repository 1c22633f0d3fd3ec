"""The address book: names, blocking, tokens, and files of contacts."""
