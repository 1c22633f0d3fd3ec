"""What somebody looks for, as an expression for the index of words. Pure.

Knows how FTS5 cuts texts into words (its tokenizer `unicode61`, with diacritics left out); not where the
index is. See https://www.sqlite.org/fts5.html, section 3.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_TERM = re.compile(r'"([^"]*)"|(\S+)')
_WITHOUT_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
)
"""Scripts that write no spaces: a whole sentence would be one word of the index."""


@dataclass(frozen=True, slots=True)
class Search:
    """`match` is for the index, None if it does not help; `exact` are parts that the text must hold."""

    match: str | None = None
    exact: tuple[str, ...] = ()

    @property
    def caseless(self) -> str | None:
        """One of the exact parts that can only be written in one way, if there is one."""
        return next((part for part in self.exact if part.upper() == part.lower() == part), None)

    def holds(self, text: str) -> bool:
        """Whether what the index cannot tell is in this text, in whatever case."""
        folded = text.casefold()
        return all(part in folded for part in self.exact)


def parse_search(text: str) -> Search:
    """Words that all must be there, each as the beginning of one; ``"several words"`` one after the other.

    Case and diacritics do not matter. Where a term has other characters than letters and digits, it must
    be in the text as it is written; nothing to look for is in every text.
    """
    terms = [(phrase or word).casefold() for phrase, word in _TERM.findall(text)]
    terms = [term for term in terms if term.strip()]
    match = " AND ".join(_expression(term) for term in terms if _is_indexed(term))
    return Search(match or None, tuple(term for term in terms if not _is_plain(term)))


def _expression(term: str) -> str:
    """Two, where a sharp s may have been written as two letters."""
    spellings = dict.fromkeys((term, term.replace("ss", "ß")))
    quoted = ['"' + one.replace('"', '""').replace("\0", " ") + '"*' for one in spellings]
    return f"({' OR '.join(quoted)})"


def _is_plain(term: str) -> bool:
    """Whether the index tells all there is to know about it."""
    return all(character == " " or _is_of_a_word(character) for character in term)


def _is_indexed(term: str) -> bool:
    """Whether it has a word that the index would find."""
    if any(low <= ord(one) <= high for one in term for low, high in _WITHOUT_SPACES):
        return False
    return any(_is_of_a_word(character) for character in term)


def _is_of_a_word(character: str) -> bool:
    """A letter or a digit as the tokenizer knows them, or a mark on one."""
    point = ord(character)
    if point > 0xFFFF or any(low <= point <= high for low, high in _WITHOUT_SPACES):
        return False
    return unicodedata.category(character)[0] in "LNM"
