"""Published test vectors, read from the package `cryptography_vectors`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import cryptography_vectors


def records(path: str, first: str) -> Iterator[dict[str, str]]:
    """The records of a file of lines `name = value`; each begins with the name `first`.

    Names come in lower case; values as written, without quotation marks. Comments and the headings
    of sections are left out.
    """
    record: dict[str, str] = {}
    with _opened(path) as lines:
        for line in lines:
            name, separator, value = (part.strip() for part in line.partition("="))
            if not separator or name.startswith(("#", "[")):
                continue
            if name.lower() == first and record:
                yield record
                record = {}
            record[name.lower()] = value.strip('"')
    yield record


def signatures(count: int) -> Iterator[tuple[bytes, bytes, bytes, bytes]]:
    """(seed, public key, message, signature) of Ed25519's reference vectors."""
    with _opened("asymmetric/Ed25519/sign.input") as lines:
        for line, _ in zip(lines, range(count), strict=False):
            secret, public, message, signed = (bytes.fromhex(part) for part in line.split(":")[:4])
            yield secret[:32], public, message, signed[:64]


def _opened(path: str) -> IO[str]:
    return cryptography_vectors.open_vector_file(path, "r")
