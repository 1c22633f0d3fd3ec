"""Proof by force: real processes, cut wires, kills and power cuts; see docs/testing.md."""
