"""Which server is believed: the rules, and a sentence for each way to fail them.

A pin is SHA-256 of a certificate's SubjectPublicKeyInfo (as in RFC 7469, section 2.4). Knows links,
pins and plain facts; `tls` takes them out of a handshake.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from e2ee.errors import Code, Failure
from e2ee.net.connect_link import ConnectLink, format_pin


def pin_matches(pins: Sequence[bytes], seen: bytes) -> bool:
    """Whether `seen` is one of the pins, compared in constant time."""
    return any(hmac.compare_digest(pin, seen) for pin in pins)


class Trust:
    """What the server of one link must show, and what is said if it does not.

    The methods give a Failure to raise. Those about trust name the check, the pins that were
    expected and, where a certificate came, its own.
    """

    def __init__(self, link: ConnectLink) -> None:
        self._link = link

    def check_pin(self, seen: bytes) -> None:
        """Raise Failure (pin_mismatch) unless `seen` is one of the link's pins."""
        if not pin_matches(self._link.pins, seen):
            raise self._refused(Code.PIN_MISMATCH, "shows another key than its connect link names", seen)

    def wrong_certificate(self, reason: str, seen: bytes | None) -> Failure:
        """Out of its validity, not vouched for by the CA that was given, or none at all."""
        return self._refused(Code.CERTIFICATE, f"shows a certificate that is refused ({reason})", seen)

    def wrong_name(self, seen: bytes) -> Failure:
        """A certificate for another host."""
        what = f"shows a certificate that does not name {self._link.host}"
        return self._refused(Code.NAME_MISMATCH, what, seen)

    def wrong_protocol(self, lacking: str, seen: bytes | None) -> Failure:
        """No TLS 1.3, or not this protocol above it."""
        return self._refused(Code.CERTIFICATE, f"does not speak {lacking}", seen)

    def unreachable(self, reason: str) -> Failure:
        """No answer, or an end before the handshake's."""
        return Failure(Code.UNREACHABLE, f"{self._server} could not be reached: {reason}")

    def lost(self) -> Failure:
        """An end after the handshake."""
        return Failure(Code.UNREACHABLE, f"the connection to {self._server} has ended")

    @property
    def _server(self) -> str:
        host = f"[{self._link.host}]" if ":" in self._link.host else self._link.host
        return f"the server {host}:{self._link.port}"

    def _refused(self, code: Code, what: str, seen: bytes | None) -> Failure:
        expected = " or ".join(format_pin(pin) for pin in self._link.pins)
        shown = "no certificate came" if seen is None else f"seen {format_pin(seen)}"
        return Failure(code, f"{self._server} {what}; expected {expected}, {shown}; nothing was sent to it")
