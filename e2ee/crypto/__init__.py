"""Keys, handshake, ratchet, envelopes: pure functions over frozen values. No I/O, no clock."""
