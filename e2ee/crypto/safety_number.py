"""The safety number: 60 digits that two people compare to know that they have each other's keys.

Knows account keys and numbers. It does not cover the server, prekeys or devices: those are signed by
the account keys. After Signal's "numeric fingerprint", with a label and version of our own.
"""

from __future__ import annotations

from e2ee.crypto import labels, primitives
from e2ee.crypto.encoding import prefixed
from e2ee.crypto.keys import AccountKey
from e2ee.ids import Address

_ROUNDS = 5200
_GROUPS = 6
_GROUP_BYTES = 5
_GROUP_DIGITS = 5


def safety_number(
    own_account_key: AccountKey, own_address: Address, their_account_key: AccountKey, their_address: Address
) -> str:
    """60 digits without spaces, the same for both sides: the two halves are sorted."""
    return "".join(sorted((_half(own_account_key, own_address), _half(their_account_key, their_address))))


def _half(account_key: AccountKey, address: Address) -> str:
    """30 digits for one side. 5,200 rounds make a search for a look-alike key as much slower."""
    digest = prefixed(labels.SAFETY_NUMBER, 1) + account_key.raw + prefixed(address.encode(), 1)
    for _ in range(_ROUNDS):
        digest = primitives.sha512(digest + account_key.raw)
    groups = (digest[at : at + _GROUP_BYTES] for at in range(0, _GROUPS * _GROUP_BYTES, _GROUP_BYTES))
    return "".join(f"{int.from_bytes(group, 'big') % 10**_GROUP_DIGITS:0{_GROUP_DIGITS}}" for group in groups)
