"""The own device: the private keys of this installation and the account statement about them.

Knows how the owner signs statements, registrations and logins. The server never imports this module.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto import labels, primitives
from e2ee.crypto.account_statement import FEATURES, AccountStatement, statement_hash, verify_statement
from e2ee.crypto.encoding import FieldReader, prefixed
from e2ee.crypto.keys import KemSuite
from e2ee.crypto.primitives import Entropy
from e2ee.crypto.secret_keys import AccountSecretKey, DeviceSecretKey, DeviceSigningSecretKey
from e2ee.crypto.signing import login_message, registration_message
from e2ee.errors import EncodingRefused, KeyRefused, SignatureRefused
from e2ee.ids import Address, DeviceId, PasscodeSessionId

_VERSION = b"\x01"


@dataclass(frozen=True, slots=True)
class OwnDevice:
    """Everything that this installation is. Made by `create_device`, kept in the vault by `encode`."""

    account_secret: AccountSecretKey = field(repr=False)
    device_signing_secret: DeviceSigningSecretKey = field(repr=False)
    device_secret: DeviceSecretKey = field(repr=False)
    statement: AccountStatement
    signed_statement: bytes = field(repr=False)

    @property
    def address(self) -> Address:
        """The own number."""
        return self.statement.address

    @property
    def device(self) -> DeviceId:
        """The id of this installation."""
        return self.statement.device

    @property
    def generation(self) -> int:
        """The generation of the own statement."""
        return self.statement.generation

    @property
    def statement_hash(self) -> bytes:
        """SHA-256 of the own signed statement."""
        return statement_hash(self.signed_statement)

    def sign_registration(self, exporter: bytes, session: PasscodeSessionId) -> tuple[bytes, bytes]:
        """The signatures of the account key and of the device signing key (`signing`)."""
        message = registration_message(
            exporter, session, self.statement.account_key, self.statement.device_signing_key
        )
        return (
            self.account_secret.sign(labels.REGISTRATION_BY_ACCOUNT, message),
            self.device_signing_secret.sign(labels.REGISTRATION_BY_DEVICE, message),
        )

    def sign_login(self, exporter: bytes) -> bytes:
        """The signature of a login on the connection with this exporter (`signing`)."""
        message = login_message(exporter, self.address, self.device, self.statement_hash)
        return self.device_signing_secret.sign(labels.LOGIN_BY_CLIENT, message)

    def encode(self) -> bytes:
        """For the vault only: the private keys in the clear."""
        secrets = self.account_secret.raw + self.device_signing_secret.raw + self.device_secret.raw
        return _VERSION + secrets + prefixed(self.signed_statement, 2)

    @classmethod
    def decode(cls, encoded: bytes) -> OwnDevice:
        """The reverse; raises EncodingRefused, also if keys and statement do not belong together."""
        reader = FieldReader(encoded)
        reader.expect(_VERSION)
        account_secret = AccountSecretKey(reader.take(primitives.KEY_BYTES))
        device_signing_secret = DeviceSigningSecretKey(reader.take(primitives.KEY_BYTES))
        device_secret = DeviceSecretKey(reader.take(primitives.KEY_BYTES))
        signed = reader.prefixed(2)
        reader.end()
        try:
            statement = verify_statement(signed)
        except (KeyRefused, SignatureRefused):
            raise EncodingRefused("an own statement that does not verify") from None
        publics = (account_secret.public, device_signing_secret.public, device_secret.public)
        if publics != (statement.account_key, statement.device_signing_key, statement.device_key):
            raise EncodingRefused("an own statement about other keys")
        return cls(account_secret, device_signing_secret, device_secret, statement, signed)


def create_device(
    address: Address, generation: int, entropy: Entropy, suite: KemSuite = KemSuite.ML_KEM_1024
) -> OwnDevice:
    """New account and device keys for a number, with their statement.

    `generation` is the clock in ms, or one more than a known previous generation if that is higher.
    """
    account_secret = AccountSecretKey.generate(entropy)
    device_signing_secret = DeviceSigningSecretKey.generate(entropy)
    device_secret = DeviceSecretKey.generate(entropy)
    statement = AccountStatement(
        account_key=account_secret.public,
        address=address,
        generation=generation,
        suite=suite,
        features=FEATURES,
        device=DeviceId(entropy(DeviceId.SIZE)),
        device_signing_key=device_signing_secret.public,
        device_key=device_secret.public,
    )
    signed = sign_statement(account_secret, statement)
    return OwnDevice(account_secret, device_signing_secret, device_secret, statement, signed)


def sign_statement(account_secret: AccountSecretKey, statement: AccountStatement) -> bytes:
    """The signed encoding; ValueError if the statement names another account key."""
    if account_secret.public != statement.account_key:
        raise ValueError("a statement is signed by the account key that it names")
    body = statement.encode()
    return body + account_secret.sign(labels.ACCOUNT_STATEMENT, body)
