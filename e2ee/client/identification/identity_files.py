"""The files that X.509 identities come from: certificates, keys, authorities, revocation lists.

Knows how each is read and how long it may be; not what is in it. Blocks: call it in a thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from e2ee.client.identification.identity_proof import FILE_BYTES
from e2ee.client.profiles.private_files import read_public, read_secret
from e2ee.errors import Code
from e2ee.net.authority import AUTHORITIES_FILE_BYTES, REVOCATION_FILE_BYTES

LIMITS: Final = {
    "certificate": FILE_BYTES,
    "authority": AUTHORITIES_FILE_BYTES,
    "revocation list": REVOCATION_FILE_BYTES,
}


def public_file(path: Path, kind: str) -> bytes:
    """The content of a file of a kind of LIMITS, which everybody may read. Raises Failure(USAGE)."""
    return read_public(path, LIMITS[kind])


def key_file(path: Path) -> bytes:
    """The content of a private key's file. Raises Failure(USAGE), also for one that others can read."""
    return read_secret(path, FILE_BYTES, Code.USAGE)
