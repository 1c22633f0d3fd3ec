"""From a pushed envelope to a text in the vault, at its place among its sender's."""
