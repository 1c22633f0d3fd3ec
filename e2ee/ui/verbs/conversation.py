"""`register`, `chat`, `send` and `receive`, as the command line declares them."""

from __future__ import annotations

from pathlib import Path

import click

from e2ee.errors import Code, Failure, InvalidAddress, InvalidIdentifier
from e2ee.ids import Address, MessageId
from e2ee.ui.options import FilePath, given_options
from e2ee.ui.verbs.verb import verb


@verb(
    "register",
    "e2ee register e2ee://chat.example.org:8443/sha256:…,sha256:… +15550100101",
    "e2ee register LINK +15550100101 --code-file - --passphrase-file pass.txt",
    "e2ee register LINK +15550100101 --code-command ./read-code --no-passphrase",
)
@click.argument("link", metavar="LINK")
@click.argument("address", metavar="ADDRESS")
@click.option(
    "--code-file",
    metavar="FILE",
    type=FilePath(),
    help="Where the code will be written; - for a line of standard input.",
)
@click.option("--code-command", metavar="CMD", help="A shell command that prints the code.")
@click.option(
    "--pin-file",
    metavar="FILE",
    type=FilePath(),
    help="A file or pipe with the registration PIN, if ADDRESS has one.",
)
@click.option(
    "--kem",
    type=click.Choice(["ml-kem-1024", "rsa-3072"]),
    default="ml-kem-1024",
    help="The key encapsulation of this device.  [default: ml-kem-1024]",
)
@click.option("--no-passphrase", is_flag=True, help="Keep the vault's key in a file of the profile.")
@click.option("--ca", metavar="FILE", type=FilePath(), help="Certificates that must vouch for the server's.")
@click.option("--again", is_flag=True, help="New keys for a registered profile; the history is kept.")
def register(
    link: str,
    address: str,
    code_file: Path | None,
    code_command: str | None,
    pin_file: Path | None,
    no_passphrase: bool,
    ca: Path | None,
    again: bool,
    kem: str,
) -> int:
    """Register this profile for ADDRESS at the server of LINK.

    The server sends a code of six digits to ADDRESS. The code itself is never sent back: it is only
    proven.
    """
    from e2ee.ui.registering import Asked, run_registration
    from e2ee.ui.runner import run

    try:
        own = Address.parse(address)
    except InvalidAddress as error:
        raise Failure(Code.USAGE, str(error)) from error
    asked = Asked(link, own, code_file, code_command, pin_file, no_passphrase, ca, again, kem)
    return run(given_options(click.get_current_context()), lambda call: run_registration(call, asked))


@verb(
    "chat",
    "e2ee chat",
    "e2ee chat +15550100102",
    "printf '1\\n5\\n' | e2ee chat",
)
@click.argument("address", required=False, metavar="[ADDRESS]")
def chat(address: str | None) -> int:
    """Talk, line by line: a menu, and chats opened from it, or the chat with ADDRESS at once.

    ADDRESS is a number or a name of the address book. Inside a chat every line is sent, except
    `menu` and lines that begin with a slash; /help lists these.
    """
    options = given_options(click.get_current_context())
    if options.json:
        raise Failure(Code.USAGE, "chat has no --json; `receive --follow --json` and `send --json` do")
    from e2ee.ui.chatting import run_chat
    from e2ee.ui.runner import run

    return run(options, lambda call: run_chat(call, address), long_running=True)


@verb(
    "send",
    "e2ee send +15550100102 -m 'See you at nine'",
    "uname -a | e2ee send bob",
    "e2ee send bob carol -m hello --json --timeout 10",
    "e2ee send bob -m 'Stop the press' --wait read --timeout 3600",
    "e2ee send bob carol --file report.pdf -m 'As promised'",
)
@click.argument("recipients", nargs=-1, required=True, metavar="ADDRESS...")
@click.option("-m", "--message", metavar="TEXT", help="The text; without it, standard input to its end.")
@click.option(
    "--file",
    "files",
    metavar="PATH",
    type=FilePath(),
    multiple=True,
    help="Send this file; may be repeated. Then there is no text but that of -m.",
)
@click.option(
    "--wait",
    type=click.Choice(["accepted", "delivered", "read"]),
    default="accepted",
    help="Return when the server has it, when it is on the recipient's device, or when it was shown there."
    "  [default: accepted]",
)
@click.option(
    "--id",
    "message_id",
    metavar="HEX",
    help="The message's id, 32 hex digits: sent once, however often this is repeated.",
)
def send(
    recipients: tuple[str, ...],
    message: str | None,
    files: tuple[Path, ...],
    message_id: str | None,
    wait: str,
) -> int:
    """Send a text, or files, to each ADDRESS: a number, or a name of the address book.

    Returns when the server has accepted it. What is not accepted in time stays in the outbox, and
    the next connection sends it first.

    With --wait it returns later: what the recipient says counts, and only who has accepted you
    says something. If that does not come within --timeout, the state that was reached is printed,
    and the exit code is 9.

    A file must not change until it is sent. While it goes forward, --timeout does not run; what is not
    sent in time goes on from there on the next connection.
    """
    from e2ee.ui.runner import run
    from e2ee.ui.sending import WAITS, checked_text, send_files, text_to_send
    from e2ee.ui.sending import send as run_send

    if message_id is not None and (len(recipients) != 1 or len(files) > 1):
        raise Failure(Code.USAGE, "--id is for one ADDRESS, and one file at the most")
    chosen = None if message_id is None else _message_id(message_id)
    options = given_options(click.get_current_context())
    if files:
        from e2ee.ui.files import files_to_send

        paths, caption = files_to_send(files), checked_text(message) if message else ""
        return run(
            options, lambda call: send_files(call, recipients, paths, caption, chosen, WAITS[wait])
        )
    text = text_to_send(message)
    return run(options, lambda call: run_send(call, recipients, text, chosen, WAITS[wait]))


def _message_id(text: str) -> MessageId:
    try:
        return MessageId.from_hex(text.lower())
    except InvalidIdentifier as error:
        raise Failure(Code.USAGE, "an id is 32 hex digits") from error


@verb(
    "receive",
    "e2ee receive",
    "e2ee receive --follow --json | jq -r .text",
    "e2ee receive --wait-first --max 1 --timeout 60",
    "e2ee receive --follow --download-dir ~/Downloads",
)
@click.option("--follow", is_flag=True, help="Go on until interrupted.")
@click.option(
    "--max",
    "maximum",
    type=click.IntRange(min=1),
    metavar="N",
    help="End after N messages; the rest stays unshown.",
)
@click.option("--wait-first", is_flag=True, help="Wait until there is a message.")
@click.option(
    "--download-dir",
    metavar="DIR",
    type=FilePath(),
    help="Where files go that come with the messages.  [default: the profile's folder]",
)
def receive(follow: bool, maximum: int | None, wait_first: bool, download_dir: Path | None) -> int:
    """Print the messages that have not been shown, and all that waits on the server.

    Files that accepted contacts have sent are fetched, and named on a line of their own once they are
    there; nothing that exists is ever overwritten.
    """
    from e2ee.ui.files import folder_for_files
    from e2ee.ui.receiving import Wanted
    from e2ee.ui.receiving import receive as run_receive
    from e2ee.ui.runner import run

    wanted = Wanted(follow, maximum, wait_first, folder_for_files(download_dir))
    options = given_options(click.get_current_context())
    return run(options, lambda call: run_receive(call, wanted), long_running=follow)
