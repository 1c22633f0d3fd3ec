"""The directory of a profile: its key, its lock, its passphrase, and who can read it."""
