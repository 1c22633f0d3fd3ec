"""What the line editor is made of, as prompt_toolkit wants it: terminal, earlier lines, completion, colours.

Knows prompt_toolkit's interfaces; not what is edited, nor when.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

from e2ee.ui.live_records import Row
from e2ee.ui.sanitiser import clean_line
from e2ee.ui.suggestions import Suggestion

STYLE = Style.from_dict(
    {
        "notice": "ansicyan",
        "own": "ansigreen",
        "asked": "bold",
        "bottom-toolbar": "noreverse",
        "bottom-toolbar.text": "reverse",
    }
)


def fragments(rows: Iterable[Row]) -> StyleAndTextTuples:
    """Rows in their colours."""
    return [(f"class:{row.tone.value}", f"{row.text}\n") for row in rows]


class Silent(Vt100_Output):
    """A terminal that is never asked where its cursor is: it could not tell an answer from typing."""

    def get_rows_below_cursor_position(self) -> int:
        """What is drawn begins where the cursor is, and pushes the rest up as it needs rows."""
        return 1


def silent(output: Any, term: str | None) -> Silent:
    """The terminal behind this text stream; `NO_COLOR` is heeded."""
    made = Silent.from_pty(output, term=term, default_color_depth=ColorDepth.from_env(), enable_bell=False)
    return cast(Silent, made)


class Typed(InMemoryHistory):
    """Earlier lines, for the arrow keys and Ctrl-R."""

    def __init__(self, typed: Sequence[str], remember: Callable[[str], None]) -> None:
        super().__init__(typed)
        self._remember = remember

    def store_string(self, string: str) -> None:
        """See `History.store_string`."""
        self._remember(string)


class Suggesting(Completer):
    """What Tab offers."""

    def __init__(self, suggest: Callable[[str], Iterable[Suggestion]]) -> None:
        self._suggest = suggest

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """See `Completer.get_completions`."""
        for one in self._suggest(document.text_before_cursor):
            yield Completion(
                one.text,
                start_position=-one.replaces,
                display=clean_line(one.text),
                display_meta=clean_line(one.meaning),
            )
