"""A relay in memory for the tests of conversations: accounts, mailboxes, and faults on demand.

It speaks whole wire messages, encoded and decoded once each way so that what is not legal on the wire
fails here, too. It keeps to the promises of `docs/protocol.md`, section 6, as far as a client can see
them; its attributes make it refuse, lose, repeat and reorder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock

from e2ee.client.link import LinkPhase, LinkState
from e2ee.client.refusals import LinkLost, Refusal
from e2ee.crypto.account_statement import statement_hash
from e2ee.crypto.own_device import OwnDevice
from e2ee.errors import Code, Failure
from e2ee.ids import Address, DeviceId, EnvelopeId
from e2ee.wire import messages as m
from e2ee.wire.codec import decode_client, decode_server, encode

Intercept = Callable[[m.Message], m.Message | None]
"""Looks at a request; what it returns is the answer, None lets the relay answer."""


@dataclass
class Waiting:
    """An envelope that was accepted and not acknowledged."""

    sender: Address
    device: DeviceId
    envelope: bytes
    answers: list[Callable[[m.Outcome], None]] = field(default_factory=list)
    fall_back: IDelayedCall | None = None


@dataclass
class Account:
    """What the directory and the mailbox have of one number."""

    own: OwnDevice
    signed_prekey: bytes
    last_resort: bytes
    one_time: dict[int, bytes] = field(default_factory=dict)
    kem_one_time: list[bytes] = field(default_factory=list)
    handed_out: set[bytes] = field(default_factory=set)
    """One-time keys that were: they never come back, however often they are uploaded."""
    mailbox: list[Waiting] = field(default_factory=list)
    notices: dict[int, m.Notice] = field(default_factory=dict)
    link: FakeLink | None = None
    served: bytes | None = None
    """Another statement than the account's own, for a directory that lies."""
    presence: tuple[bytes, bool] | None = None
    state_token: bytes | None = None
    pin: tuple[bytes, bytes] | None = None
    identity: bytes | None = None

    @property
    def statement(self) -> bytes:
        return self.served or self.own.signed_statement


@dataclass
class SharedFile:
    """A file that was offered; its chunks so far."""

    capability: bytes
    chunks: int
    held: list[bytes] = field(default_factory=list)


class FakeRelay:
    """All accounts. `intercept` sees each request of each number first."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.accounts: dict[Address, Account] = {}
        self.intercept: dict[Address, Intercept] = {}
        self.requests: list[tuple[Address, m.Message]] = []
        self.lose_answers = False
        self.lose_pushes = False
        self.push_twice = False
        self.backwards = False
        self.forget_one_time = False
        self.everyone = True
        """Whether all are told who is connected, or those who have shown the contact token."""
        self.files: dict[bytes, SharedFile] = {}

    def register(self, own: OwnDevice, signed_prekey: bytes, last_resort: bytes) -> Account:
        """Make or replace the account of this number; what waited is lost, with notices."""
        old = self.accounts.get(own.address)
        account = Account(own, signed_prekey, last_resort)
        self.accounts[own.address] = account
        if old is not None:
            self._take_over(old)
        return account

    def _take_over(self, old: Account) -> None:
        for waiting in old.mailbox:
            self.notify(waiting.sender, m.NoticeReason.TAKEN_OVER, EnvelopeId.of(waiting.envelope))
        if old.link is not None:
            old.link.ended(Failure(Code.LOGGED_OUT, "taken over"), for_good=True)

    def notify(self, to: Address, reason: m.NoticeReason, envelope_id: bytes) -> None:
        account = self.accounts[to]
        number = len(account.notices) + 1
        account.notices[number] = m.Notice(number, reason, (bytes(envelope_id),))
        if account.link is not None:
            account.link.push(account.notices[number])

    def sends(self, sender: Address) -> list[m.Send]:
        """What this number has asked to be sent, in order."""
        return [one for who, one in self.requests if who == sender and isinstance(one, m.Send)]

    def count(self, sender: Address, kind: type[m.Message]) -> int:
        return sum(who == sender and isinstance(one, kind) for who, one in self.requests)

    def backup(self) -> dict[Address, Account]:
        """What a copy of the server's state has; nobody is connected."""
        return {
            address: replace(
                account,
                one_time=dict(account.one_time),
                kem_one_time=list(account.kem_one_time),
                mailbox=[Waiting(one.sender, one.device, one.envelope) for one in account.mailbox],
                notices=dict(account.notices),
                link=None,
            )
            for address, account in self.accounts.items()
        }

    # --- requests ---------------------------------------------------------------------------

    def answer(self, link: FakeLink, message: m.Message, reply: Callable[[m.Message], None]) -> None:
        me = link.address
        self.requests.append((me, message))
        hook = self.intercept.get(me)
        faked = None if hook is None else hook(message)
        if faked is not None:
            if isinstance(message, m.Send) and not isinstance(faked, m.Accepted):
                link.held.add(message.number)
            reply(faked)
        elif isinstance(message, m.Send):
            mine = self.accounts[me]
            mine.state_token = max(mine.state_token or b"", message.state_token)
            self._send(link, message, reply)
        else:
            reply(self._simple(link, message))

    def _simple(self, link: FakeLink, message: m.Message) -> m.Message:
        if isinstance(message, m.LookUp):
            found = self.accounts.get(Address(message.number))
            return (
                refused(m.RefusalCode.UNKNOWN_RECIPIENT)
                if found is None
                else m.LookedUp(0, found.statement, found.identity)
            )
        if isinstance(message, m.FetchBundle):
            return self._bundle(message)
        if isinstance(message, m.Publish):
            return self._publish(self.accounts[link.address], message)
        if isinstance(message, m.SetPresence):
            self.accounts[link.address].presence = (message.token_hash, message.hidden)
            return m.Done(0)
        if isinstance(message, m.SetPin):
            self.accounts[link.address].pin = (message.salt, message.stretched)
            return m.Done(0)
        if isinstance(message, m.RemovePin):
            self.accounts[link.address].pin = None
            return m.Done(0)
        if isinstance(message, m.DeleteAccount):
            del self.accounts[link.address]
            return m.Done(0)
        if isinstance(message, m.SetIdentity):
            self.accounts[link.address].identity = message.identity
            return m.Done(0)
        if isinstance(message, m.Watch):
            return self._online(link.address, message)
        return self._about_file(message)

    def _about_file(self, message: m.Message) -> m.Message:
        if isinstance(message, m.OfferFile):
            made = SharedFile(message.capability, message.chunks)
            return m.FileHeld(0, len(self.files.setdefault(message.file, made).held))
        if isinstance(message, m.PutChunk):
            held = self.files[message.file].held
            if message.index != len(held):
                return refused(m.RefusalCode.CONFLICT)
            held.append(message.chunk)
            return m.FileHeld(0, len(held))
        assert isinstance(message, m.FetchChunk | m.RemoveFile), message
        file = self.files.get(message.file)
        shown = file is not None and file.capability == message.capability
        if isinstance(message, m.RemoveFile):
            if shown:
                del self.files[message.file]
            return m.Done(0)
        if file is None or not shown or len(file.held) < file.chunks:
            return refused(m.RefusalCode.EXPIRED)
        return m.Chunk(0, file.held[message.index])

    def _bundle(self, message: m.FetchBundle) -> m.Message:
        account = self.accounts.get(Address(message.number))
        if account is None:
            return refused(m.RefusalCode.UNKNOWN_RECIPIENT)
        kem = account.kem_one_time.pop(0) if account.kem_one_time else account.last_resort
        account.handed_out.add(kem)
        one_time = None
        if account.one_time:
            key_id = min(account.one_time)
            one_time = m.OneTimePreKey(key_id, account.one_time.pop(key_id))
            account.handed_out.add(one_time.key)
        return m.Bundle(0, account.statement, account.signed_prekey, kem, one_time, account.identity)

    def _publish(self, account: Account, message: m.Publish) -> m.Message:
        account.signed_prekey = message.signed_prekey or account.signed_prekey
        account.last_resort = message.last_resort_prekey or account.last_resort
        if message.replace_stock:
            account.one_time.clear()
            account.kem_one_time.clear()
        fresh = (one for one in message.one_time if one.key not in account.handed_out)
        account.one_time.update({one.key_id: one.key for one in fresh})
        known = account.handed_out.union(account.kem_one_time)
        account.kem_one_time += [one for one in message.kem_one_time if one not in known]
        return m.Published(0, len(account.one_time), len(account.kem_one_time))

    def _online(self, me: Address, message: m.Watch) -> m.Message:
        tokens = {target.number: sha256(target.token).digest() for target in message.targets}
        shown = sorted(
            address
            for address, account in self.accounts.items()
            if account.link is not None and address != me and address > message.after
            and (self.everyone or account.presence == (tokens.get(address), False))
        )  # fmt: skip
        return m.Online(0, tuple(map(str, shown[:1])), more=len(shown) > 1)

    # --- delivery ---------------------------------------------------------------------------

    def _send(self, link: FakeLink, message: m.Send, reply: Callable[[m.Message], None]) -> None:
        account = self.accounts.get(Address(message.number))
        if message.restart:
            link.held.discard(message.number)
        if message.number in link.held:
            reply(refused(m.RefusalCode.HELD))
        elif account is None:
            link.held.add(message.number)
            reply(refused(m.RefusalCode.UNKNOWN_RECIPIENT))
        elif statement_hash(account.statement) != message.statement_hash:
            link.held.add(message.number)
            reply(m.StaleDevice(0, account.statement, account.identity))
        else:
            self._keep(account, link, message.envelope, lambda outcome: reply(m.Accepted(0, outcome)))

    def _keep(
        self, account: Account, sender: FakeLink, envelope: bytes, accepted: Callable[[m.Outcome], None]
    ) -> None:
        for known in account.mailbox:
            if known.envelope == envelope and known.answers:
                known.answers.append(accepted)
                return
            if known.envelope == envelope:
                accepted(m.Outcome.STORED)
                return
        waiting = Waiting(sender.address, sender.own.device, envelope)
        account.mailbox.append(waiting)
        if account.link is None:
            accepted(m.Outcome.STORED)
            return
        waiting.answers.append(accepted)
        waiting.fall_back = self.clock.callLater(1.0, settle, waiting, m.Outcome.STORED)
        account.link.push_envelopes([waiting])

    def acknowledge(self, account: Account, waiting: Waiting, verdict: m.Verdict) -> None:
        if waiting in account.mailbox:
            account.mailbox.remove(waiting)
        opened = verdict is m.Verdict.OPENED
        settle(waiting, m.Outcome.DELIVERED if opened else m.Outcome.STORED)


def settle(waiting: Waiting, outcome: m.Outcome) -> None:
    """Answer all who wait for this envelope."""
    if waiting.fall_back is not None and waiting.fall_back.active():
        waiting.fall_back.cancel()
    answers, waiting.answers = waiting.answers, []
    for answer in answers:
        answer(outcome)


def refused(code: m.RefusalCode, retry_after: float | None = None) -> m.Refused:
    """A refusal of one request."""
    return m.Refused(0, code, "the relay says no", retry_after)


class FakeLink:
    """Takes the place of `e2ee.client.link.Link`; each `connect` is one connection."""

    def __init__(
        self,
        relay: FakeRelay,
        own: OwnDevice,
        on_push: Callable[[m.Message], None],
        on_state: Callable[[LinkState], None],
    ) -> None:
        self.relay = relay
        self.own = own
        self.address = own.address
        self.held: set[str] = set()
        self.acknowledged: list[m.Acknowledge | m.AcknowledgeNotice] = []
        self._on_push = on_push
        self._on_state = on_state
        self.persistent = False
        self._up = False
        self._connection = 0
        self._requests: list[Deferred[m.Message]] = []
        self._pushed: dict[int, tuple[Waiting, EnvelopeId]] = {}

    # --- what conversations use -------------------------------------------------------------

    def start(self) -> None:
        self.connect()

    def keep_trying(self) -> None:
        self.persistent = True

    async def stop(self) -> None:
        if self._up:
            self._gone()
        self._on_state(LinkState(LinkPhase.STOPPED))

    async def room(self) -> None:
        if not self._up:
            raise LinkLost

    async def request(self, message: m.Message) -> m.Message:
        if not self._up:
            raise LinkLost
        answer: Deferred[m.Message] = Deferred()
        self._requests.append(answer)
        sent = decode_client(encode(message))
        self.relay.clock.callLater(0, self._ask, self._connection, sent, answer)
        got = await answer
        if isinstance(got, m.Refused):
            raise Refusal(got)
        return got

    def send(self, message: m.Message) -> None:
        if not self._up:
            raise LinkLost
        sent = decode_client(encode(message))
        assert isinstance(sent, m.Acknowledge | m.AcknowledgeNotice)
        self.relay.clock.callLater(0, self._acknowledge, self._connection, sent)

    # --- the relay's side -------------------------------------------------------------------

    def connect(self) -> None:
        """Log in, with what waits."""
        account = self.relay.accounts[self.address]
        account.link = self
        self._up = True
        self._connection += 1
        self.held = set()
        self._pushed = {}
        waiting = list(account.mailbox)
        stock = len(account.one_time), len(account.kem_one_time)
        logged_in = m.LoggedIn(0, None, len(waiting), *stock, account.state_token)
        self._on_state(LinkState(LinkPhase.UP, logged_in, "X25519MLKEM768", b"\xa1" * 32))
        self.push_envelopes(waiting[::-1] if self.relay.backwards else waiting)
        for notice in account.notices.values():
            self.push(notice)
        self.push(m.Drained())

    def disconnect(self) -> None:
        """The connection is lost; answers on their way are, too."""
        self._gone()
        self._on_state(LinkState(LinkPhase.DOWN, failure=LinkLost(), retry_in=1.0))

    def silence(self) -> None:
        """The client is killed: the relay sees the end, the client nothing more."""
        self._on_push = lambda _: None
        self._on_state = lambda _: None
        if self._up:
            self._gone()

    def ended(self, failure: Failure, *, for_good: bool) -> None:
        self._gone()
        phase = LinkPhase.STOPPED if for_good else LinkPhase.DOWN
        self._on_state(LinkState(phase, failure=failure))

    def _gone(self) -> None:
        self._up = False
        account = self.relay.accounts.get(self.address)
        if account is not None:
            if account.link is self:
                account.link = None
            for waiting in account.mailbox:
                settle(waiting, m.Outcome.STORED)
        requests, self._requests = self._requests, []
        for request in requests:
            request.errback(LinkLost())

    def push_envelopes(self, envelopes: list[Waiting]) -> None:
        if self.relay.lose_pushes:
            return
        for waiting in envelopes:
            for _ in range(2 if self.relay.push_twice else 1):
                number = len(self._pushed) + 1
                # Its id as well: what is in the mailbox may be damaged before the acknowledgement comes.
                self._pushed[number] = waiting, EnvelopeId.of(waiting.envelope)
                self.push(m.Push(number, str(waiting.sender), bytes(waiting.device), waiting.envelope))

    def push(self, message: m.Message) -> None:
        pushed = decode_server(encode(message))
        self.relay.clock.callLater(0, self._deliver, self._connection, pushed)

    def _deliver(self, connection: int, message: m.Message) -> None:
        if self._up and connection == self._connection:
            self._on_push(message)

    def _ask(self, connection: int, message: m.Message, answer: Deferred[m.Message]) -> None:
        if connection == self._connection and self._up:
            self.relay.answer(self, message, lambda reply: self._reply(answer, reply))

    def _reply(self, answer: Deferred[m.Message], reply: m.Message) -> None:
        self.relay.clock.callLater(0, self._arrive, answer, decode_server(encode(reply)))

    def _arrive(self, answer: Deferred[m.Message], reply: m.Message) -> None:
        if answer in self._requests and not self.relay.lose_answers:
            self._requests.remove(answer)
            answer.callback(reply)

    def _acknowledge(self, connection: int, message: m.Acknowledge | m.AcknowledgeNotice) -> None:
        if connection != self._connection or not self._up:
            return
        self.acknowledged.append(message)
        account = self.relay.accounts[self.address]
        if isinstance(message, m.AcknowledgeNotice):
            account.notices.pop(message.notice, None)
            return
        waiting, envelope_id = self._pushed[message.push]
        assert envelope_id == message.envelope_id
        self.relay.acknowledge(account, waiting, message.verdict)
