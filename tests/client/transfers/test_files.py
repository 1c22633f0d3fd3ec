"""Files between two clients, through everything but the network: docs/protocol.md, "Files"."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from e2ee.client.events import (
    FileFacts,
    FileProgress,
    FileReceived,
    FileState,
    MessageFailed,
    MessageReceived,
    SentMessage,
    SentState,
)
from e2ee.crypto.limits import FILE_CHUNK_BYTES as CHUNK
from e2ee.errors import Code, Failure
from e2ee.ids import Address, MessageId
from e2ee.wire import messages as m
from tests.client.fake_relay import refused
from tests.client.people import Person
from tests.client.test_messenger import ALICE, Conversations

CONTENT = bytes(range(256)) * 256 * 5 + b"the end"


class FileCase(Conversations):
    """Alice sends a file to Bob, who has accepted her."""

    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp()).absolute()
        self.path.write_bytes(CONTENT)
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.alice.start()
        self.bob.start()

    def accept(self) -> None:
        self.bob.say(self.alice, "hello")

    def queue(self, text: str = "", message_id: bytes = b"f" * 16, path: Path | None = None) -> SentMessage:
        files = self.alice.messenger.files
        place = str(path or self.path)
        return self.alice.run(files.queue(self.bob.address, place, text, MessageId(message_id)))

    def send(self, text: str = "") -> SentMessage:
        sent = self.queue(text)
        self.world.settle()
        return self.sent(sent)

    def sent(self, sent: SentMessage) -> SentMessage:
        return self.alice.run(self.alice.messenger.sent(sent.message_id))

    def want(self, sent: SentMessage, who: Person | None = None) -> FileFacts:
        who = who or self.bob
        files = who.messenger.files
        facts = who.run(files.want(Address(ALICE), sent.message_id, str(self.folder)))
        assert facts is not None
        return facts

    def kept(self) -> list[str]:
        return sorted(os.listdir(self.folder))


class TransferTests(FileCase):
    """Nothing goes wrong."""

    def test_a_file_with_a_text(self) -> None:
        self.accept()
        sent = self.send("as promised")
        self.assertIs(sent.state, SentState.DELIVERED)
        facts = FileFacts(self.path.name, len(CONTENT), FileState.UPLOADED, str(self.path))
        self.assertEqual(sent.file, facts)
        (message,) = self.bob.heard(MessageReceived)
        self.assertEqual((message.text, message.file), (
            "as promised", FileFacts(self.path.name, len(CONTENT), FileState.OFFERED)
        ))  # fmt: skip
        self.assertIs(self.want(sent).state, FileState.FETCHING)
        self.world.settle()
        (here,) = self.bob.heard(FileReceived)
        self.assertEqual(here.file.state, FileState.SAVED)
        self.assertEqual(Path(here.file.path or "").read_bytes(), CONTENT)
        self.assertEqual(self.kept(), [self.path.name])
        self.assertEqual(self.world.relay.files, {})

    def test_an_empty_file(self) -> None:
        self.accept()
        self.path.write_bytes(b"")
        self.want(self.send())
        self.world.settle()
        self.assertEqual((self.folder / self.path.name).read_bytes(), b"")

    def test_the_server_sees_neither_content_nor_key(self) -> None:
        self.send()
        (file,) = self.world.relay.files.values()
        ((key,),) = self.alice.look("SELECT key FROM file")
        for chunk in file.held:
            self.assertNotIn(CONTENT[:64], chunk)
            self.assertNotIn(key, chunk)
        self.assertEqual(len({len(chunk) for chunk in file.held}), 1)

    def test_a_text_does_not_wait_for_a_file(self) -> None:
        """It is queued later, arrives earlier, and no gap is seen."""
        self.accept()
        held: list[m.Message] = []

        def slow(message: m.Message) -> m.Message | None:
            if isinstance(message, m.PutChunk) and not held:
                held.append(message)
                return refused(m.RefusalCode.BUSY, 5.0)
            return None

        self.world.relay.intercept[self.alice.address] = slow
        self.queue()
        self.world.settle()
        self.assertIs(self.alice.say(self.bob, "quick").state, SentState.DELIVERED)
        self.assertEqual(self.bob.read(), ["quick"])
        self.world.clock.advance(6)
        self.world.settle()
        self.assertEqual(self.bob.read(), [""])

    def test_progress_is_told_on_both_ends(self) -> None:
        self.accept()
        self.want(self.send())
        self.world.settle()
        for who, state in ((self.alice, FileState.UPLOADING), (self.bob, FileState.FETCHING)):
            last = who.heard(FileProgress)[-1]
            self.assertEqual((last.done, last.file.state), (len(CONTENT), state))

    def test_the_same_id_is_one_message(self) -> None:
        sent = self.send()
        self.assertEqual(self.queue(), sent)
        other = Path(self.mktemp()).absolute()
        other.write_bytes(b"other")
        for wrong in (lambda: self.queue("with a text"), lambda: self.queue(path=other)):
            self.assertUsageOf(wrong)

    def assertUsageOf(self, step: Callable[[], object]) -> None:
        with self.assertRaises(Failure) as caught:
            step()
        self.assertIs(caught.exception.code, Code.USAGE)

    def test_what_cannot_be_sent_is_refused_and_nothing_kept(self) -> None:
        for wrong in (Path("/nothing/here"), self.folder):
            self.assertUsageOf(lambda wrong=wrong: self.queue(path=wrong))  # type: ignore[misc]
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_keys_are_gone_when_the_file_is_here(self) -> None:
        self.accept()
        self.want(self.send())
        self.world.settle()
        self.assertEqual(self.bob.look("SELECT key, there FROM file"), [(None, 0)])


class WhoTests(FileCase):
    """Whose files are fetched."""

    def test_a_strangers_file_waits_until_he_is_accepted(self) -> None:
        sent = self.send()
        self.assertIs(self.want(sent).state, FileState.OFFERED)
        self.world.settle()
        self.assertEqual((self.kept(), self.bob.run(self.bob.messenger.files.fetching())), ([], 0))
        self.accept()
        self.world.settle()
        self.assertEqual(self.kept(), [self.path.name])

    def test_nothing_is_fetched_before_somebody_reads_the_message(self) -> None:
        self.accept()
        self.send()
        self.assertEqual(self.world.relay.count(self.bob.address, m.FetchChunk), 0)

    def test_a_blocked_contacts_file_is_not_even_known(self) -> None:
        self.accept()
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        sent = self.send()
        self.assertEqual(self.bob.heard(MessageReceived), [])
        files = self.bob.messenger.files
        self.assertIsNone(self.bob.run(files.want(self.alice.address, sent.message_id, None)))
        self.assertEqual(self.bob.look("SELECT count(*) FROM file"), [(0,)])

    def test_a_file_from_a_key_that_is_not_trusted_waits(self) -> None:
        self.accept()
        sent = self.send()
        self.bob.run(self.bob.vault.write(
            lambda tx: tx.execute("UPDATE message SET account_key = ? WHERE direction = 'in'", (bytes(32),))
        ))  # fmt: skip
        self.assertIs(self.want(sent).state, FileState.OFFERED)
        self.world.settle()
        self.assertEqual(self.kept(), [])

    def test_blocking_stops_what_is_wanted(self) -> None:
        sent = self.send()
        self.want(sent)
        self.bob.run(self.bob.messenger.block_contact(self.alice.address))
        self.bob.messenger.files.look()
        self.world.settle()
        self.assertEqual(self.kept(), [])


class LossTests(FileCase):
    """Connections, processes and files that end."""

    def test_an_upload_goes_on_where_the_connection_was_lost(self) -> None:
        self.cut_after(2, m.PutChunk, self.alice)
        self.queue()
        self.world.settle()
        held = len(next(iter(self.world.relay.files.values())).held)
        self.assertGreater(held, 1)
        self.alice.link.connect()
        self.world.settle()
        puts = [one.index for _, one in self.world.relay.requests if isinstance(one, m.PutChunk)]
        self.assertEqual(puts[-1], 5)
        self.assertEqual(puts[puts.index(held, 2) :][-1], 5)
        self.assertNotIn(0, puts[1:])
        self.assertEqual(len(self.bob.heard(MessageReceived)), 1)

    def test_an_upload_goes_on_in_the_next_process(self) -> None:
        self.accept()
        self.cut_after(2, m.PutChunk, self.alice)
        sent = self.queue()
        self.world.settle()
        self.alice.kill()
        self.alice.start()
        self.world.settle()
        self.assertIs(self.sent(sent).state, SentState.DELIVERED)
        self.want(sent)
        self.world.settle()
        self.assertEqual((self.folder / self.path.name).read_bytes(), CONTENT)

    def test_a_download_goes_on_where_the_connection_was_lost(self) -> None:
        self.accept()
        sent = self.send()
        self.cut_after(3, m.FetchChunk, self.bob)
        self.want(sent)
        self.world.settle()
        self.assertEqual(len(self.kept()), 1)
        self.assertTrue(self.kept()[0].endswith(".part"))
        before = self.world.relay.count(self.bob.address, m.FetchChunk)
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual((self.folder / self.path.name).read_bytes(), CONTENT)
        asked = [
            one.index for _, one in self.world.relay.requests[:] if isinstance(one, m.FetchChunk)
        ][before:]
        self.assertNotIn(0, asked)

    def test_what_was_torn_on_the_disk_is_fetched_anew(self) -> None:
        self.accept()
        sent = self.send()
        self.cut_after(3, m.FetchChunk, self.bob)
        self.want(sent)
        self.world.settle()
        (part,) = self.folder.iterdir()
        part.write_bytes(bytes(part.stat().st_size))
        self.bob.link.connect()
        self.world.settle()
        self.assertEqual((self.folder / self.path.name).read_bytes(), CONTENT)

    def cut_after(self, count: int, kind: type[m.Message], who: Person) -> None:
        """Lose this one's connection once, at so many requests of a kind."""
        seen: list[m.Message] = []

        def cut(message: m.Message) -> m.Message | None:
            if isinstance(message, kind):
                seen.append(message)
                if len(seen) == count:
                    self.world.clock.callLater(0, who.link.disconnect)
            return None

        self.world.relay.intercept[who.address] = cut

    def test_a_file_that_changes_is_not_sent(self) -> None:
        self.alice.link.disconnect()
        sent = self.queue()
        self.path.write_bytes(CONTENT + b"!")
        self.alice.link.connect()
        self.world.settle()
        found = self.sent(sent)
        self.assertIs(found.state, SentState.FAILED)
        assert found.error is not None
        self.assertIn("changed", found.error.sentence)
        self.assertEqual(len(self.alice.heard(MessageFailed)), 1)
        self.assertEqual(self.bob.heard(MessageReceived), [])

    def test_a_file_that_is_gone_is_not_sent(self) -> None:
        self.alice.link.disconnect()
        sent = self.queue()
        self.path.unlink()
        self.alice.link.connect()
        self.world.settle()
        self.assertIs(self.sent(sent).state, SentState.FAILED)

    def test_a_cancelled_one_is_not_sent(self) -> None:
        self.alice.link.disconnect()
        sent = self.queue()
        self.assertEqual(len(self.alice.run(self.alice.messenger.outbox())), 1)
        found = self.alice.run(self.alice.messenger.cancel(sent.message_id))
        self.assertIs(found.state, SentState.FAILED)
        self.alice.link.connect()
        self.world.settle()
        self.assertEqual(self.world.relay.files, {})
        self.assertEqual(self.alice.run(self.alice.messenger.outbox()), [])

    def test_what_the_server_has_damaged_is_never_given_a_name(self) -> None:
        self.accept()
        sent = self.send()
        (file,) = self.world.relay.files.values()
        file.held[1] = file.held[0]
        self.want(sent)
        self.world.settle()
        (here,) = self.bob.heard(FileReceived)
        self.assertEqual((here.file.state, here.file.reason), (FileState.FAILED, "damaged"))
        self.assertEqual(self.kept(), [])

    def test_what_the_server_has_no_more_has_expired(self) -> None:
        self.accept()
        sent = self.send()
        self.world.relay.files.clear()
        self.want(sent)
        self.world.settle()
        (here,) = self.bob.heard(FileReceived)
        self.assertEqual((here.file.state, here.file.reason), (FileState.FAILED, "expired"))
        self.assertEqual(self.kept(), [])

    def test_a_folder_that_is_gone_is_a_reason_to_wait(self) -> None:
        self.accept()
        sent = self.send()
        self.folder.rmdir()
        self.want(sent)
        self.world.settle()
        (here,) = self.bob.heard(FileReceived)
        self.assertIs(here.file.state, FileState.FETCHING)
        self.assertIn(str(self.folder), here.file.reason or "")
        self.folder.mkdir()
        self.bob.messenger.files.look()
        self.world.settle()
        self.assertEqual(self.kept(), [self.path.name])


class RefusalTests(FileCase):
    """The server's limits, as the sender sees them."""

    def refuse(self, refusal: m.Refused) -> None:
        self.world.relay.intercept[self.alice.address] = lambda message: (
            refusal if isinstance(message, m.OfferFile) else None
        )

    def test_too_large_a_file_fails(self) -> None:
        self.refuse(refused(m.RefusalCode.QUOTA))
        found = self.send()
        assert found.error is not None
        self.assertEqual((found.state, found.error.code), (SentState.FAILED, Code.QUOTA))

    def test_a_full_account_waits(self) -> None:
        self.refuse(refused(m.RefusalCode.QUOTA, 60.0))
        found = self.send()
        assert found.error is not None
        self.assertEqual((found.state, found.error.code), (SentState.QUEUED, Code.QUOTA))
        self.world.relay.intercept.clear()
        self.world.clock.advance(61)
        self.world.settle()
        self.assertIs(self.sent(found).state, SentState.DELIVERED)

    def test_a_month_in_vain_is_the_end(self) -> None:
        self.alice.link.disconnect()
        sent = self.queue()
        self.world.clock.advance(30 * 86400 + 1)
        self.alice.run(self.alice.messenger.files.uploads.fail_overdue())
        self.assertIs(self.sent(sent).state, SentState.FAILED)


assert len(CONTENT) > CHUNK
