"""Whether a key or an IV was used for two plaintexts, from the envelopes that a server was given. Pure.

Knows the layout of an envelope, no key. A message key belongs to one place of one chain: (session,
ratchet key, number). Two different envelopes at one place, or with one IV, are two plaintexts under one
key, or as good as that.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from e2ee.crypto.envelope import decode_envelope


def used_twice(envelopes: Iterable[bytes]) -> list[str]:
    """A sentence for each place of a chain and each IV that two different envelopes have."""
    places: dict[tuple[bytes, bytes, int], bytes] = {}
    ivs: dict[bytes, bytes] = {}
    found = []
    for envelope in envelopes:
        parts = decode_envelope(envelope)
        place = (parts.session_id, parts.ratchet_key, parts.number)
        if places.setdefault(place, envelope) != envelope:
            found.append(f"number {parts.number} of a chain of session {parts.session_id.hex()}")
        if ivs.setdefault(parts.iv, envelope) != envelope:
            found.append(f"IV {parts.iv.hex()}")
    return found


def note_of(envelope: bytes) -> bytes:
    """One envelope as it is noted: a line of hex with a full stop. A server that is killed may leave half a
    line, behind which the next one begins a new line."""
    return b"\n" + envelope.hex().encode("ascii") + b".\n"


def recorded(path: Path) -> list[bytes]:
    """What was noted whole."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")
    return [bytes.fromhex(line[:-1].decode("ascii")) for line in lines if line.endswith(b".")]
