"""The server as this profile knows it: where it is, which keys it may have, what it once could.

Knows the rules of pin rotation and of protocol versions (`docs/protocol.md`, sections 1 and 2); not
how a connection is made, nor where the record is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from e2ee.errors import Code, Failure
from e2ee.net.connect_link import ConnectLink
from e2ee.store.client.identity import ServerRecord
from e2ee.wire.limits import PROTOCOL_VERSION
from e2ee.wire.messages import Welcome

VERSIONS = (PROTOCOL_VERSION,)
"""What this client speaks."""


def offered_versions(highest_seen: int) -> tuple[int, ...]:
    """What is offered to a server that once spoke `highest_seen`: nothing below that.

    Raises Failure(CERTIFICATE) if nothing is left.
    """
    offered = tuple(version for version in VERSIONS if version >= highest_seen)
    if not offered:
        raise Failure(
            Code.CERTIFICATE,
            f"this server has spoken version {highest_seen} of the protocol before, and this client"
            f" only has {max(VERSIONS)}; less is not accepted",
        )
    return offered


def after_greeting(record: ServerRecord, peer_pin: bytes | None, welcome: Welcome) -> ServerRecord:
    """What is known after this greeting on a connection served by the key of `peer_pin`.

    Only the backup key may announce another backup: a thief of the active key cannot push the
    operator's own out. Raises Failure(CERTIFICATE) for a version that was not offered.
    """
    if welcome.version not in offered_versions(record.highest_version):
        raise Failure(
            Code.CERTIFICATE,
            f"the server wants version {welcome.version} of the protocol, less than it spoke before"
            " or than this client has offered",
        )
    link = ConnectLink.parse(record.link)
    if link.pins[1:] == (peer_pin,) and welcome.backup_pin != peer_pin:
        link = replace(link, pins=(link.pins[1], welcome.backup_pin))
    return replace(record, link=str(link), highest_version=max(record.highest_version, welcome.version))


class KnownServer:
    """One server and its record; what a greeting changes is kept by `save` before it is believed."""

    def __init__(self, record: ServerRecord, save: Callable[[ServerRecord], Awaitable[None]]) -> None:
        self._record = record
        self._save = save

    @property
    def record(self) -> ServerRecord:
        """What is known now."""
        return self._record

    @property
    def link(self) -> ConnectLink:
        """Where it is, and the pins that hold now."""
        return ConnectLink.parse(self._record.link)

    def offered(self) -> tuple[int, ...]:
        """The protocol versions to offer; raises Failure(CERTIFICATE) if there is none."""
        return offered_versions(self._record.highest_version)

    async def greeted(self, peer_pin: bytes | None, welcome: Welcome) -> None:
        """Take in a greeting; raises Failure(CERTIFICATE) for a version below what was spoken before."""
        record = after_greeting(self._record, peer_pin, welcome)
        if record != self._record:
            await self._save(record)
            self._record = record
