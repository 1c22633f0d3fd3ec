"""A vault with 100,000 messages, searched: what somebody waits for who looks for a word.

Run as ``python -m benchmarks.history``. The yardsticks of the same run are a look at every text (what
SQLite does without an index), and the same file's newest twenty texts without any search.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from e2ee.ids import Address, DeviceId, MessageId
from e2ee.store.client import history, messages
from e2ee.store.client.history import Past
from e2ee.store.client.messages import RELEASED, MessageRecord
from e2ee.store.client.search import parse_search
from e2ee.store.connection import Connection, connect
from e2ee.store.upgrade import schema_files, upgrade

MESSAGES = 100_000
CONTACTS = 100
VOCABULARY = 20_000
ROUNDS = 7
SCREEN = 20
DAY_MS = 86_400_000


def _texts(chance: random.Random) -> list[str]:
    """Texts whose words are as unevenly frequent as those of a language."""
    letters = "abcdefghijklmnopqrstuvwxyzäöü"
    words = ["".join(chance.choices(letters, k=chance.randint(2, 10))) for _ in range(VOCABULARY)]
    words[0], words[-1] = "the", "quittung"
    weights = [1 / (rank + 1) for rank in range(VOCABULARY)]
    texts = [" ".join(chance.choices(words, weights, k=chance.randint(3, 25))) for _ in range(MESSAGES)]
    texts[MESSAGES // 3] += " quittung 世界 c++"
    return texts


def _record(number: int, text: str) -> MessageRecord:
    address = Address(f"+1555010{number % CONTACTS:04d}")
    own = number % 3 == 0
    message_id = MessageId(number.to_bytes(16, "big"))
    device = None if own else DeviceId(bytes(8))
    return MessageRecord(
        "out" if own else "in", address, device, message_id, number, number * 1000,
        None if own else number * 1000, text, False, False, "stored" if own else RELEASED,
    )


def _fill(tx: Connection) -> float:
    """Seconds that it took to keep all texts."""
    texts = _texts(random.Random(1))
    began = time.perf_counter()
    tx.execute("BEGIN")
    for number, text in enumerate(texts):
        messages.add_message(tx, _record(number, text))
    tx.execute("COMMIT")
    return time.perf_counter() - began


def _milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken), max(taken)


def _look(tx: Connection, past: Past) -> int:
    """What `e2ee history` does before it prints."""
    return len(history.load(tx, history.find(tx, past)))


def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "vault"
        tx = connect(path, os.urandom(32))
        upgrade(tx, schema_files("client"))
        filled = _fill(tx)
        tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        print(f"{MESSAGES:,} messages, {path.stat().st_size / 1e6:.0f} MB, kept in {filled:.1f} s\n")
        print(f"{'':44}{'found':>8}{'median':>10}{'longest':>10}")
        bob = Address("+15550100007")
        for what, past in (
            ("no search, the newest 20", Past(limit=SCREEN)),
            ("a rare word", Past(search=parse_search("quittung"))),
            ("the most frequent word, the newest 20", Past(search=parse_search("the"), limit=SCREEN)),
            ("two frequent words, the newest 20", Past(search=parse_search("the a"), limit=SCREEN)),
            ("one letter, the newest 20", Past(search=parse_search("a"), limit=SCREEN)),
            ("a frequent word of one contact", Past(bob, search=parse_search("the"))),
            ("received, of the last day, with a word",
             Past(direction="in", since=MESSAGES * 1000 - DAY_MS, search=parse_search("the"), limit=SCREEN)),
            ("a word in a script without spaces", Past(search=parse_search("世界"))),
            ("as it is written: c++", Past(search=parse_search("c++"))),
        ):  # fmt: skip
            median, longest = _milliseconds(lambda past=past: _look(tx, past))  # type: ignore[misc]
            print(f"{what:44}{_look(tx, past):8}{median:8.0f} ms{longest:7.0f} ms")
        scan = "SELECT count(*) FROM message WHERE text LIKE '%quittung%'"
        median, longest = _milliseconds(lambda: tx.execute(scan).fetchall())
        print(f"{'yardstick: LIKE over all texts':44}{1:8}{median:8.0f} ms{longest:7.0f} ms")
        _forget(tx, bob)
        tx.close()


def _forget(tx: Connection, address: Address) -> None:
    for what, rows in (
        ("forget one message", [5]),
        ("forget a conversation", history.find(tx, Past(address))),
    ):
        began = time.perf_counter()
        tx.execute("BEGIN")
        history.forget(tx, rows, 1)
        tx.execute("COMMIT")
        print(f"{what:44}{len(rows):8}{1000 * (time.perf_counter() - began):8.0f} ms")
    began = time.perf_counter()
    tx.execute("VACUUM")
    tx.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    taken = 1000 * (time.perf_counter() - began)
    print(f"{'make the file anew, once at the end':52}{taken:8.0f} ms")


if __name__ == "__main__":
    main()
