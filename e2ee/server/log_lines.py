"""The server's log: one event a line, as text or as JSON, whatever stands in the event.

Knows Twisted's log events. Nothing here is trusted: control characters and line ends are escaped, and
a phone number that found its way into an event is not written, but for the one line whose purpose it
is (the code sender `console`).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import IO, Any

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.logfile import LogFile

from e2ee.server.times import rfc3339

LINE_CHARACTERS = 16 * 1024
"""Of one line; a traceback is far below."""
DEFAULT_LOG_FILE = "twistd.log"
_NUMBER = re.compile(r"(?<![\w+])\+[1-9][0-9]{6,14}(?!\w)", re.ASCII)
_SAYS_NUMBERS = "e2ee.server.senders.console"
_CONTINUED = "…"


def text_line(event: LogEvent) -> str | None:
    """``TIME [SYSTEM#LEVEL] MESSAGE``; None for what is not logged."""
    message = _message(event)
    if message is None:
        return None
    failure = _failure(event)
    whole = message if failure is None else f"{message} {failure}"
    shown = _cut(_one_line(_without_numbers(event, whole)))
    return f"{_time(event)} [{_system(event)}#{_level(event)}] {shown}\n"


def json_line(event: LogEvent) -> str | None:
    """The same as an object: time, level, system, message, what the message was made of, and error."""
    message = _message(event)
    if message is None:
        return None
    line: dict[str, object] = {
        "time": _time(event),
        "level": _level(event),
        "system": _system(event),
        "message": _cut(_without_numbers(event, message)),
    }
    fields = {name: _cut(_without_numbers(event, value)) for name, value in _fields(event).items()}
    if fields:
        line["fields"] = fields
    failure = _failure(event)
    if failure is not None:
        line["error"] = _cut(_without_numbers(event, failure))
    return json.dumps(line) + "\n"


def observer(form: str, twistd: Mapping[str, Any]) -> ILogObserver | None:
    """Where twistd's own options (`twistd`) want the log, in this form; None where they choose otherwise.

    Syslog and `--logger` stay what they are.
    """
    if twistd.get("syslog") or twistd.get("logger"):
        return None
    line: Callable[[LogEvent], str | None] = json_line if form == "json" else text_line
    path = twistd.get("logfile")
    stream: IO[Any] | Any = sys.stdout
    if path not in (None, "", "-") or not twistd.get("nodaemon"):
        stream = LogFile.fromFullPath(path or DEFAULT_LOG_FILE)
    return FileLogObserver(stream, line)


def _message(event: LogEvent) -> str | None:
    if event.get("log_level", LogLevel.info) is LogLevel.debug:
        return None
    return formatEvent(event) or None


def _time(event: LogEvent) -> str:
    return rfc3339(float(event.get("log_time") or 0.0))


def _level(event: LogEvent) -> str:
    return str(getattr(event.get("log_level"), "name", "info"))


def _system(event: LogEvent) -> str:
    return _one_line(str(event.get("log_namespace") or "-"))


def _fields(event: LogEvent) -> dict[str, Any]:
    """The plain values that the message was made of."""
    return {
        name: value
        for name, value in event.items()
        if not name.startswith("log_") and name != "time" and isinstance(value, (str, int, float))
        and name not in ("isError", "printed", "system", "format")
    }  # fmt: skip


def _failure(event: LogEvent) -> str | None:
    failure = event.get("log_failure")
    if failure is None:
        return None
    try:
        return str(failure.getTraceback())
    except Exception:
        return "a traceback that cannot be shown"


def _without_numbers(event: LogEvent, value: Any) -> Any:
    if not isinstance(value, str) or str(event.get("log_namespace", "")).startswith(_SAYS_NUMBERS):
        return value
    return _NUMBER.sub("+…", value)


def _cut(value: Any) -> Any:
    if not isinstance(value, str) or len(value) <= LINE_CHARACTERS:
        return value
    return value[:LINE_CHARACTERS] + _CONTINUED


def _one_line(text: str) -> str:
    """No line ends, no control characters, nothing that turns the direction of writing."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
