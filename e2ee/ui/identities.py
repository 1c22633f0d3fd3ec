"""`e2ee identity` and `e2ee trust --ca`: X.509 certificates of the own account, and who may vouch for others.

Knows files and what is printed; what a certificate proves is the client's to know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from e2ee.client.identification.identity_files import key_file, public_file
from e2ee.errors import Code, Failure
from e2ee.ui import trust_records as render
from e2ee.ui.exit_codes import DONE
from e2ee.ui.invocation import Invocation

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations

ASK_SECONDS = 10.0
"""How long `trust --ca` and `verify` wait for a server that could tell them more than the vault has."""


async def attach(call: Invocation, certificate: Path, key: Path) -> int:
    """Have the server hand a certificate out with the own account."""
    chain = await call.in_thread(lambda: public_file(certificate, "certificate"))
    secret = await call.in_thread(lambda: key_file(key))
    async with call.conversations() as messenger:
        await messenger.connected(call.left())
        identity = await messenger.certificates.attach(chain, secret)
        await call.show(render.identity_records(identity), render.identity_object(identity))
    return DONE


async def show(call: Invocation) -> int:
    """What the server hands out."""
    async with call.conversations() as messenger:
        await messenger.connected(call.left())
        identity = await messenger.certificates.own()
        await call.show(render.identity_records(identity), render.identity_object(identity))
    return DONE


async def remove(call: Invocation) -> int:
    """Have it handed out no more."""
    async with call.conversations() as messenger:
        await messenger.connected(call.left())
        await messenger.certificates.remove()
        await call.show(["certificate removed"], render.identity_object(None))
    return DONE


async def trust_authorities(call: Invocation, authorities: Path | None, lists: Path | None) -> int:
    """Trust the authorities of a file, keep their revocation lists, and ask for contacts' certificates."""
    pem = crl = None
    if authorities is not None:
        pem = await call.in_thread(lambda: public_file(authorities, "authority"))
    if lists is not None:
        crl = await call.in_thread(lambda: public_file(lists, "revocation list"))
    async with call.conversations(once=True) as messenger:
        for one in await messenger.certificates.trust(pem, crl):
            await call.show([render.authority_record(one)], render.authority_object(one))
        await ask_server(call, messenger, messenger.certificates.ask_for_all)
    return DONE


async def list_authorities(call: Invocation) -> int:
    """Those that are trusted."""
    async with call.conversations(connect=False) as messenger:
        for one in await messenger.certificates.authorities():
            await call.show([render.authority_record(one)], render.authority_object(one))
    return DONE


async def distrust(call: Invocation, which: str) -> int:
    """Trust one no more."""
    async with call.conversations(connect=False) as messenger:
        gone = await messenger.certificates.distrust(which)
        await call.show([f"removed {render.authority_record(gone)}"], render.authority_object(gone))
    return DONE


async def ask_server(call: Invocation, messenger: Conversations, ask: Callable[[], Awaitable[None]]) -> None:
    """Ask what the vault cannot answer; without a server what is in the vault has to do."""
    try:
        await messenger.connected(min(call.left(), ASK_SECONDS))
        await ask()
    except Failure as failure:
        if failure.code is not Code.UNREACHABLE:
            raise
        call.mention(f"certificates of contacts were not asked for: {failure.sentence}")
