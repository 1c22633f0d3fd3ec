"""Posts each passcode to a web service, such as an SMS gateway: JSON or a form, as the operator writes it.

``https://HOST/PATH#json=FILE&headers=FILE``: what stands after the # is for us and is never sent.
Knows the option, the files and when to try again; one try is `https_request`'s.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from twisted.internet.task import deferLater

from e2ee.ids import Address
from e2ee.server.senders.https_request import Gateway, TryAgain
from e2ee.server.senders.interface import CodeNotSent, SenderRefused, SenderSurroundings
from e2ee.server.senders.private_file import read_private
from e2ee.server.senders.template import Template, form_template, json_template, values_for
from e2ee.server.senders.trust import trust_root
from e2ee.server.senders.url import read_url

PARAMETERS = ("json", "form", "headers", "ca")
PAUSES_SECONDS = (1.0, 4.0)
"""Between the tries: three of them. With ten seconds each they end well within the life of a code."""
IDEMPOTENCY_KEY = "Idempotency-Key"
_KEY_BYTES = 16
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_OURS = frozenset({"content-type", "content-length", "host", "connection", "transfer-encoding"})
_TEMPLATES: Mapping[str, Callable[[str], Template]] = {"json": json_template, "form": form_template}

@dataclass(frozen=True, slots=True)
class Files:
    """What the operator wrote. Read again for each code, so that a change needs no restart."""

    template: Path
    kind: str
    headers: Path | None

    def read(self) -> Contents:
        """Blocks; raises SenderRefused."""
        template = _TEMPLATES[self.kind](read_private(self.template, "template"))
        headers = () if self.headers is None else parse_headers(read_private(self.headers, "headers file"))
        return Contents(template, headers)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in them. Headers, and texts of the template, may be secret."""

    template: Template
    headers: tuple[tuple[str, str], ...] = field(repr=False)


class HttpsSender:
    """One request for each code, tried again under the same key where that may help."""

    at_once = False

    def __init__(self, gateway: Gateway, files: Files, around: SenderSurroundings) -> None:
        self._gateway = gateway
        self._files = files
        self._around = around

    def start(self) -> None:
        """Nothing to prepare."""

    async def send(self, address: Address, code: str, expires_at: int) -> None:
        """Post it; returns when the service has answered with success. Raises CodeNotSent."""
        key = self._around.entropy(_KEY_BYTES).hex()
        contents = await self._contents()
        body = contents.template.fill(values_for(address, code, expires_at, key))
        headers = [*contents.headers, ("Content-Type", contents.template.content_type)]
        await self._try([*headers, (IDEMPOTENCY_KEY, key)], body)

    async def reach(self) -> None:
        """Read the files, and begin TLS with the service, nothing more. Raises CodeNotSent."""
        await self._contents()
        await self._gateway.reach()

    async def stop(self) -> None:
        """Nothing is held: there is a connection for each try."""

    async def _contents(self) -> Contents:
        try:
            contents: Contents = await self._around.in_thread(self._files.read)
        except SenderRefused as refused:
            raise CodeNotSent(str(refused)) from None
        return contents

    async def _try(self, headers: list[tuple[str, str]], body: bytes) -> None:
        for pause in PAUSES_SECONDS:
            try:
                await self._gateway.post(headers, body)
            except TryAgain:
                await deferLater(self._around.reactor, pause)
            else:
                return
        await self._gateway.post(headers, body)


def parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    """Lines of ``Name: value``. Raises SenderRefused, which repeats nothing of them."""
    headers = []
    for number, line in enumerate(text.split("\n"), 1):
        name, colon, value = line.partition(":")
        if not line.strip():
            continue
        value = value.strip()
        fine = colon and _HEADER_NAME.fullmatch(name) and value.isascii() and value.isprintable()
        if not fine or name.lower() in _OURS:
            raise SenderRefused(f"line {number} of the headers file is not a header of yours: Name: value")
        headers.append((name, value))
    return tuple(headers)


def make_sender(option: str, around: SenderSurroundings) -> HttpsSender:
    """For ``https://…``; raises SenderRefused."""
    url = read_url(option, PARAMETERS, in_fragment=True)
    if url.user is not None:
        raise SenderRefused("user and password of a gateway stand in the headers file, as Authorization: …")
    kinds = [kind for kind in _TEMPLATES if kind in url.parameters]
    if len(kinds) != 1:
        raise SenderRefused("the passcode sender https needs #json=FILE or #form=FILE after its address")
    headers, ca = url.parameters.get("headers"), url.parameters.get("ca")
    files = Files(
        template=Path(url.parameters[kinds[0]]).absolute(),
        kind=kinds[0],
        headers=None if headers is None else Path(headers).absolute(),
    )
    files.read()
    root = trust_root(None if ca is None else Path(ca))
    return HttpsSender(Gateway(around.reactor, option.partition("#")[0], root), files, around)
