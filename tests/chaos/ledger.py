"""What was accepted against what was shown: lost, doubled, unexpected, reordered. Pure.

Knows one stream of texts, from one person to another; a run has several. Every text is written once in
a run, so a text names its message; where the output has ids, they must be the sender's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Accepted:
    """A text in the sender's own records, which he was not told to have failed."""

    text: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A whole line that the recipient's program has printed. `message_id` is None where no id is printed."""

    text: str
    message_id: str | None = None
    repeated: bool = False
    late: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """The texts that break the promise, and in which way."""

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reordered: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        """The promise was kept."""
        return not any(getattr(self, field.name) for field in fields(self))

    def __str__(self) -> str:
        return ", ".join(_count(field.name, getattr(self, field.name)) for field in fields(self))


def judge(accepted: Sequence[Accepted], shown: Iterable[Shown]) -> Verdict:
    """One stream, after all has come to rest."""
    places = {one.text: place for place, one in enumerate(accepted)}
    ids = {one.text: one.message_id for one in accepted}
    seen: set[str] = set()
    doubled, unexpected, reordered = [], [], []
    highest = -1
    for one in shown:
        if one.text not in places or one.message_id not in (None, ids[one.text]):
            unexpected.append(one.text)
        elif one.text in seen:
            if not one.repeated:
                doubled.append(one.text)
        else:
            seen.add(one.text)
            if places[one.text] < highest or one.late:
                reordered.append(one.text)
            highest = max(highest, places[one.text])
    lost = tuple(one.text for one in accepted if one.text not in seen)
    return Verdict(lost, tuple(doubled), tuple(unexpected), tuple(reordered))


def total(verdicts: Iterable[Verdict]) -> Verdict:
    """All streams together."""
    found = list(verdicts)
    return Verdict(*(tuple(t for v in found for t in getattr(v, field.name)) for field in fields(Verdict)))


def _count(name: str, texts: Sequence[str]) -> str:
    return f"{name} {len(texts)}" + (f" ({'; '.join(text[:60] for text in texts[:3])})" if texts else "")
