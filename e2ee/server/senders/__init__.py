"""How a one-time passcode leaves the server."""
