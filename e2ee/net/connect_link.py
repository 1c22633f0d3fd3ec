"""The connect link: everything a client needs to find a server and to know that it is the right one.

``e2ee://HOST:PORT/sha256:PIN,sha256:PIN[/INVITE]`` (`docs/protocol.md`). Knows spelling only: no
network, no certificates.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final, Self

from e2ee.errors import Code, Failure

SCHEME: Final = "e2ee://"
PIN_BYTES: Final = 32
PINS: Final = 2
"""The active pin and the backup pin."""
INVITE_BYTES: Final = 32
LINK_CHARACTERS: Final = 512
"""More than the longest host name, two pins and an invite need."""

_PARTS = re.compile(r"(\[[^\]/]*\]|[^:/\[\]]*):([^:/]*)/([^/]*)(?:/([^/]*))?", re.ASCII)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)", re.ASCII)
_NUMERIC = re.compile(r"[0-9.]+", re.ASCII)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def format_pin(pin: bytes) -> str:
    """A pin as people see it: ``sha256:`` and base64url without padding."""
    return "sha256:" + _encode(pin)


@dataclass(frozen=True, slots=True)
class ConnectLink:
    """A server's name, port and pins: active first, then backup.

    `host` is a name in lower case, or an IP address without brackets. Raises Failure (usage) if
    there is no pin, more than two, the same one twice, or a host or port that cannot be one.
    """

    host: str
    port: int
    pins: tuple[bytes, ...]
    invite: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.port <= 65535:
            raise _wrong("the port is a number from 1 to 65535")
        if not self.pins:
            raise _wrong("it has no pin, so the server behind it could be anyone's")
        if len(self.pins) > PINS or any(len(pin) != PIN_BYTES for pin in self.pins):
            raise _wrong("it has one or two pins, each sha256: and 43 characters")
        if len(set(self.pins)) != len(self.pins):
            raise _wrong("its two pins are the same")
        if len(self.invite) > INVITE_BYTES:
            raise _wrong("its invite is too long")
        if _canonical_host(self.host) != self.host:
            raise _wrong("its host is not in its usual spelling")

    @classmethod
    def parse(cls, text: str) -> Self:
        """From its one spelling; upper-case letters in a host name are allowed. Raises Failure (usage)."""
        if not text.startswith(SCHEME):
            raise _wrong("it begins with e2ee://")
        found = _PARTS.fullmatch(text, len(SCHEME)) if len(text) <= LINK_CHARACTERS else None
        if found is None:
            if re.fullmatch(r"[^/]*", text[len(SCHEME) :].rstrip("/")):
                raise _wrong("it has no pin, so the server behind it could be anyone's")
            raise _wrong("it looks like e2ee://HOST:PORT/sha256:PIN,sha256:PIN")
        host, port, pins, invite = found.groups()
        if not _PORT.fullmatch(port):
            raise _wrong("the port is a number from 1 to 65535")
        return cls(
            _parse_host(host),
            int(port),
            tuple(_parse_pin(pin) for pin in pins.split(",")) if pins else (),
            b"" if invite is None else _decode(invite, "its invite"),
        )

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        pins = ",".join(format_pin(pin) for pin in self.pins)
        invite = f"/{_encode(self.invite)}" if self.invite else ""
        return f"{SCHEME}{host}:{self.port}/{pins}{invite}"


def is_ip_address(host: str) -> bool:
    """Whether a host in its canonical spelling is an address, not a name."""
    return ":" in host or _NUMERIC.fullmatch(host) is not None


def _parse_host(text: str) -> str:
    if text.startswith("["):
        host = _canonical_host(text[1:-1])
        if ":" not in host:
            raise _wrong("only an IPv6 address stands in brackets")
        return host
    return _canonical_host(text)


def _canonical_host(text: str) -> str:
    """The one spelling of a host name or address; raises Failure for what cannot be one."""
    if is_ip_address(text):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise _wrong("its host is not an IP address") from None
        if getattr(address, "scope_id", None) is not None:
            raise _wrong("an address with a zone is known to one machine only")
        return str(address)
    host = text.lower()
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise _wrong("its host is neither a name nor an address")
    return host


def _parse_pin(text: str) -> bytes:
    if not text.startswith("sha256:"):
        raise _wrong("a pin begins with sha256:")
    pin = _decode(text.removeprefix("sha256:"), "a pin")
    if len(pin) != PIN_BYTES:
        raise _wrong("a pin is sha256: and 43 characters")
    return pin


def _encode(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _decode(text: str, what: str) -> bytes:
    if _BASE64URL.fullmatch(text):
        try:
            value = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except binascii.Error:
            value = b""
        # Spare bits at the end that are not zero would give one value two spellings.
        if value and _encode(value) == text:
            return value
    raise _wrong(f"{what} is not written in base64url without padding")


def _wrong(reason: str) -> Failure:
    return Failure(Code.USAGE, f"this is not a connect link: {reason}")
