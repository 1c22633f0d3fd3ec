"""The own contact token: what accepted contacts show to see whether we are online.

Operations over one transaction of the vault. See `docs/protocol.md`, section 7.
"""

from __future__ import annotations

from e2ee.crypto.primitives import Entropy
from e2ee.ids import ContactToken
from e2ee.store.client.anew import PRESENCE_ANNOUNCED
from e2ee.store.client.marks import load_mark, save_mark
from e2ee.store.connection import Connection

_TOKEN = "contact_token"  # noqa: S105 - the name of a mark


def own_token(tx: Connection, entropy: Entropy) -> ContactToken:
    """The own contact token, made when it is first needed."""
    kept = load_mark(tx, _TOKEN)
    return replace_token(tx, entropy) if kept is None else ContactToken(kept)


def replace_token(tx: Connection, entropy: Entropy) -> ContactToken:
    """Another own contact token: whoever holds the old one sees nothing any more."""
    token = ContactToken(entropy(ContactToken.SIZE))
    save_mark(tx, _TOKEN, bytes(token))
    return token


def is_announced(tx: Connection, announced: bytes) -> bool:
    """Whether the server has confirmed this announcement (token hash, hidden or not) last."""
    return load_mark(tx, PRESENCE_ANNOUNCED) == announced


def note_announced(tx: Connection, announced: bytes) -> None:
    """The server has confirmed this announcement."""
    save_mark(tx, PRESENCE_ANNOUNCED, announced)
