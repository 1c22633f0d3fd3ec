"""Databases behind one writer thread. Knows rows and raw keys, no protocol and no cryptography."""
