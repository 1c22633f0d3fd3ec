"""One valid example of every message, for tests that go through all of them."""

from __future__ import annotations

from e2ee.wire import messages as m
from e2ee.wire.limits import SEALED_CHUNK_BYTES

NUMBER = "+15550100101"

CLIENT: tuple[m.Message, ...] = (
    m.Hello(1, (1,), ()),
    m.RequestCode(1, NUMBER),
    m.Start(1, b"s" * 16, NUMBER, b"k" * 32, b"a" * 33),
    m.Prove(1, b"body", b"c" * 32),
    m.ProvePin(1, b"p" * 32, b"c" * 32),
    m.LogIn(1, NUMBER, b"d" * 8, b"s" * 64),
    m.Publish(1, b"p", None, (m.OneTimePreKey(7, b"k" * 32),), (b"kem",)),
    m.LookUp(1, NUMBER),
    m.FetchBundle(1, NUMBER, None),
    m.Send(1, NUMBER, b"h" * 32, b"t" * 16, b"envelope", b"s" * 40),
    m.Acknowledge(1, b"e" * 16, m.Verdict.OPENED),
    m.AcknowledgeNotice(1),
    m.SetPresence(1, b"h" * 32, True),
    m.SetPin(1, b"s" * 16, b"p" * 32),
    m.RemovePin(1),
    m.SetIdentity(1, b"identity"),
    m.SetIdentity(2, None),
    m.DeleteAccount(1),
    m.OfferFile(1, b"f" * 16, b"c" * 16, 2),
    m.PutChunk(1, b"f" * 16, 0, b"x" * SEALED_CHUNK_BYTES),
    m.FetchChunk(1, b"f" * 16, b"c" * 16, 1),
    m.RemoveFile(1, b"f" * 16, b"c" * 16),
    m.Watch(1, (m.Target(NUMBER, b"t" * 16),)),
    m.Ping(1),
)

SERVER: tuple[m.Message, ...] = (
    m.Welcome(1, 1, (), b"p" * 32),
    m.CodeRequested(1, b"s" * 16, 600.0),
    m.Started(1, b"b" * 33),
    m.Proved(1, b"outcome", b"c" * 32),
    m.PinRequired(1, b"outcome", b"c" * 32),
    m.LoggedIn(1, None, 0, 100, 32, b"s" * 40),
    m.Published(1, 100, 32),
    m.LookedUp(1, b"statement"),
    m.LookedUp(1, b"statement", b"identity"),
    m.Bundle(1, b"statement", b"signed", b"kem", m.OneTimePreKey(7, b"k" * 32)),
    m.StockLow(3, 4),
    m.Accepted(1, m.Outcome.STORED),
    m.StaleDevice(1, b"statement"),
    m.Push(1, NUMBER, b"d" * 8, b"envelope"),
    m.Drained(),
    m.Notice(1, m.NoticeReason.EXPIRED, (b"e" * 16,)),
    m.Done(1),
    m.FileHeld(1, 2),
    m.Chunk(1, b"x" * SEALED_CHUNK_BYTES),
    m.Online(1, (NUMBER,), False),
    m.PresenceChanged(NUMBER, True),
    m.Pong(1),
    m.Refused(1, m.RefusalCode.BUSY, "come back", 3.0),
)

LAST_WORD = m.Refused(None, m.RefusalCode.TIMEOUT, "too late")
