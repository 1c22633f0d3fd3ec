"""Whom a sender believes over TLS: the roots of the system, or those of one file. Knows the file only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from e2ee.net.verified_tls import roots_from_pem, system_roots
from e2ee.net.x509 import CredentialsRefused
from e2ee.server.senders.interface import SenderRefused


def trust_root(path: Path | None) -> Any:
    """What Twisted takes as `trustRoot`. Blocks; raises SenderRefused."""
    if path is None:
        return system_roots()
    try:
        return roots_from_pem(path.read_bytes())
    except OSError as error:
        raise SenderRefused(f"the CA file {path} cannot be read: {error.strerror}") from None
    except CredentialsRefused:
        raise SenderRefused(f"the CA file {path} has no certificates in PEM form") from None
