"""Files where something comes between: wakes at the wrong moment, full disks, blocked people."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from twisted.internet.defer import CancelledError, Deferred

from e2ee.client.api import Account
from e2ee.client.events import (
    FileReceived,
    FileState,
    MessageReceived,
    SentMessage,
    SentState,
    ShownEvent,
)
from e2ee.client.profiles.profile_directory import Profile
from e2ee.client.transfers.downloads import RETRY_SECONDS
from e2ee.client.transfers.file_download import FileDownload
from e2ee.client.transfers.file_target import FileTarget
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.store.client import files as rows
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.holding.sharing import Table
from tests.client.people import Person
from tests.client.test_messenger import ALICE
from tests.client.transfers.test_files import CONTENT, FileCase

T = TypeVar("T")


class Gate:
    """Lets so many pass, and holds up the next until it is opened."""

    def __init__(self, free: int) -> None:
        self._free = free
        self._held: Deferred[None] | None = None

    async def passed(self) -> None:
        """Wait here."""
        self._free -= 1
        if self._free == -1:
            self._held = Deferred()
            await self._held

    @property
    def holds(self) -> bool:
        """Whether somebody waits."""
        return self._held is not None

    def open(self) -> None:
        """Let him go on."""
        assert self._held is not None
        self._held.callback(None)


class TroubleCase(FileCase):
    """Alice sends files to Bob, who has accepted her."""

    def setUp(self) -> None:
        super().setUp()
        self.accept()

    def slow_thread(self, part: Any, free: int) -> Gate:
        """Have the threads of uploads or downloads hold up one piece of work."""
        gate = Gate(free)

        async def in_thread(work: Callable[[], T], /) -> T:
            await gate.passed()
            return work()

        part._in_thread = in_thread
        return gate

    def lose_answers_after(self, who: Person, index: int) -> None:
        """Requests about chunks from this one on get no answer on this connection."""

        def lose(message: m.Message) -> m.Message | None:
            if isinstance(message, m.FetchChunk) and message.index >= index:
                self.world.relay.lose_answers = True
            return None

        self.world.relay.intercept[who.address] = lose

    def reconnect(self, who: Person) -> None:
        self.world.relay.lose_answers = False
        self.world.relay.intercept.clear()
        who.link.disconnect()
        who.link.connect()
        self.world.settle()

    def another(self) -> SentMessage:
        path = Path(self.mktemp()).absolute()
        path.write_bytes(b"second")
        return self.queue(message_id=b"g" * 16, path=path)


class WakeTests(TroubleCase):
    """Whatever is wanted while something else is being done is done afterwards."""

    def test_a_file_that_is_queued_while_the_timer_is_set(self) -> None:
        gate, real = Gate(0), self.alice.vault.read

        async def read(operation: Callable[[Any], T]) -> T:
            found = await real(operation)
            if operation is rows.upload_due:
                await gate.passed()
            return found

        with mock.patch.object(self.alice.vault, "read", read):
            self.queue()
            self.world.settle()
            self.assertTrue(gate.holds)
            second = self.another()
            gate.open()
            self.world.settle()
        self.assertIs(self.sent(second).state, SentState.DELIVERED)

    def test_an_upload_that_notices_late_that_its_connection_was_lost(self) -> None:
        gate = self.slow_thread(self.alice.messenger.files.uploads, free=4)
        self.world.relay.intercept[self.alice.address] = self.lost_once
        sent = self.queue()
        self.assertTrue(gate.holds)
        self.reconnect(self.alice)
        gate.open()
        self.world.settle()
        self.assertIs(self.sent(sent).state, SentState.DELIVERED)

    def lost_once(self, message: m.Message) -> m.Message | None:
        self.world.relay.lose_answers = isinstance(message, m.PutChunk)
        return None

    def test_a_download_that_notices_late_that_its_connection_was_lost(self) -> None:
        sent = self.send()
        gate = self.slow_thread(self.bob.messenger.files.downloads, free=3)
        self.lose_answers_after(self.bob, 4)
        self.want(sent)
        self.world.settle()
        self.assertTrue(gate.holds)
        self.reconnect(self.bob)
        gate.open()
        self.world.settle()
        self.assertEqual(self.kept(), [self.path.name])


class GivenUpTests(TroubleCase):
    """The server is told of what nobody wants any more."""

    def cancel(self, sent: SentMessage) -> None:
        found = self.alice.run(self.alice.messenger.cancel(sent.message_id))
        self.assertIs(found.state, SentState.FAILED)

    def test_one_that_is_cancelled_half_way(self) -> None:
        gate = self.slow_thread(self.alice.messenger.files.uploads, free=4)
        sent = self.queue()
        self.assertTrue(gate.holds)
        self.cancel(sent)
        gate.open()
        self.world.settle()
        self.assertEqual(self.world.relay.files, {})
        self.assertEqual(self.alice.look("SELECT there FROM file"), [(0,)])

    def test_one_that_is_cancelled_while_it_waits(self) -> None:
        self.world.relay.intercept[self.alice.address] = lambda message: (
            refused(m.RefusalCode.BUSY, 60.0) if isinstance(message, m.PutChunk) else None
        )
        sent = self.queue()
        self.world.settle()
        self.assertEqual(len(self.world.relay.files), 1)
        self.cancel(sent)
        self.world.settle()
        self.assertEqual(self.world.relay.files, {})

    def test_one_that_is_cancelled_at_its_end(self) -> None:
        gate = self.slow_thread(self.alice.messenger.files.uploads, free=8)
        sent = self.queue()
        self.assertTrue(gate.holds)
        self.cancel(sent)
        gate.open()
        self.world.settle()
        self.assertEqual(self.world.relay.files, {})

    def test_one_that_is_forgotten_while_the_server_refuses_it(self) -> None:
        def refuse(message: m.Message) -> m.Message | None:
            if not isinstance(message, m.OfferFile):
                return None
            gone = lambda tx: tx.execute("DELETE FROM message WHERE direction = 'out'")  # noqa: E731
            Deferred.fromCoroutine(self.alice.vault.write(gone)).addErrback(self.fail)
            return refused(m.RefusalCode.BUSY, 5.0)

        self.world.relay.intercept[self.alice.address] = refuse
        self.queue()
        self.world.settle()
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])


class DiskTests(TroubleCase):
    """What the own disk says is never the end of a file."""

    def setUp(self) -> None:
        super().setUp()
        self.full = True
        real = FileTarget.add

        def add(target: FileTarget, index: int, chunk: bytes) -> None:
            if self.full and index == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(target, index, chunk)

        patched = mock.patch.object(FileTarget, "add", add)
        patched.start()
        self.addCleanup(patched.stop)

    def wanted(self) -> None:
        self.want(self.send())
        self.world.settle()

    def test_a_full_disk_is_told_once_and_costs_nothing(self) -> None:
        self.wanted()
        self.reconnect(self.bob)
        self.world.wait(3 * RETRY_SECONDS)
        (told,) = self.bob.heard(FileReceived)
        self.assertIs(told.file.state, FileState.FETCHING)
        self.assertEqual(told.file.reason, f"{self.folder}: No space left on device")
        self.assertEqual(len(self.world.relay.files), 1)
        self.assertNotEqual(self.bob.look("SELECT key FROM file"), [(None,)])

    def test_it_goes_on_with_the_next_connection(self) -> None:
        self.wanted()
        self.full = False
        self.reconnect(self.bob)
        self.assertSaved()

    def test_it_goes_on_by_itself(self) -> None:
        self.wanted()
        self.full = False
        self.world.wait(RETRY_SECONDS)
        self.assertSaved()

    def test_it_goes_on_when_somebody_asks(self) -> None:
        self.wanted()
        self.full = False
        self.want(self.sent(SentMessage(MessageId(b"f" * 16), self.bob.address, SentState.QUEUED)))
        self.world.settle()
        self.assertSaved()

    def assertSaved(self) -> None:
        """It is there, all of it, and only that is still to be shown."""
        self.assertEqual((self.folder / self.path.name).read_bytes(), CONTENT)
        self.assertEqual(self.kept(), [self.path.name])
        self.assertEqual(self.world.relay.files, {})
        told = [event.file for event in self.bob.unshown() if isinstance(event, FileReceived)]
        self.assertEqual([(one.state, one.reason) for one in told], [(FileState.SAVED, None)])

    def test_nobody_waits_for_it(self) -> None:
        self.wanted()
        fetching = self.bob.messenger.files.fetching
        self.assertEqual(self.bob.run(fetching()), 0)
        self.full = False
        other = self.another()
        self.world.settle()
        self.want(other)
        self.world.settle()
        self.assertEqual(len(self.kept()), 2)

    def test_the_next_process_tells_it_again(self) -> None:
        self.wanted()
        self.bob.kill()
        self.bob.start()
        self.assertEqual(len(self.bob.heard(FileReceived)), 2)
        told = [event for event in self.bob.unshown() if isinstance(event, FileReceived)]
        self.assertEqual(len(told), 1)

    def killed_after(self, step: str) -> None:
        """A process that is killed behind this call of the system for the folder; what is here then."""
        self.full = False
        real = getattr(os, step)

        def killed(*arguments: Any, **where: Any) -> None:
            real(*arguments, **where)
            if where or stat.S_ISDIR(os.fstat(arguments[0]).st_mode):
                raise CancelledError

        with mock.patch(f"os.{step}", killed):
            self.wanted()
        self.bob.kill()

    def test_a_process_that_is_killed_between_the_two_names(self) -> None:
        self.killed_after("link")
        self.assertEqual(len(self.kept()), 2)
        self.bob.start()
        self.assertSaved()

    def test_the_same_when_the_servers_copy_has_expired_since(self) -> None:
        self.killed_after("link")
        self.world.relay.files.clear()
        self.bob.start()
        self.assertSaved()

    def test_a_process_that_is_killed_behind_the_second(self) -> None:
        self.killed_after("unlink")
        self.assertEqual(self.kept(), [self.path.name])
        self.world.relay.files.clear()
        self.bob.start()
        self.assertSaved()

    def test_a_process_that_is_killed_before_the_vault_knows_that_the_file_is_there(self) -> None:
        self.killed_after("fsync")
        self.assertEqual(self.kept(), [self.path.name])
        self.world.relay.files.clear()
        self.bob.start()
        self.assertSaved()

    def test_a_process_that_is_killed_where_there_are_no_links(self) -> None:
        with mock.patch("os.link", side_effect=PermissionError(1, "no links here")):
            self.killed_after("rename")
        self.world.relay.files.clear()
        self.bob.start()
        self.assertSaved()

    def test_the_same_file_that_somebody_else_has_put_there_is_not_taken_for_it(self) -> None:
        self.full = False
        (self.folder / self.path.name).write_bytes(CONTENT)
        self.wanted()
        self.assertEqual(len(self.kept()), 2)
        self.assertEqual(self.world.relay.files, {})

    def test_another_file_of_that_name_is_not_taken_for_it(self) -> None:
        self.killed_after("link")
        (self.folder / self.path.name).write_bytes(CONTENT[:-1] + b"?")
        self.bob.start()
        self.assertEqual(len(self.kept()), 2)
        self.assertIs(self.bob.heard(FileReceived)[-1].file.state, FileState.SAVED)

    def test_what_can_never_have_a_name_is_not_left_on_the_disk(self) -> None:
        self.full = False
        (self.folder / self.path.name).touch()
        with mock.patch("e2ee.client.transfers.file_names.CANDIDATES", 1):
            self.wanted()
        (told,) = self.bob.heard(FileReceived)
        self.assertIs(told.file.state, FileState.FAILED)
        self.assertEqual(self.kept(), [self.path.name])


class BlockedTests(TroubleCase):
    """Nothing of a blocked contact is fetched or told any more."""

    def block(self) -> None:
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))

    def hold(self, after: int) -> Gate:
        """A download whose thread is held up after so many steps: opened, looked at, one for each chunk."""
        sent = self.send()
        gate = self.slow_thread(self.bob.messenger.files.downloads, free=after)
        self.want(sent)
        self.world.settle()
        self.assertTrue(gate.holds)
        return gate

    def assertComesOnceAccepted(self) -> None:
        self.assertNotIn(self.path.name, self.kept())
        self.bob.run(self.bob.messenger.book.accept(self.alice.address))
        self.world.settle()
        self.assertEqual(self.kept(), [self.path.name])

    def test_a_running_download_ends(self) -> None:
        gate = self.hold(after=2)
        self.block()
        gate.open()
        self.world.settle()
        asked = [one.index for _, one in self.world.relay.requests if isinstance(one, m.FetchChunk)]
        self.assertNotIn(5, asked)
        self.assertComesOnceAccepted()

    def test_one_whose_last_chunk_is_being_written_gets_no_name(self) -> None:
        gate = self.hold(after=7)
        self.block()
        gate.open()
        self.world.settle()
        self.assertComesOnceAccepted()

    def test_one_that_is_being_named_is_not_told(self) -> None:
        gate = self.hold(after=8)
        with mock.patch.object(FileDownload, "end"):
            self.block()
        gate.open()
        self.world.settle()
        self.assertEqual(self.bob.heard(FileReceived), [])
        self.assertEqual(self.bob.look("SELECT kind FROM arrival WHERE kind = 'file'"), [])

    def test_a_full_disk_of_his_is_not_told(self) -> None:
        sent = self.send()
        gate = self.slow_thread(self.bob.messenger.files.downloads, free=2)
        self.want(sent)
        self.world.settle()
        self.block()
        with mock.patch.object(FileTarget, "add", side_effect=OSError(errno.ENOSPC, "full")):
            gate.open()
            self.world.settle()
        self.assertEqual(self.bob.heard(FileReceived), [])

    def test_others_go_on(self) -> None:
        sent = self.send()
        gate = self.slow_thread(self.bob.messenger.files.downloads, free=3)
        self.want(sent)
        self.world.settle()
        self.bob.run(self.bob.messenger.block_contact(Address("+15550100199")))
        gate.open()
        self.world.settle()
        self.assertEqual(self.kept(), [self.path.name])


class ShownTests(TroubleCase):
    """A file is wanted once the text is shown, whoever shows it and how."""

    def setUp(self) -> None:
        super().setUp()
        self.downloads = Profile(self.bob.path).downloads_path

    def here(self, sent: SentMessage) -> Path:
        (told,) = self.bob.heard(FileReceived)
        self.assertEqual((told.message_id, told.file.state), (sent.message_id, FileState.SAVED))
        return Path(told.file.path or "").parent

    def test_a_text_that_is_shown_brings_its_file(self) -> None:
        sent = self.send()
        self.assertEqual(self.bob.read(), [""])
        self.world.settle()
        self.assertEqual(self.here(sent), self.downloads)

    def test_the_same_in_another_process(self) -> None:
        sent = self.send()
        table = Table(self.world, self.bob)
        command = table.command()
        events = table.result(command.mark_printing(table.result(command.take(None))))
        table.result(command.mark_shown(events))
        table.settle()
        self.assertEqual(self.here(sent), self.downloads)

    def test_the_same_in_the_library(self) -> None:
        sent = self.send()
        table = Table(self.world, self.bob)
        events = Account(table.command(lasting=True)).events()
        seen: list[ShownEvent] = []

        async def read() -> None:
            async for event in events:
                seen.append(event)

        reading = table.begin(read())
        message, here = seen
        assert isinstance(message, MessageReceived)
        self.assertIsInstance(here, FileReceived)
        assert message.file is not None
        self.assertIs(message.file.state, FileState.OFFERED)
        self.assertEqual(self.here(sent), self.downloads)
        reading.addErrback(lambda _: None).cancel()

    def test_a_folder_that_was_named_before_stays(self) -> None:
        sent = self.send()
        self.want(sent)
        self.bob.read()
        self.world.settle()
        self.assertEqual(self.here(sent), self.folder)

    def test_a_strangers_waits_all_the_same(self) -> None:
        carol = self.world.person("+15550100103").start()
        carol.run(carol.messenger.files.queue(self.bob.address, str(self.path), "", MessageId(b"c" * 16)))
        self.world.settle()
        self.bob.read()
        self.world.settle()
        self.assertEqual(self.bob.heard(FileReceived), [])
        self.bob.say(carol, "hello")
        self.world.settle()
        self.assertEqual(len(self.bob.heard(FileReceived)), 1)


class RefusedTests(TroubleCase):
    """What cannot be sent with a text cannot be sent with a file."""

    def refused(self, to: Address, text: str) -> None:
        files = self.alice.messenger.files
        with self.assertRaises(Failure) as caught:
            self.alice.run(files.queue(to, str(self.path), text, MessageId(b"f" * 16)))
        self.assertIs(caught.exception.code, Code.USAGE)
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_texts_and_numbers(self) -> None:
        self.refused(Address(ALICE), "")
        self.refused(self.bob.address, "\ud800")
        self.refused(self.bob.address, "x" * (64 * 1024 + 1))

    def test_a_file_to_a_blocked_contact_does_not_accept_him(self) -> None:
        self.alice.run(self.alice.messenger.block_contact(self.bob.address))
        self.queue()
        blocked = self.alice.look("SELECT blocked, accepted FROM contact WHERE blocked")
        self.assertEqual(blocked, [(1, 0)])


