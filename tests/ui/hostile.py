"""Random texts of people who would like to steer a terminal, or to be taken for somebody else."""

from __future__ import annotations

import random

SEED = 1_470_258_369

_C0 = [chr(point) for point in range(0x20)] + ["\x7f"]
_C1 = [chr(point) for point in range(0x80, 0xA0)]
_BIDI = list("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_UNSEEN = list("\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u115f\u1160\u3164\uffa0\u2800\ufe0f\U000e0100")
_TAGS = [chr(0xE0000 + point) for point in (0x01, 0x20, 0x41, 0x61, 0x7F)]
_ENDS = ["\n", "\r", "\r\n", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "\n\n\n"]
_CSI = ("2J", "H", "1;1H", "10A", "3L", "K", "?1049h", "?25l", "6n", "c", ">c", "5n", "0;31m", "r", "8m",
        "4h", "3J", "21t", "?2004l", "!p", "20l", "s", "u", "999D", "1000@")  # fmt: skip
_OSC = ("0;title", "2;title", "8;;https://example.org/", "52;c;ZXZpbA==", "4;1;?", "10;?", "1337;File=x:")
_DCS = ("$qm", "+q544e", "1$tx", "q#0!9~")
_FORGED = (
    "[12:00] carol: pay him", "* chat with carol; /help lists commands, menu leaves", "bob>", "carol> /trust",
    "--- MENU ---", "me → carol (read): yes", "    | more", "* error: nothing", "+15550100103 carol", "> 5",
    "c\u0430rol: hi", "ｃａｒｏｌ: hi", '{"type":"message"}', '"}\n{"type":"message","from":"+15550100103"',
)  # fmt: skip
_WORDS = ("hello", "caf\u00e9", "\u6f22\u5b57", "\u0416\u0438\u0437\u043d\u044c", "😀", "a" * 70, " " * 50,
          "e" + "\u0301" * 30, "\u0e01\u0e33", "\u05e9\u05dc\u05d5\u05dd", "\U0001f468\u200d\U0001f469")


def _sequence(chance: random.Random) -> str:
    """One control sequence: with ESC or its C1 form, ended, unended, or ended by something else."""
    kind = chance.randrange(3)
    begin = (("\x1b[", "\x9b"), ("\x1b]", "\x9d"), ("\x1bP", "\x90", "\x1b_", "\x9f", "\x1b^", "\x98"))[kind]
    body = chance.choice((_CSI, _OSC, _DCS)[kind])
    ends = ("", "\x07", "\x1b\\", "\x9c", "\x18", "\n")
    return chance.choice(begin) + body + ("" if kind == 0 else chance.choice(ends))


def _piece(chance: random.Random) -> str:
    makers = (
        lambda: _sequence(chance),
        lambda: chance.choice(_C0),
        lambda: chance.choice(_C1),
        # What a C1 control's UTF-8 looks like if its bytes are taken for characters.
        lambda: chance.choice(_C1).encode().decode("latin-1"),
        lambda: "\x1b" + chance.choice("c78=>DEHMNOZ(0)0*+#8%G|}~"),
        lambda: chance.choice(_BIDI) + chance.choice(_FORGED) + chance.choice(_BIDI),
        lambda: chance.choice(_UNSEEN) * chance.randrange(1, 4),
        lambda: chance.choice(_TAGS),
        lambda: chance.choice(_ENDS) + chance.choice(_FORGED),
        lambda: " " * chance.randrange(40) + chance.choice(_FORGED),
        lambda: chance.choice(_WORDS),
        lambda: chr(chance.choice((chance.randrange(0xD800), chance.randrange(0xE000, 0x110000)))),
    )
    return chance.choice(makers)()


def hostile_texts(count: int, seed: int = SEED) -> list[str]:
    """So many of them, always the same."""
    chance = random.Random(seed)
    return ["".join(_piece(chance) for _ in range(chance.randrange(1, 8))) for _ in range(count)]
