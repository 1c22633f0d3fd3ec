"""What an operator may ask of the running server: one JSON object a line, with its `verb`.

Knows shapes and bounds; not who answers (`admin_desk`). Declared once, for both ends of the socket.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

REQUEST_BYTES = 16 * 1024
"""A private key in PEM form, and room to spare."""
ANSWER_BYTES = 1024 * 1024
PAGE = 500
"""Accounts or invites in one answer: about 100 KB."""

NumberText = Annotated[str, Meta(max_length=64)]
InviteIdText = Annotated[str, Meta(max_length=64)]
PemText = Annotated[str, Meta(max_length=REQUEST_BYTES - 1024)]


class Request(Struct, frozen=True, forbid_unknown_fields=True, tag_field="verb"):
    """The base of all."""


class AskStatus(Request, frozen=True, tag="status"):
    """Counts, pins, the certificate's end."""


class AskConnectLink(Request, frozen=True, tag="connect-link"):
    """The link that clients register with."""


class ListAccounts(Request, frozen=True, tag="accounts"):
    """The page behind `after`."""

    after: NumberText = ""


class ChangeAccount(Request, frozen=True, tag="account"):
    """Delete an account, or log its device out."""

    address: NumberText
    action: Literal["delete", "log-out"]


class MakeInvite(Request, frozen=True, tag="invite"):
    """A connect link that lets one person register within `seconds`: with `address`, that number only."""

    seconds: float
    address: NumberText | None = None


class ListInvites(Request, frozen=True, tag="invites"):
    """The page of invites behind `after`, the id of one."""

    after: InviteIdText = ""


class RevokeInvite(Request, frozen=True, tag="revoke-invite"):
    """Let nobody register with this invite any more."""

    id: InviteIdText


class RotateCertificate(Request, frozen=True, tag="rotate-certificate"):
    """Go over to the backup key: `backup_key` in PEM form, else the one in the state directory."""

    backup_key: PemText | None = None
    force: bool = False

    def __repr__(self) -> str:
        return "RotateCertificate(…)"


class MakeBackup(Request, frozen=True, tag="backup"):
    """Copy the database to a file in the state directory, which its asker takes away."""


class Examine(Request, frozen=True, tag="check"):
    """Look at everything that an operator should know of."""


AdminRequest = (
    AskStatus
    | AskConnectLink
    | ListAccounts
    | ChangeAccount
    | MakeInvite
    | ListInvites
    | RevokeInvite
    | RotateCertificate
    | MakeBackup
    | Examine
)
