"""Twins of the server's stores in memory, under the same contract tests: for tests, and for limits
that a restart may forget. One module for each interface; `MemoryStore` in `state` is what they share.
"""
