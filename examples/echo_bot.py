"""A bot in a few lines: it drives `e2ee chat` through pipes and sends back whatever arrives."""

from __future__ import annotations

import re
import threading

from examples.stage import Chat

ARRIVAL = re.compile(r"\[[^\]]+\] [^:]+: (?P<text>.*)")


class EchoBot:
    """Answers every arriving message of one open chat."""

    def __init__(self, chat: Chat) -> None:
        self._chat = chat
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        answered = 0
        while not self._stopped.wait(0.05):
            lines = self._chat.screen.lines
            for line in lines[answered:]:
                answered += 1
                if arrival := ARRIVAL.fullmatch(line):
                    self._chat.type("You said: " + arrival["text"])

    def stop(self) -> None:
        """Leave the chat."""
        self._stopped.set()
        self._thread.join()
        self._chat.leave()
