"""What is legal when: the whole table, role × phase × message, and what is not in it."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from e2ee.wire import messages as m
from e2ee.wire.phases import ANSWERS, TABLE, Phase, Role, next_phase
from tests.wire.examples import CLIENT, LAST_WORD, SERVER

EXPECTED = """
client greeting    hello         -> welcoming
server welcoming   welcome       -> greeted
server welcoming   refused       -> closing
client greeted     requestcode   -> registering
client greeted     start         -> registering
client greeted     login         -> logging_in
server registering coderequested -> closing
server registering started       -> confirming
client confirming  prove         -> registering
server registering proved        -> closing
server registering pinrequired   -> pin_due
client pin_due     provepin      -> registering
server registering refused       -> closing
server logging_in  loggedin      -> ready
server logging_in  refused       -> closing
"""
"""All that changes the phase; written apart from the table on purpose."""

READY_CLIENT = {
    m.Publish, m.LookUp, m.FetchBundle, m.Send, m.Acknowledge, m.AcknowledgeNotice,
    m.SetPresence, m.SetPin, m.RemovePin, m.SetIdentity, m.DeleteAccount, m.OfferFile, m.PutChunk,
    m.FetchChunk, m.RemoveFile, m.Watch, m.Ping,
}  # fmt: skip
READY_SERVER = {
    m.Published, m.LookedUp, m.Bundle, m.StockLow, m.Accepted, m.StaleDevice, m.Push, m.Drained,
    m.Notice, m.Done, m.FileHeld, m.Chunk, m.Online, m.PresenceChanged, m.Pong, m.Refused,
}  # fmt: skip


def expectations() -> dict[tuple[Role, Phase, str], Phase]:
    wanted = {}
    for line in EXPECTED.strip().splitlines():
        role, before, name, _, after = line.split()
        wanted[Role(role), Phase(before), name] = Phase(after)
    for phase in set(Phase) - {Phase.GREETING, Phase.CLOSING}:
        wanted[Role.CLIENT, phase, "ping"] = phase
        wanted[Role.SERVER, phase, "pong"] = phase
    for kind in READY_CLIENT:
        wanted[Role.CLIENT, Phase.READY, kind.__name__.lower()] = Phase.READY
    for kind in READY_SERVER:
        wanted[Role.SERVER, Phase.READY, kind.__name__.lower()] = Phase.READY
    return wanted


class PhaseTests(SynchronousTestCase):
    """Every message in every phase, said by either side."""

    def test_every_message_in_every_phase(self) -> None:
        wanted = expectations()
        for role in Role:
            for phase in Phase:
                for message in CLIENT + SERVER:
                    key = (role, phase, type(message).__name__.lower())
                    self.assertEqual(next_phase(role, phase, message), wanted.get(key), key)

    def test_the_last_word_is_the_servers_and_legal_until_the_end(self) -> None:
        for phase in Phase:
            expected = None if phase is Phase.CLOSING else Phase.CLOSING
            self.assertIs(next_phase(Role.SERVER, phase, LAST_WORD), expected)
            self.assertIsNone(next_phase(Role.CLIENT, phase, LAST_WORD))

    def test_the_table_has_every_role_and_phase(self) -> None:
        self.assertEqual(set(TABLE), set(Role))
        for role in Role:
            self.assertEqual(set(TABLE[role]), set(Phase))

    def test_every_request_has_answers_and_every_answer_a_request(self) -> None:
        pushes = {m.StockLow, m.Push, m.Drained, m.Notice, m.PresenceChanged}
        unanswered = {m.Acknowledge, m.AcknowledgeNotice}
        self.assertEqual(set(ANSWERS), {type(each) for each in CLIENT} - unanswered)
        answers = {kind for kinds in ANSWERS.values() for kind in kinds} | {m.Refused}
        self.assertEqual(answers, {type(each) for each in SERVER} - pushes)

    def test_a_pin_is_asked_for_once(self) -> None:
        """`PinRequired` answers a proof of the code; nothing but the end answers a proof of the PIN."""
        self.assertEqual(ANSWERS[m.Prove], (m.Proved, m.PinRequired))
        self.assertEqual(ANSWERS[m.ProvePin], (m.Proved,))

    def test_what_has_a_number_is_a_request_or_an_answer(self) -> None:
        for message in CLIENT:
            self.assertEqual(hasattr(message, "n"), type(message) in ANSWERS)
