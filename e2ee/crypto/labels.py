"""Every label that separates one use of a key from another: signature contexts, HKDF infos, MAC prefixes.

Knows texts only. Each carries the version of what it labels; none is used in two places, and none
is a prefix of another.
"""

from __future__ import annotations

# --- signature contexts: what the signed bytes are ---------------------------------------------

ACCOUNT_STATEMENT = b"e2ee/1 account statement"
SIGNED_PREKEY = b"e2ee/1 signed prekey"
KEM_PREKEY = b"e2ee/1 KEM prekey"
REGISTRATION_BY_ACCOUNT = b"e2ee/1 registration, account key"
REGISTRATION_BY_DEVICE = b"e2ee/1 registration, device signing key"
LOGIN_BY_CLIENT = b"e2ee/1 login, client's device signing key"
X509_IDENTITY = b"e2ee/1 X.509 identity"

# --- handshake ---------------------------------------------------------------------------------

HANDSHAKE_TRANSCRIPT = b"e2ee/1 handshake transcript"
RSA_TRANSPORT = b"e2ee/1 secret by RSA transport"
HANDSHAKE_SECRET = b"e2ee/1 handshake secret"
SESSION_ASSOCIATED_DATA = b"e2ee/1 session"

# --- ratchet -----------------------------------------------------------------------------------

ROOT_STEP = b"e2ee/1 root step"
HYBRID_ROOT_STEP = b"e2ee/1 hybrid root step"
MESSAGE_KEYS = b"e2ee/1 message keys"

# --- files -------------------------------------------------------------------------------------

FILE_KEYS = b"e2ee/1 keys of a file"
FILE_CHUNK = b"e2ee/1 chunk of a file"

# --- state token ---------------------------------------------------------------------------------

STATE_TOKEN = b"e2ee/1 state token"

# --- trust -------------------------------------------------------------------------------------

SAFETY_NUMBER = b"e2ee/1 safety number"

# --- passcode: the proof by SPAKE2, and the code at rest on the server -------------------------

PASSCODE_IDENTITY_CLIENT = b"e2ee/1 passcode proof, client"
PASSCODE_IDENTITY_SERVER = b"e2ee/1 passcode proof, server"
PASSCODE_CONFIRMATION_CLIENT = b"e2ee/1 passcode confirmation by the client"
PASSCODE_CONFIRMATION_SERVER = b"e2ee/1 passcode confirmation by the server"
PASSCODE_AT_REST = b"e2ee/1 passcode at rest"
PASSCODE_STORE_KEY = b"e2ee/1 key for passcodes at rest"

# --- registration PIN --------------------------------------------------------------------------

STRETCHED_PIN = b"e2ee/1 registration PIN, stretched"
PIN_STEP = b"e2ee/1 registration PIN, proven in a run"
PIN_AT_REST = b"e2ee/1 registration PIN at rest"

# --- invites -----------------------------------------------------------------------------------

INVITE_AT_REST = b"e2ee/1 invite at rest"

# --- vault -------------------------------------------------------------------------------------

WRAPPED_KEY = b"e2ee/1 wrapped key"
BACKUP_KEYS = b"e2ee/1 keys of a backup"
BACKUP_CHUNK = b"e2ee/1 chunk of a backup"
BACKUP_PERMIT = b"e2ee/1 permit for a backup"


def in_context(context: bytes, message: bytes) -> bytes:
    """What a signature covers: the length-prefixed context label, then the message."""
    return len(context).to_bytes(1, "big") + context + message
