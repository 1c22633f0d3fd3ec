"""What a connection finds in bytes, for tests that take all of it."""

from __future__ import annotations

from collections.abc import Iterator

from e2ee.wire.connection import Connection
from e2ee.wire.messages import Message


def received(connection: Connection, data: bytes) -> Iterator[Message]:
    """Feed these bytes; the messages that are complete then, each judged when it is asked for."""
    connection.feed(data)
    return iter(connection.next_message, None)
