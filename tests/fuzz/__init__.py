"""Decoders of what strangers send, fuzzed: `make test` replays the corpus, `make fuzz` adds to it."""
