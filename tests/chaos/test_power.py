"""What was promised survives a power cut, on a disk that forgets everything that was not synced.

The same stories with `synchronous=OFF` planted must lose: else the disk forgets nothing, and nothing is
proven. Skipped where the machine has no FUSE; `make powerloss` has the long form.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.chaos import power
from tests.chaos.house import Faults
from tests.chaos.key_use import used_twice
from tests.chaos.ledger import Verdict
from tests.chaos.power import PoweredHouse
from tests.chaos.scenes import FILLING, Pair
from tests.chaos.talkers import PATIENCE_SECONDS, shown_objects

PEOPLE = {"alice": "+15550100101", "bob": "+15550100102"}
Story = Callable[[Pair], Verdict]


def house_of(pair: Pair) -> PoweredHouse:
    """The house of a pair that has machines to cut."""
    assert isinstance(pair.house, PoweredHouse)
    return pair.house


def server_cut_after_its_answer(pair: Pair) -> Verdict:
    """The recipient is away; the server's machine loses power right after the answer."""
    pair.send("one", "two")
    house_of(pair).cut_server()
    return pair.verdict(pair.receive())


def recipient_cut_after_its_acknowledgement(pair: Pair) -> Verdict:
    """The server has the recipient's word for everything, and nobody has read it when the power fails."""
    pair.send(*(f"{number} {FILLING}" for number in range(6)))
    blocked = pair.house.spawn(pair.recipient, "receive", "--follow", "--json")
    pair.house.wait_for_empty_mailboxes()
    house_of(pair).cut_clients()
    out, _ = blocked.communicate(timeout=PATIENCE_SECONDS)
    seen = [one for _, one in shown_objects(map(json.loads, out.split(b"\n")[:-1]))]
    return pair.verdict(seen + pair.receive())


def sender_cut_after_a_text_was_queued(pair: Pair) -> Verdict:
    """What was said to be queued, without a server, is in the outbox; the power fails right behind it."""
    pair.house.proxy.target, port = 0, pair.house.proxy.target
    texts = [f"{pair.title}: {number}" for number in range(3)]
    for text in texts:
        queued = pair.house.spawn(pair.sender, "send", pair.address, "--json", "--timeout", "1", "-m", text)
        assert b'"queued"' in queued.communicate(timeout=PATIENCE_SECONDS)[0]
    house_of(pair).cut_clients()
    pair.house.proxy.target = port
    pair.send("after it")
    found = pair.verdict(pair.receive())
    known = {one.text for one in pair.house.accepted(pair.sender, pair.address)}
    # The sender's own records may have lost them, too, so they cannot tell what is missing.
    return replace(found, lost=tuple(text for text in texts if text not in known) + found.lost)


STORIES: dict[Story, str] = {
    server_cut_after_its_answer: "server",
    recipient_cut_after_its_acknowledgement: "bob",
    sender_cut_after_a_text_was_queued: "alice",
}
"""With the one whose disk decides about the end."""


class PowerCase(SynchronousTestCase):
    """A house with two machines."""

    def setUp(self) -> None:
        reason = power.missing()
        if reason:
            raise SkipTest(f"no power can be cut here: {reason}")
        self.house = PoweredHouse()
        self.addCleanup(self.house.__exit__)

    def tell(self, story: Story) -> Verdict:
        """How it ends."""
        return story(Pair(self.house, story.__name__, "alice", "bob", PEOPLE["bob"]))


class PowerCutTests(PowerCase):
    """docs/protocol.md, section 6: not after a power cut either."""

    def test_nothing_is_lost_and_no_key_used_twice(self) -> None:
        """What was registered, too: profiles, accounts, the server's keys, right after the commands ended."""
        self.house.settle_in(**PEOPLE)
        link = (self.house.state / "connect-link").read_text()
        self.house.cut_clients()
        self.house.cut_server()
        self.assertEqual((self.house.state / "connect-link").read_text(), link)
        for story in STORIES:
            with self.subTest(story.__name__):
                self.assertEqual(self.tell(story), Verdict())
        self.assertEqual(used_twice(self.house.given_envelopes()), [])


class ControlTests(PowerCase):
    """Without `synchronous=FULL` each of the stories loses."""

    def test_without_fsync_every_story_loses(self) -> None:
        for number, (story, who) in enumerate(STORIES.items()):
            with self.subTest(story.__name__):
                if number:
                    if "E2EE_CHAOS_LONG" not in os.environ:
                        raise SkipTest("one control in the short form; the others: make powerloss")
                    self.house = PoweredHouse()
                    self.addCleanup(self.house.__exit__)
                self.house.settle_in(**PEOPLE)
                self.house.stop_server()
                self.house.faults = Faults({who: "not_synchronous"})
                self.house.start_server()
                self.assertNotEqual(self.tell(story).lost, ())
