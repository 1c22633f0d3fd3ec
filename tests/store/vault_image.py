"""What a thief reads who has the files of a database and its key: every byte of every page.

Knows the layout of SQLCipher 4 (https://www.zetetic.net/sqlcipher/design/) and of SQLite's write-ahead log
(https://www.sqlite.org/fileformat2.html, section 4), and nothing of tables: unused parts of pages, free
pages and old frames of the log are in it like everything else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from e2ee.store.connection import connect

PAGE_BYTES = 4096
RESERVED_BYTES = 80
"""At the end of each page: IV(16), HMAC-SHA512(64)."""
SALT_BYTES = 16
"""In place of the first bytes of the first page."""
LOG_HEAD_BYTES = 32
FRAME_HEAD_BYTES = 24


def image(path: Path, key: bytes) -> bytes:
    """The pages of the database at `path` and of its log, decrypted with the raw key of 32 bytes."""
    content = path.read_bytes()
    pages = [content[at : at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES)]
    decrypted = [_decrypt(page, key, number == 1) for number, page in enumerate(pages, 1)]
    decrypted += [_decrypt(page, key, number == 1) for number, page in _frames(path)]
    joined = b"".join(decrypted)
    if b"CREATE TABLE" not in joined:
        raise AssertionError("this is not what is in the pages")
    return joined


def image_anew(path: Path, key: bytes) -> bytes:
    """The same of a database made anew of the rows of this one: nothing else is in it."""
    fresh = path.with_name(path.name + "-fresh")
    connection = connect(path, key)
    try:
        connection.execute("VACUUM INTO ?", (str(fresh),))
        return image(fresh, key)
    finally:
        connection.close()
        fresh.unlink(missing_ok=True)


def _frames(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and content of each page in the log, also of those that were moved long ago."""
    log = path.with_name(path.name + "-wal")
    content = log.read_bytes() if log.exists() else b""
    size = FRAME_HEAD_BYTES + PAGE_BYTES
    for at in range(LOG_HEAD_BYTES, len(content) - size + 1, size):
        yield int.from_bytes(content[at : at + 4], "big"), content[at + FRAME_HEAD_BYTES : at + size]


def _decrypt(page: bytes, key: bytes, first: bool) -> bytes:
    end = PAGE_BYTES - RESERVED_BYTES
    decryptor = Cipher(AES256(key), CBC(page[end : end + 16])).decryptor()
    return decryptor.update(page[SALT_BYTES if first else 0 : end])
