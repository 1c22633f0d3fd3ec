"""SPAKE2 as docs/cryptography.md, section 6, has it: on edwards25519, in whole numbers, slowly.

For tests and for readers; nothing of `e2ee` or `spake2` is used.
"""

from __future__ import annotations

from itertools import count

from tests.crypto.stranger import hkdf, len2, mac, sha256

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
Point = tuple[int, int]


def add(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    both = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + both, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - both, -1, P) % P,
    )


def times(factor: int, point: Point) -> Point:
    sum_of, power = (0, 1), point
    while factor:
        if factor & 1:
            sum_of = add(sum_of, power)
        power, factor = add(power, power), factor >> 1
    return sum_of


def encode(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def even_x(y: int) -> int | None:
    """The even x to this y, if there is a point."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * ROOT % P
    if x * x % P != square:
        return None
    return x if x % 2 == 0 else P - x


def decode(encoded: bytes) -> Point:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & 2**255 - 1
    x = even_x(y)
    assert x is not None
    return (P - x if sign else x, y)


def nobodys(seed: bytes) -> Point:
    """M and N: the first point that the seed leads to, times 8."""
    start = int.from_bytes(hkdf(b"", seed, b"SPAKE2 arbitrary element", 48), "big") % P
    for more in count():
        y = (start + more) % P
        x = even_x(y)
        if x is not None:
            return times(8, (x, y))
    raise AssertionError


_BASE_Y = 4 * pow(5, -1, P) % P
BASE = (even_x(_BASE_Y) or 0, _BASE_Y)
M = decode(bytes.fromhex("15cfd18e385952982b6a8f8c7854963b58e34388c8e6dae891db756481a02312"))
N = decode(bytes.fromhex("f04f2e7eb734b2a8f8b472eaf9c3c632576ac64aea650b496a8a20ff00e583c3"))


def scalar(randomness: bytes) -> int:
    return int.from_bytes(randomness, "big") % L


def secret_of(passcode: bytes) -> int:
    return int.from_bytes(hkdf(b"", passcode, b"SPAKE2 pw", 48), "big") % L


def message(side: bytes, passcode: bytes, randomness: bytes) -> bytes:
    """A or B."""
    blinding = times(secret_of(passcode), M if side == b"A" else N)
    return side + encode(add(times(scalar(randomness), BASE), blinding))


def confirmation_keys(
    passcode: bytes, identity: list[bytes], a: bytes, b: bytes, x: bytes
) -> tuple[bytes, bytes]:
    """Kc and Ks, as the client computes them with its randomness; `identity` is all behind the label."""
    unblinded = add(decode(b[1:]), times(L - secret_of(passcode), N))
    ids = [
        b"".join(map(len2, (b"e2ee/1 passcode proof, " + side, *identity))) for side in (b"client", b"server")
    ]
    shared = encode(times(scalar(x), unblinded))
    key = sha256(sha256(passcode) + b"".join(map(sha256, ids)) + a[1:] + b[1:] + shared)
    client, server = (
        hkdf(bytes(32), key, b"e2ee/1 passcode confirmation by the " + side, 32)
        for side in (b"client", b"server")
    )
    return client, server


def confirm(key: bytes, *parts: bytes) -> bytes:
    """Over the hash of the body, and what follows it."""
    return mac(key, sha256(parts[0]) + b"".join(parts[1:]))
