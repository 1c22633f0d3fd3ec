"""What a content says of a file that the server keeps sealed. Knows fields and bounds, not what is in a file.

Layout, all numbers big-endian: name (length in 2, then UTF-8), size (8), file id (16), capability (16),
key (32), SHA-256 (32).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from e2ee.crypto.counters import counter, read_counter
from e2ee.crypto.encoding import FieldReader, prefixed
from e2ee.crypto.limits import FILE_NAME_BYTES
from e2ee.errors import EncodingRefused

_FIELDS = (16, 16, 32, 32)
"""Bytes of file id, capability, key and digest."""


@dataclass(frozen=True, slots=True)
class SharedFile:
    """A file that the server keeps sealed: who has this can fetch and open it (`file_chunks`).

    `name` is what the sender calls it, 1 to FILE_NAME_BYTES of UTF-8, to be trusted with nothing. `digest` is
    the SHA-256 of the whole file, `size` its bytes.
    """

    name: str = field(repr=False)
    size: int
    file_id: bytes
    capability: bytes = field(repr=False)
    key: bytes = field(repr=False)
    digest: bytes = field(repr=False)


def encode_file(file: SharedFile) -> bytes:
    """Its bytes; ValueError for what has no encoding."""
    name = file.name.encode()
    if not 0 < len(name) <= FILE_NAME_BYTES:
        raise ValueError(f"a name has 1 to {FILE_NAME_BYTES} bytes, not {len(name)}")
    fixed = file.file_id, file.capability, file.key, file.digest
    if tuple(map(len, fixed)) != _FIELDS:
        raise ValueError("a field of a file has another length")
    return prefixed(name, 2) + counter(file.size) + b"".join(fixed)


def read_file(reader: FieldReader) -> SharedFile:
    """The reverse; raises EncodingRefused and UnicodeDecodeError."""
    length = reader.number(2)
    if not 0 < length <= FILE_NAME_BYTES:
        raise EncodingRefused("a name of another length")
    name, size = reader.take(length).decode(), read_counter(reader)
    file_id, capability, key, digest = (reader.take(count) for count in _FIELDS)
    return SharedFile(name, size, file_id, capability, key, digest)
