"""What a finished TLS handshake has established, and who judges it.

Knows OpenSSL's view of a connection; the rules for servers are in `pinning`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from typing import Protocol as Interface

from e2ee.errors import Code, Failure
from e2ee.net.x509 import certificate_pin
from e2ee.wire.limits import ALPN

TLS_VERSION: Final = "TLSv1.3"
EXPECTED_GROUP: Final = "X25519MLKEM768"
"""The hybrid key exchange that two ends of today agree on."""

_EXPORTER_LABEL: Final = b"EXPORTER-Channel-Binding"
_EXPORTER_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """What both ends know of their connection."""

    exporter: bytes = field(repr=False)
    """32 bytes, equal at both ends and nowhere else (RFC 9266)."""
    group: str
    """Of the key exchange, such as X25519MLKEM768."""
    peer_pin: bytes | None
    """Of the certificate that the server showed, on the client; 32 bytes."""
    peer_address: str
    """The other side's IP address."""
    protocol: str
    alpn: str


class Guard(Interface):
    """Who says whether a handshake is good enough, and puts the end of a connection into words."""

    def judge(self, facts: TlsFacts) -> None:
        """Raise Failure if these facts are not those of a connection that may be used."""

    def explain(self, error: BaseException | None, secured: bool) -> Failure:
        """Why a connection ended, before or after it was secured."""


class AnyPeer:
    """A server's view of its clients: who they are is not a matter of TLS."""

    def judge(self, facts: TlsFacts) -> None:
        """TLS 1.3 and this protocol, nothing else."""
        if facts.protocol != TLS_VERSION or facts.alpn != ALPN.decode("ascii"):
            raise Failure(Code.CERTIFICATE, "the client does not speak this protocol over TLS 1.3")

    def explain(self, error: BaseException | None, secured: bool) -> Failure:
        """One sentence for every end: a server has nobody to tell more."""
        return Failure(Code.UNREACHABLE, "the connection has ended")


def read_facts(transport: Any) -> TlsFacts:
    """The facts of a TLS transport whose handshake is done."""
    connection = transport.getHandle()
    certificate = connection.get_peer_certificate(as_cryptography=True)
    return TlsFacts(
        exporter=connection.export_keying_material(_EXPORTER_LABEL, _EXPORTER_BYTES, b""),
        group=connection.get_group_name() or "unknown",
        peer_pin=None if certificate is None else certificate_pin(certificate),
        peer_address=transport.getPeer().host,
        protocol=connection.get_protocol_version_name(),
        alpn=(transport.negotiatedProtocol or b"").decode("ascii", "replace"),
    )
