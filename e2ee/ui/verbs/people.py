"""`online`, `contacts`, `verify` and `trust`, as the command line declares them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from e2ee.errors import Code, Failure
from e2ee.ui.options import FilePath, given_options
from e2ee.ui.verbs.verb import verb, verb_group

if TYPE_CHECKING:
    from e2ee.client.agent import Conversations
    from e2ee.client.events import Contact


@verb("online", "e2ee online", "e2ee online --json")
def online() -> int:
    """List who else is connected, as far as you may see it."""
    from e2ee.ui.address_book import online as run_online
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), run_online)


@verb_group(
    "contacts",
    "e2ee contacts",
    "e2ee contacts add +15550100102 bob",
    "e2ee contacts rename bob robert",
    "e2ee contacts block +15550100103",
    "e2ee contacts import contacts.vcf",
    invoke_without_command=True,
)
def contacts() -> int | None:
    """List the address book, or change it. A name can stand wherever ADDRESS does."""
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        return None
    from e2ee.ui.address_book import contacts as run_contacts
    from e2ee.ui.runner import run

    return run(given_options(context), run_contacts)


def _change(change: Callable[[Conversations], Awaitable[Contact]]) -> int:
    from e2ee.ui.address_book import change_contact
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), lambda call: change_contact(call, change))


@verb("add", "e2ee contacts add +15550100102 bob")
@click.argument("address")
@click.argument("name")
def add(address: str, name: str) -> int:
    """Put ADDRESS into the address book as NAME, and accept messages from there."""

    async def change(messenger: Conversations) -> Contact:
        return await messenger.add_contact(await messenger.resolve(address), name)

    return _change(change)


@verb("rename", "e2ee contacts rename bob robert")
@click.argument("address")
@click.argument("name")
def rename(address: str, name: str) -> int:
    """Give ADDRESS, or the contact of that name, another NAME."""

    async def change(messenger: Conversations) -> Contact:
        return await messenger.rename_contact(await messenger.resolve(address), name)

    return _change(change)


@verb("block", "e2ee contacts block bob")
@click.argument("address")
def block(address: str) -> int:
    """Never show anything from ADDRESS again. The sender does not learn of it."""

    async def change(messenger: Conversations) -> Contact:
        return await messenger.block_contact(await messenger.resolve(address))

    return _change(change)


@verb("remove", "e2ee contacts remove bob")
@click.argument("address")
def remove(address: str) -> int:
    """Take ADDRESS out of the address book."""

    async def change(messenger: Conversations) -> Contact:
        return await messenger.remove_contact(await messenger.resolve(address))

    return _change(change)


@verb("timer", "e2ee contacts timer bob 1d", "e2ee contacts timer bob off", "e2ee contacts timer bob")
@click.argument("address")
@click.argument("time", required=False, metavar="[30s|5m|8h|1d|4w|off]")
def timer(address: str, time: str | None) -> int:
    """Have messages with ADDRESS disappear after this time, here and there, from the next one on.

    Without a time, it is shown. Own messages go that long after they were sent, received ones after they
    were first shown: for good, from the history and its search, too. Either side can set it; the newest
    setting counts.
    """
    from e2ee.ui.times import parse_span

    seconds = None if time is None else parse_span(time)

    async def change(messenger: Conversations) -> Contact:
        return await messenger.set_timer(await messenger.resolve(address), seconds)

    return _change(change)


@verb("export", "e2ee contacts export contacts.vcf", "e2ee contacts export contacts.csv")
@click.argument("file", type=FilePath())
@click.option("--format", "form", type=click.Choice(("vcard", "csv")),
              help="What to write.  [default: by the end of FILE's name]")
def export(file: Path, form: str | None) -> int:
    """Write the address book to FILE, which must not exist: names and numbers of all you have accepted.

    As vCard 4.0 (.vcf) or CSV (.csv). Keys, marks of verification and who is blocked are not in it.
    """
    from e2ee.client.contacts.contact_file import ContactFormat
    from e2ee.ui.contact_files import export as run_export
    from e2ee.ui.runner import run

    chosen = None if form is None else ContactFormat(form)
    return run(given_options(click.get_current_context()), lambda call: run_export(call, file, chosen))


@verb("import", "e2ee contacts import contacts.vcf", "e2ee contacts import --skip phone.vcf")
@click.argument("file", type=FilePath())
@click.option("--skip", is_flag=True, help="Leave out what cannot be imported, and say so.")
def take_in(file: Path, skip: bool) -> int:
    """Add the contacts of FILE (vCard 2.1, 3.0, 4.0, or CSV) to the address book, all of them or none.

    Numbers need their country code, and no two names may look the same. Whoever has a name here keeps
    it, and whoever is blocked stays so; nobody is verified by it, and nothing is sent.
    """
    from e2ee.ui.contact_files import take_in as run_import
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), lambda call: run_import(call, file, skip=skip))


for _command in (add, rename, block, remove, timer, export, take_in):
    contacts.add_command(_command)


@verb(
    "verify",
    "e2ee verify bob",
    "e2ee verify bob --qr",
    "e2ee verify bob --confirm '12345 67890 …'",
)
@click.argument("address")
@click.option("--confirm", metavar="DIGITS", help="Compare with what the other side reads out, or shows.")
@click.option("--qr", is_flag=True, help="Show it as a QR code, too.")
def verify(address: str, confirm: str | None, qr: bool) -> int:
    """Show the safety number shared with ADDRESS: both sides see the same, unless somebody is in between."""
    from e2ee.ui.address_book import checked_digits
    from e2ee.ui.address_book import verify as run_verify
    from e2ee.ui.runner import run

    digits = None if confirm is None else checked_digits(confirm)
    return run(given_options(click.get_current_context()), lambda call: run_verify(call, address, digits, qr))


@verb(
    "trust",
    "e2ee trust bob",
    "e2ee trust --ca company-ca.pem --crl company-crl.pem",
    "e2ee trust --list-ca",
    "e2ee trust --remove-ca 'Our company'",
)
@click.argument("address", required=False, metavar="[ADDRESS]")
@click.option("--ca", metavar="FILE", type=FilePath(), help="Trust these certification authorities (PEM).")
@click.option("--crl", metavar="FILE", type=FilePath(),
              help="Revocation lists of trusted authorities (PEM or DER), in place of older ones.")
@click.option("--list-ca", is_flag=True, help="List the authorities that are trusted.")
@click.option("--remove-ca", metavar="NAME",
              help="Trust one no more: its name, or the beginning of its fingerprint.")
def trust(
    address: str | None, ca: Path | None, crl: Path | None, list_ca: bool, remove_ca: str | None
) -> int:
    """Accept the changed key of ADDRESS, and show the old and the new safety number.

    Or say whose word counts: contacts with a certificate of a trusted authority are shown as verified by
    it, and a changed key that comes with one is used with a notice. Each authority can vouch for every
    number, so trust only those that you would let do so.
    """
    chosen = [address is not None, ca is not None or crl is not None, list_ca, remove_ca is not None]
    if sum(chosen) != 1:
        raise Failure(Code.USAGE, "give one of ADDRESS, --ca and --crl, --list-ca, --remove-ca")
    from e2ee.ui import identities
    from e2ee.ui.address_book import trust as run_trust
    from e2ee.ui.runner import run

    options = given_options(click.get_current_context())
    if address is not None:
        return run(options, lambda call: run_trust(call, address))
    if remove_ca is not None:
        return run(options, lambda call: identities.distrust(call, remove_ca))
    if list_ca:
        return run(options, identities.list_authorities)
    return run(options, lambda call: identities.trust_authorities(call, ca, crl))
