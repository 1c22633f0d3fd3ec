"""`agent` and `rpc`, as the command line declares them."""

from __future__ import annotations

from pathlib import Path

import click

from e2ee.ui.options import FilePath, given_options
from e2ee.ui.verbs.verb import verb


@verb("agent", "e2ee agent", "e2ee agent --socket /run/user/1000/e2ee-bot", "e2ee agent --json")
@click.option("--socket", metavar="PATH", type=FilePath(), help="Where to listen, in place of the usual.")
def agent(socket: Path | None) -> int:
    """Keep the connection, and serve programs of this user: JSON-RPC 2.0 on a UNIX socket.

    Prints the path of the socket. What can be said there is what `e2ee rpc --schema` prints. Ends with 0
    when it is told to (SIGTERM), or as soon as the connection is given up for good.
    """
    from e2ee.ui.rpc.agent import run_agent
    from e2ee.ui.runner import run

    options = given_options(click.get_current_context())
    return run(options, lambda call: run_agent(call, socket), long_running=True)


@verb(
    "rpc",
    "e2ee rpc",
    "e2ee rpc --schema > e2ee-schema.json",
    """echo '{"jsonrpc":"2.0","id":1,"method":"status"}' | e2ee rpc""",
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of methods and objects, and end.")
def rpc(schema: bool) -> int:
    """Serve one program on standard input and output: JSON-RPC 2.0, a JSON text a line.

    Ends when the input has ended and everything is answered.
    """
    if schema:
        from e2ee.ui.rpc.schema import schema_text

        click.echo(schema_text())
        return 0
    from e2ee.ui.rpc.stdio import run_rpc
    from e2ee.ui.runner import run

    return run(given_options(click.get_current_context()), run_rpc, long_running=True)
