"""The relay: a Twisted service that carries envelopes it cannot read."""
