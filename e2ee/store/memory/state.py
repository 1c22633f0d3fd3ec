"""What the stores in memory share, as the SQL stores share a database.

Knows accounts, their devices and mail as plain dictionaries; the rules stand in the stores.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from e2ee.ids import Address, DeviceAddress, DeviceId, EnvelopeId, PasscodeSessionId
from e2ee.store.server.devices import NOTICE_ENVELOPES
from e2ee.store.server.ports import (
    Account,
    MailItem,
    NoticeKind,
    StoredFile,
    StoredNotice,
    StoredPin,
    StoredPreKey,
)


@dataclass(slots=True)
class Keys:
    """The published prekeys of one device; `stock` by kind, oldest first."""

    lasting: dict[str, bytes] = field(default_factory=dict)
    stock: dict[str, list[StoredPreKey]] = field(default_factory=dict)
    published: dict[tuple[str, int], bytes] = field(default_factory=dict)

    def copy(self) -> Keys:
        """A copy that can be changed by itself."""
        stock = {kind: list(prekeys) for kind, prekeys in self.stock.items()}
        return Keys(dict(self.lasting), stock, dict(self.published))


@dataclass(slots=True)
class Device:
    """An account with its one device. `mail` by seq with the service time of its arrival."""

    account: Account
    used_at: float
    keys: Keys
    pin: StoredPin | None = None
    identity: bytes | None = None
    epoch: int = 0
    state_token: bytes | None = None
    last_seq: int = 0
    mail: dict[int, tuple[MailItem, float]] = field(default_factory=dict)
    notices: dict[int, StoredNotice] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """A live session of registration."""

    address: Address
    guesses_left: int
    expires_at: float
    sealed_code: bytes = field(repr=False)
    invite: bytes | None
    privileged: bool


@dataclass(slots=True)
class Invite:
    """An invite, for one number or any."""

    address: Address | None
    privileges: int
    expires_at: float


@dataclass(slots=True)
class MemoryStore:
    """All of it."""

    devices: dict[Address, Device] = field(default_factory=dict)
    sessions: dict[PasscodeSessionId, Session] = field(default_factory=dict)
    invites: dict[bytes, Invite] = field(default_factory=dict)
    waits: dict[Address, tuple[int, float]] = field(default_factory=dict)
    files: dict[bytes, tuple[StoredFile, float]] = field(default_factory=dict)
    full_at: dict[tuple[str, str], float] = field(default_factory=dict)
    notices_left: int = 0

    def device(self, where: DeviceAddress) -> Device | None:
        """The device of this number, if it is this one."""
        found = self.devices.get(where.address)
        return found if found is not None and found.account.device == where.device else None

    def use_invite(self, invite: bytes | None) -> bool:
        """Use it up; False if it is gone already."""
        return invite is None or self.invites.pop(invite, None) is not None

    def remove(self, address: Address, kind: NoticeKind) -> DeviceId | None:
        """Remove an account and leave notices to the senders of its mail."""
        device = self.devices.pop(address, None)
        if device is None:
            return None
        self.leave_notices((item for item, _ in device.mail.values()), kind)
        return device.account.device

    def leave_notices(self, lost: Iterable[MailItem], kind: NoticeKind) -> None:
        """A notice for each sender's device that exists, one for each thousand of its envelopes."""
        of_sender: dict[DeviceAddress, list[EnvelopeId]] = {}
        for item in lost:
            of_sender.setdefault(item.sender, []).append(item.envelope_id)
        for sender, ids in of_sender.items():
            device = self.device(sender)
            if device is None:
                continue
            for first in range(0, len(ids), NOTICE_ENVELOPES):
                number = self.notices_left = self.notices_left + 1
                some = tuple(ids[first : first + NOTICE_ENVELOPES])
                device.notices[number] = StoredNotice(number, kind, some)
