"""A profile's connection, its conversations and its vault, without a user interface."""
