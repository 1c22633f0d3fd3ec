"""Every command in every phase, twice and interleaved; lengths; mutated frames.

`E2EE_MUTATED_FRAMES` says how many mutated frames there are: `make hostile` takes 100,000.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

from msgspec.structs import replace

from e2ee.crypto.own_device import OwnDevice
from e2ee.crypto.passcode_proof import ProofIdentities, initiator
from e2ee.ids import EnvelopeId, PasscodeSessionId
from e2ee.server.policy import Policy
from e2ee.wire import codec, limits
from e2ee.wire import messages as m
from e2ee.wire.framing import frame
from e2ee.wire.phases import TABLE, Phase, Role
from tests.server.hostile import HostileCase, Stranger
from tests.server.test_connection import Caller
from tests.server.town import ALICE, BOB, TOKEN
from tests.wire.examples import CLIENT

MUTATED_FRAMES = int(os.environ.get("E2EE_MUTATED_FRAMES", "1000"))
UNLIMITED = Policy(
    messages_burst=0, codes_burst=0, codes_per_source=0, codes_total=0, codes_per_prefix=0, guesses_burst=0,
    lookups_per_day=0, bundles_per_target=0, connections_before_login=0, stranger_waiting=0,
    strangers_waiting=0, mailbox_messages=0, mailbox_bytes=0,
)  # fmt: skip


class PhaseCase(HostileCase):
    """Strangers in any phase that a client can wait in."""

    policy = UNLIMITED

    def in_greeting(self) -> Stranger:
        return self.stranger()

    def in_greeted(self) -> Stranger:
        stranger = self.stranger()
        self.says(stranger, m.Hello(90, (1,), ()))
        return stranger

    def in_confirming(self) -> Stranger:
        """A real exchange of SPAKE2 as far as the server's B."""
        self.town.store.waits.clear()
        self.town.store.sessions.clear()
        asked = self.in_greeted()
        self.says(asked, m.RequestCode(91, str(BOB)))
        session = asked.told[-1]
        assert isinstance(session, m.CodeRequested)
        stranger = self.in_greeted()
        own = self.town.devices[BOB]
        key = own.statement.account_key.raw
        passcode = PasscodeSessionId(session.session)
        identities = ProofIdentities(passcode, BOB, key, stranger.exporter)
        _, a = initiator(self.town.sender.code, identities, self.town.entropy)
        self.says(stranger, m.Start(92, session.session, str(BOB), key, a))
        assert isinstance(stranger.told[-1], m.Started)
        return stranger

    def alice(self) -> OwnDevice:
        """Her device; if one of the strangers has deleted her account, she has registered again."""
        if self.now(self.town.accounts.find(ALICE)) is None:
            self.now(self.town.settle_in(ALICE))
        return self.town.devices[ALICE]

    def in_ready(self) -> Stranger:
        stranger = self.in_greeted()
        own = self.alice()
        signature = own.sign_login(stranger.exporter)
        self.says(stranger, m.LogIn(93, str(ALICE), bytes(own.device), signature))
        assert any(isinstance(one, m.LoggedIn) for one in stranger.told)
        return stranger

    def phases(self) -> dict[Phase, Callable[[], Stranger]]:
        """How to come to each."""
        return {
            Phase.GREETING: self.in_greeting,
            Phase.GREETED: self.in_greeted,
            Phase.CONFIRMING: self.in_confirming,
            Phase.READY: self.in_ready,
        }

    def honest_people_talk(self) -> None:
        """Both log in, one fetches what waits, and a message goes from one to the other."""
        bob = self.log_in(self.town.devices[BOB])
        alice = self.log_in(self.alice())
        envelope = self.town.entropy(40)
        self.ask(alice, self.town.send(BOB, envelope, n=7, restart=True))
        pushes = self.acknowledged(bob)
        self.assertEqual(pushes[-1].envelope, envelope)
        for caller in (alice, bob):
            caller.protocol.abort()
        self.network.settle()

    def acknowledged(self, caller: Caller) -> list[m.Push]:
        """All that is pushed, until nothing more comes."""
        pushes: list[m.Push] = []
        while new := [one for one in caller.told if isinstance(one, m.Push)][len(pushes) :]:
            for push in new:
                envelope_id = bytes(EnvelopeId.of(push.envelope))
                caller.protocol.send(m.Acknowledge(push.push, envelope_id, m.Verdict.OPENED))
            pushes += new
            self.network.settle()
        return pushes


class CommandTests(PhaseCase):
    """Whoever says what he may not is told so and cut; nobody else notices."""

    def test_every_command_in_every_phase(self) -> None:
        """Illegal ones end the connection with `illegal`; legal ones are answered or refused."""
        for phase, come in self.phases().items():
            for message in CLIENT:
                stranger = come()
                self.says(stranger, message)
                legal = type(message) in TABLE[Role.CLIENT][phase]
                # The example acknowledges a push that there never was.
                wrong = not legal or isinstance(message, m.Acknowledge)
                what = f"{type(message).__name__} while {phase.value}"
                self.check(what)
                # Before a login a chunk of a file is refused by its length alone.
                too_long = isinstance(message, m.PutChunk) and phase is not Phase.READY
                word = m.RefusalCode.FRAME_TOO_LARGE if too_long else m.RefusalCode.ILLEGAL
                self.assertEqual(stranger.last_word is word, wrong, what)
                if wrong:
                    self.assertTrue(stranger.over, what)
                self.leave(stranger)
        self.honest_people_talk()

    def test_every_command_twice_at_once(self) -> None:
        """The second with the number of the first, and with one of its own."""
        for come in self.phases().values():
            for message in CLIENT:
                second = replace(message, n=2) if "n" in message.__struct_fields__ else message
                for pair in ((message, message), (message, second)):
                    stranger = come()
                    self.says(stranger, *pair)
                    self.check(pair)
                    self.leave(stranger)
        self.honest_people_talk()

    def test_commands_interleaved(self) -> None:
        """All of them in one write, in orders that chance chooses, in every phase."""
        source = random.Random(3)
        for come in self.phases().values():
            for _ in range(8):
                numbered = [
                    replace(one, n=number) if "n" in one.__struct_fields__ else one
                    for number, one in enumerate(source.sample(CLIENT, len(CLIENT)), 10)
                ]
                stranger = come()
                self.says(stranger, *numbered)
                self.check(numbered)
                self.leave(stranger)
        self.honest_people_talk()

    def test_a_registration_interleaved_with_itself(self) -> None:
        """A proof before and after its start, a PIN that nobody asked for, a start within a start."""
        for message in (m.Prove(1, b"body", bytes(32)), m.ProvePin(1, bytes(32), bytes(32))):
            confirming = self.in_confirming()
            self.says(confirming, message)
            self.assertTrue(confirming.over)
        key, a = bytes(32), b"S" + bytes(32)
        for first in (m.RequestCode(1, str(BOB)), m.Start(1, bytes(16), str(BOB), key, a)):
            stranger = self.in_greeted()
            self.says(stranger, first, m.Start(2, bytes(16), str(BOB), key, a), m.Prove(3, b"b", bytes(32)))
            self.assertTrue(stranger.over)
        self.check()
        self.honest_people_talk()

    def test_what_a_login_is_followed_by_at_once(self) -> None:
        """The first message comes with the login itself; a second login is illegal."""
        own = self.town.devices[ALICE]
        for behind, over in ((self.town.send(BOB, b"at once", n=2), False), (None, True)):
            stranger = self.in_greeted()
            signature = own.sign_login(stranger.exporter)
            login = m.LogIn(1, str(ALICE), bytes(own.device), signature)
            self.says(stranger, login, behind or replace(login, n=2))
            self.assertEqual(stranger.over, over)
        self.check()


class LengthTests(PhaseCase):
    """Lengths are judged on their four bytes, before anything is waited for or kept."""

    def judged(self, come: Callable[[], Stranger], length: int) -> m.RefusalCode | None:
        stranger = come()
        stranger.transport.write(length.to_bytes(4, "big"))
        self.network.settle()
        self.check(length)
        word = stranger.last_word
        self.assertEqual(stranger.over, word is not None)
        self.leave(stranger)
        return word

    def test_nothing_the_limit_one_more_and_the_largest(self) -> None:
        for phase, come in self.phases().items():
            limit = (
                limits.FRAME_AFTER_LOGIN_BYTES if phase is Phase.READY else limits.FRAME_BEFORE_LOGIN_BYTES
            )
            self.assertEqual(self.judged(come, 0), m.RefusalCode.MALFORMED)
            self.assertIsNone(self.judged(come, limit))
            for length in (limit + 1, 2**31, 2**32 - 1):
                self.assertEqual(self.judged(come, length), m.RefusalCode.FRAME_TOO_LARGE)
        self.honest_people_talk()

    def test_a_frame_of_the_limit_that_is_no_message(self) -> None:
        for phase, come in self.phases().items():
            limit = (
                limits.FRAME_AFTER_LOGIN_BYTES if phase is Phase.READY else limits.FRAME_BEFORE_LOGIN_BYTES
            )
            stranger = come()
            stranger.transport.write(frame(b"\xc4" * limit))
            self.network.settle()
            self.assertEqual((stranger.last_word, stranger.over), (m.RefusalCode.MALFORMED, True))
        self.check()


class MutationTests(PhaseCase):
    """Frames that are nearly right."""

    def valid(self, source: random.Random) -> bytes:
        """A frame that means something in this town."""
        statement = self.town.devices[BOB].statement_hash
        token = source.choice((TOKEN, None))
        message = source.choice((
            *CLIENT,
            m.Send(1, str(BOB), statement, token, source.randbytes(100), bytes(40)),
            m.FetchBundle(source.randrange(9), str(BOB), token),
            m.LookUp(source.randrange(9), str(BOB)),
        ))
        return frame(codec.encode(message))

    def mutated(self, source: random.Random) -> bytes:
        """One change of one kind."""
        data = bytearray(self.valid(source))
        kind, at = source.randrange(7), source.randrange(len(data))
        if kind == 0:
            data[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            data[at] = source.randrange(256)
        elif kind == 2:
            del data[at : at + source.randrange(1, 9)]
        elif kind == 3:
            data[at:at] = source.randbytes(source.randrange(1, 9))
        elif kind == 4:
            other = self.valid(source)
            data[at:] = other[source.randrange(len(other)) :]
        elif kind == 5:
            data = bytearray(frame(bytes(data[4:at]) or b"\xc0"))
        return bytes(data)

    def test_mutated_frames(self) -> None:
        """No defect, nothing kept beyond a frame, and honest logins go on all the time."""
        source = random.Random(20)
        comings = list(self.phases().values())
        stranger: Stranger | None = None
        for number in range(MUTATED_FRAMES):
            if stranger is None or stranger.over or number % 50 == 0:
                if stranger is not None:
                    self.leave(stranger)
                stranger = source.choice((*comings, self.in_ready, self.in_ready))()
            before = self.mutated(source)
            stranger.transport.write(before)
            self.network.settle()
            self.check(before.hex())
            if number % 500 == 499:
                self.network.advance(limits.IDLE_SECONDS)
                self.honest_people_talk()
        self.assertLess(len(self.town.rooms.admission), 10)
