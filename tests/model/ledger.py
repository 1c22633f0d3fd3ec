"""What was said and what was seen, and whether that is what was promised.

Knows texts, which are all different, by their words, and pairs of names; nothing of vaults or connections.
What is excused, and why, is for those who cause it to say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable

Pair = tuple[str, str]
"""A sender's name and a recipient's."""


class Ledger:
    """What has happened between all pairs."""

    def __init__(self) -> None:
        self.said: dict[Pair, list[str]] = defaultdict(list)
        self._seen: dict[Pair, list[str]] = defaultdict(list)
        self._late: set[str] = set()
        self._doubled: list[str] = []
        self._unreadable: Counter[Pair] = Counter()
        self._may_be_lost: set[str] = set()
        self._may_double: set[str] = set()
        self._unknown: set[str] = set()

    def say(self, pair: Pair) -> str:
        """Something new from one to the other; its words."""
        text = f"{pair[0]} to {pair[1]} {len(self.said[pair])}"
        self.said[pair].append(text)
        return text

    def show(self, pair: Pair, text: str, *, repeated: bool, late: bool) -> None:
        """A reader has printed it."""
        if text not in self._seen[pair]:
            self._seen[pair].append(text)
            if late:
                self._late.add(text)
        elif text in self._may_double:
            self._may_double.remove(text)
        elif not repeated:
            self._doubled.append(text)

    def show_unreadable(self, pair: Pair) -> None:
        """A reader has printed that something could not be read."""
        self._unreadable[pair] += 1

    def was_seen(self, text: str) -> bool:
        """Whether a reader has printed it."""
        return any(text in seen for seen in self._seen.values())

    # --- what is excused ----------------------------------------------------------------------

    def may_be_lost(self, texts: Iterable[str]) -> None:
        """These need not be seen."""
        self._may_be_lost.update(texts)

    def may_double(self, texts: Iterable[str]) -> None:
        """Nobody can know that these were seen: each may be seen once more without a word."""
        self._may_double.update(texts)

    def is_unknown(self, texts: Iterable[str]) -> None:
        """Their sender's vault does not know any more that it has sent these."""
        self._unknown.update(texts)

    # --- the end ------------------------------------------------------------------------------

    def known(self, pair: Pair) -> list[str]:
        """What the sender's history must have."""
        return [text for text in self.said[pair] if text not in self._unknown]

    @property
    def doubled(self) -> list[str]:
        """What was seen again without a word."""
        return self._doubled

    def late(self, pair: Pair) -> list[str]:
        """What was seen behind its place, and marked as late."""
        return [text for text in self._seen[pair] if text in self._late]

    def in_order(self, pair: Pair) -> tuple[list[str], list[str]]:
        """What was seen in its place, as it was said and as it was seen."""
        seen = [text for text in self._seen[pair] if text not in self._late]
        return [text for text in self.said[pair] if text in seen], seen

    def lost(self, pair: Pair, failed: Collection[str], *, unreadable: bool) -> list[str]:
        """What was not seen, and should have been. `failed`: of which the sender was told that it would not;
        `unreadable`: the recipient was told of a message that could not be read, in place of each."""
        seen = self._seen[pair]
        left = [text for text in self.said[pair] if text not in seen and text not in failed]
        left = [text for text in left if text not in self._may_be_lost]
        return left[self._unreadable[pair] :] if unreadable else left
