"""A self-hosted, end-to-end encrypted messenger with post-quantum keys, for people and for scripts."""

__version__ = "0.1.0"
