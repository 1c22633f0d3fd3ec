"""An option that is a URL: who, where, and parameters. Pure; knows neither mail nor gateways.

A password in it is refused and never repeated, since every user of the machine can see the arguments
of a process.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from e2ee.server.senders.interface import SenderRefused

_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}", re.ASCII)
_PRINTABLE = re.compile(r"[!-~]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class SenderUrl:
    """The parts; `port` None where the URL has none, `user` decoded. `parameters` by name."""

    scheme: str
    user: str | None
    host: str
    port: int | None
    path: str
    query: str
    parameters: Mapping[str, str]


def read_url(option: str, known: Collection[str], in_fragment: bool = False) -> SenderUrl:
    """Take the option apart; its parameters stand in the query, or in the fragment.

    Raises SenderRefused for what is no URL, has a password, or names parameters that are not `known`.
    """
    if not _PRINTABLE.fullmatch(option):
        raise SenderRefused(
            "the address of a sender has only printable ASCII characters: write others as %XX"
        )
    try:
        parts = urlsplit(option)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise SenderRefused("the address of a sender is a URL such as smtp://HOST:PORT/") from None
    if parts.password is not None:
        raise SenderRefused("a password does not stand in the address of a sender, but in a file of its own")
    if not _HOST.fullmatch(host) or port == 0:
        raise SenderRefused("the address of a sender names a host, and perhaps a port")
    parameters = _parameters(parts.fragment if in_fragment else parts.query, known)
    user = None if parts.username is None else unquote(parts.username)
    return SenderUrl(parts.scheme, user, host, port, parts.path, parts.query, parameters)


def _parameters(text: str, known: Collection[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split("&") if text else ():
        name, _, value = part.partition("=")
        if name not in known:
            raise SenderRefused(f"{name!a} is no parameter of this sender: it has {', '.join(sorted(known))}")
        if name in found or not value:
            raise SenderRefused(f"the sender's parameter {name} is given once, and not empty")
        found[name] = unquote(value)
    return found
