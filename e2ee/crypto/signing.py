"""What is signed at registration and login, and how the other side checks it.

Knows contexts and layouts, no private key (`own_device` signs). The server imports this module.
`exporter` is always the TLS exporter of this very connection (RFC 9266, 32 bytes): nothing signed
here can be replayed on another one.
"""

from __future__ import annotations

from e2ee.crypto import labels
from e2ee.crypto.encoding import prefixed
from e2ee.crypto.keys import AccountKey, DeviceSigningKey
from e2ee.ids import Address, DeviceId, PasscodeSessionId


def registration_message(
    exporter: bytes, session: PasscodeSessionId, account_key: AccountKey, device_signing_key: DeviceSigningKey
) -> bytes:
    """What both keys sign at registration, each in a context of its own."""
    return prefixed(exporter, 1) + session + account_key.raw + device_signing_key.raw


def verify_registration(
    account_key: AccountKey,
    device_signing_key: DeviceSigningKey,
    exporter: bytes,
    session: PasscodeSessionId,
    account_signature: bytes,
    device_signature: bytes,
) -> None:
    """Check that whoever registers holds both private keys; raises SignatureRefused."""
    message = registration_message(exporter, session, account_key, device_signing_key)
    account_key.verify(labels.REGISTRATION_BY_ACCOUNT, message, account_signature)
    device_signing_key.verify(labels.REGISTRATION_BY_DEVICE, message, device_signature)


def login_message(exporter: bytes, address: Address, device: DeviceId, statement_hash: bytes) -> bytes:
    """What a device signs at login; role and version stand in the context label."""
    return prefixed(exporter, 1) + prefixed(address.encode(), 1) + device + prefixed(statement_hash, 1)


def verify_login(
    device_signing_key: DeviceSigningKey,
    exporter: bytes,
    address: Address,
    device: DeviceId,
    statement_hash: bytes,
    signature: bytes,
) -> None:
    """Check a login; `statement_hash` is that of the statement the server has. Raises SignatureRefused."""
    message = login_message(exporter, address, device, statement_hash)
    device_signing_key.verify(labels.LOGIN_BY_CLIENT, message, signature)
