"""The registration PIN on its owner's side: what may be one, and how it is stretched.

Knows the rule and the derivation; not who asks for it, nor what the server keeps of it
(`passcode_store`). See `docs/protocol.md`, registration; Argon2id is RFC 9106.
"""

from __future__ import annotations

import unicodedata

from e2ee.crypto import labels, limits, primitives
from e2ee.ids import Address


def normal_pin(text: str) -> str:
    """The PIN that was meant, in the one form that is stretched (Unicode NFC).

    Raises ValueError, with the reason and without the text, for what is no PIN: it has 4 to 64
    characters, and none of them is a control character.
    """
    pin = unicodedata.normalize("NFC", text)
    if not limits.PIN_CHARACTERS_MIN <= len(pin) <= limits.PIN_CHARACTERS_MAX:
        raise ValueError(
            f"a registration PIN has {limits.PIN_CHARACTERS_MIN} to {limits.PIN_CHARACTERS_MAX} characters"
        )
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in pin):
        raise ValueError("a registration PIN has no control characters")
    return pin


def stretch_pin(pin: str, address: Address, salt: bytes) -> bytes:
    """What the server gets in place of the PIN: 32 bytes. Takes 0.1 s and 64 MiB: run it in a thread.

    `pin` is of `normal_pin`, `salt` 16 bytes of its owner's choice. The label and the number go into
    the salt, so that a server that chooses it cannot have the key of a vault or another number's PIN
    computed.
    """
    salted = labels.in_context(labels.STRETCHED_PIN, salt + address.encode("ascii"))
    costs = (limits.PIN_MEMORY_KIB, limits.PIN_ITERATIONS, limits.PIN_LANES)
    return primitives.argon2id(pin.encode(), salted, *costs)
