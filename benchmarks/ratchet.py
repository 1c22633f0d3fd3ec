"""Encrypt, decrypt, turn and set-up of a session, beside two independent libraries in the same run.

Run as ``python -m benchmarks.ratchet``. Each figure is the median over rounds in which the
contestants take turns, so that a machine whose speed drifts slows all of them alike.

A set-up begins with what was fetched (the recipient's published keys) and ends when both sides have sent
and opened one message. Between strangers everything is verified: for us that is four signatures (both
statements and two prekeys), for X3DH one, for Olm none. Once more, our statements and the signed prekey
have been verified before. The keys of two people, with one of each kind of prekey, are a row of their own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from benchmarks.contestants import OurPair, OurPeople, Pair, People, PythonPeople, RustPeople

ROUNDS = 45
"""So many, because a shared machine changes its speed within a round; their median then differs little."""
SET_UPS = 5
MESSAGES = 200
HYBRID_STEPS = 50
PLAINTEXT = bytes(400)


def microseconds(work: Callable[[], None], count: int) -> float:
    """CPU time of this process for one of `count` pieces of work."""
    before = time.process_time()
    work()
    return (time.process_time() - before) / count * 1e6


def measure(meet: Callable[[], People]) -> dict[str, float]:
    """One round of one contestant."""
    people: list[People] = []
    pairs: list[Pair] = []

    def make_keys() -> None:
        people.extend(meet() for _ in range(SET_UPS))

    def set_up() -> None:
        pairs.extend(two.pair() for two in people)

    figures = {
        "keys of two people": microseconds(make_keys, SET_UPS),
        "set-up of both sides, strangers": microseconds(set_up, SET_UPS),
        "set-up of both sides, once more": microseconds(set_up, SET_UPS),
    }
    pair = pairs[0]
    sent: list[object] = []
    figures["encrypt"] = microseconds(
        lambda: sent.extend(pair.encrypt(0, PLAINTEXT) for _ in range(MESSAGES)), MESSAGES
    )

    def decrypt() -> None:
        for message in sent:
            pair.decrypt(1, message)

    figures["decrypt"] = microseconds(decrypt, MESSAGES)

    def turns() -> None:
        for number in range(MESSAGES):
            side = (number + 1) % 2
            pair.decrypt(1 - side, pair.encrypt(side, PLAINTEXT))

    figures["turn: encrypt, decrypt, both ratchet steps"] = microseconds(turns, MESSAGES)
    if isinstance(pair, OurPair):
        figures |= measure_hybrid(pair)
    return figures


def measure_hybrid(pair: OurPair) -> dict[str, float]:
    """Turns with a post-quantum step, which the peers do not have: an offering one, and its answer."""
    spent = {0: 0.0, 1: 0.0}

    def turn(side: int) -> None:
        pair.decrypt(1 - side, pair.encrypt(side, PLAINTEXT))

    turn(1)
    for _ in range(HYBRID_STEPS):
        pair.post_quantum_step_is_due(0)
        for side in spent:
            spent[side] += microseconds(lambda side=side: turn(side), 1)  # type: ignore[misc]
    return {
        "turn that offers an ML-KEM-768 key": spent[0] / HYBRID_STEPS,
        "turn that answers it": spent[1] / HYBRID_STEPS,
    }


def ratio(rounds: dict[str, list[dict[str, float]]], peer: str, what: str) -> float:
    """Ours to theirs: the median over the rounds, in each of which both met the same machine."""
    pairs = zip(rounds["e2ee"], rounds[peer], strict=True)
    return statistics.median(ours[what] / theirs[what] for ours, theirs in pairs)


def main() -> None:
    """Print a table: microseconds, and ours as a ratio to each peer."""
    people: dict[str, Callable[[], People]] = {
        "e2ee": OurPeople, "doubleratchet+x3dh": PythonPeople, "vodozemac": RustPeople
    }
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in people}
    for _ in range(ROUNDS):
        for name, meet in people.items():
            rounds[name].append(measure(meet))
    print(f"session, {len(PLAINTEXT)} bytes, µs of CPU time, median of {ROUNDS} rounds\n")
    print(f"{'':44}" + "".join(f"{name:>20}" for name in people) + "   e2ee as a ratio to them")
    for what in rounds["e2ee"][0]:
        medians = {
            name: statistics.median(one[what] for one in rounds[name])
            for name in people
            if what in rounds[name][0]
        }
        ratios = [f"{ratio(rounds, name, what):.2f}" for name in medians if name != "e2ee"]
        figures = "".join(f"{figure:20.1f}" for figure in medians.values())
        print(f"{what:44}{figures}   " + ", ".join(ratios))


if __name__ == "__main__":
    main()
