"""Published test vectors, read from the package `cryptography_vectors`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

import cryptography_vectors
from cryptography.hazmat.primitives.asymmetric import rsa


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


def oaep(path: str) -> Iterator[tuple[rsa.RSAPrivateKey, bytes, bytes]]:
    """(private key, message, ciphertext) of a file with a name in a comment above each value."""
    values: dict[str, int] = {}
    message = name = ""
    with _opened(path) as lines:
        for line in map(str.strip, lines):
            if line.startswith("#"):
                name = line.strip("# :").lower()
            elif name == "message":
                message = line
            elif name == "encryption":
                yield _rsa(values), bytes.fromhex(message), bytes.fromhex(line)
            else:
                values[name] = int(line, 16)


def _rsa(values: dict[str, int]) -> rsa.RSAPrivateKey:
    return rsa.RSAPrivateNumbers(
        p=values["prime 1"],
        q=values["prime 2"],
        d=values["exponent"],
        dmp1=values["prime exponent 1"],
        dmq1=values["prime exponent 2"],
        iqmp=values["coefficient"],
        public_numbers=rsa.RSAPublicNumbers(values["public exponent"], values["modulus"]),
    ).private_key()


def _opened(path: str) -> IO[str]:
    return cryptography_vectors.open_vector_file(path, "r")
