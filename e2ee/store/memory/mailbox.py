"""What waits for devices, in memory. Knows order, quotas and notices; see `e2ee.store.server.mailbox`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from e2ee.ids import DeviceAddress
from e2ee.store.memory.state import Device, MemoryStore
from e2ee.store.server.ports import (
    Appended,
    AppendRefused,
    Attached,
    MailboxLimits,
    MailItem,
    MailRow,
    NoticeKind,
    StoredNotice,
)
from e2ee.store.server.quotas import Quotas, Usage


class MemoryMailbox:
    """`ports.Mailbox` in memory."""

    def __init__(self, store: MemoryStore, limits: MailboxLimits) -> None:
        self._store = store
        self._limits = limits

    def apply(self, limits: MailboxLimits) -> None:
        """See `ports.Mailbox.apply`."""
        self._limits = limits

    async def attach(self, where: DeviceAddress) -> Attached | None:
        """See `ports.Mailbox.attach`."""
        device = self._store.device(where)
        if device is None or device.account.logged_out:
            return None
        device.epoch += 1
        return Attached(
            device.epoch, max(device.mail, default=0), len(device.mail), device.state_token
        )

    async def append(self, items: Iterable[MailItem], now: float) -> Sequence[Appended | AppendRefused]:
        """See `ports.Mailbox.append`."""
        refused: set[tuple[DeviceAddress, DeviceAddress]] = set()
        results: list[Appended | AppendRefused] = []
        for item in items:
            pair = (item.to, item.sender)
            result = AppendRefused.HELD if pair in refused else self._append(item, now)
            if isinstance(result, AppendRefused):
                refused.add(pair)
            results.append(result)
            if item.state_token:
                await self.keep_state_token(item.sender, item.state_token)
        return results

    async def keep_state_token(self, where: DeviceAddress, token: bytes) -> None:
        """See `ports.Mailbox.keep_state_token`."""
        device = self._store.device(where)
        if device is not None:
            device.state_token = max(device.state_token or b"", token)

    async def after(self, where: DeviceAddress, seq: int, count: int, size: int) -> Sequence[MailRow]:
        """See `ports.Mailbox.after`."""
        device = self._store.device(where)
        rows: list[MailRow] = []
        for number, (item, _) in device.mail.items() if device else ():
            if number <= seq:
                continue
            size -= len(item.envelope)
            if len(rows) == count or (rows and size < 0):
                break
            rows.append(MailRow(number, item))
        return rows

    async def remove(self, where: DeviceAddress, epoch: int, seqs: Sequence[int]) -> None:
        """See `ports.Mailbox.remove`."""
        device = self._store.device(where)
        if device is not None and device.epoch == epoch:
            for seq in seqs:
                device.mail.pop(seq, None)

    async def expire(self, now: float) -> int:
        """See `ports.Mailbox.expire`."""
        if not self._limits.seconds:
            return 0
        before = now - self._limits.seconds
        lost: list[MailItem] = []
        for device in self._store.devices.values():
            past = [seq for seq, (_, at) in device.mail.items() if at <= before]
            lost += [device.mail.pop(seq)[0] for seq in past]
        self._store.leave_notices(lost, NoticeKind.EXPIRED)
        return len(lost)

    async def notices(self, where: DeviceAddress, count: int) -> Sequence[StoredNotice]:
        """See `ports.Mailbox.notices`."""
        device = self._store.device(where)
        return list(device.notices.values())[:count] if device else []

    async def remove_notices(self, where: DeviceAddress, numbers: Sequence[int]) -> None:
        """See `ports.Mailbox.remove_notices`."""
        device = self._store.device(where)
        if device is not None:
            for number in numbers:
                device.notices.pop(number, None)

    async def count(self) -> int:
        """See `ports.Mailbox.count`."""
        return sum(len(device.mail) for device in self._store.devices.values())

    def _append(self, item: MailItem, now: float) -> Appended | AppendRefused:
        device = self._store.device(item.to)
        if device is None:
            return AppendRefused.NO_DEVICE
        for seq, (there, _) in device.mail.items():
            if (there.envelope_id, there.sender) == (item.envelope_id, item.sender):
                return Appended(seq, repeated=True)
        refused = Quotas(self._limits).refusal(
            _usage(_waiting(device)),
            _usage(there for there in _waiting(device) if there.sender.address == item.sender.address),
            len(item.envelope),
            item.known,
        )
        if refused is not None:
            return refused
        device.last_seq += 1
        device.mail[device.last_seq] = (item, now)
        return Appended(device.last_seq)


def _waiting(device: Device) -> Iterable[MailItem]:
    return (item for item, _ in device.mail.values())


def _usage(items: Iterable[MailItem]) -> Usage:
    counted = list(items)
    return Usage(
        len(counted),
        sum(len(item.envelope) for item in counted),
        sum(not item.known for item in counted),
    )
