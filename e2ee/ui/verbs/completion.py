"""`completion`, as the command line declares it: the script that teaches a shell the verbs and options.

Knows the shells that click knows.
"""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from e2ee.ui.verbs.verb import verb

VARIABLE = "_E2EE_COMPLETE"
"""Set by the script when it asks what could come next."""
SHELLS = ("bash", "zsh", "fish")


@verb(
    "completion",
    "e2ee completion bash > ~/.local/share/bash-completion/completions/e2ee",
    "e2ee completion zsh > ~/.zfunc/_e2ee",
    "e2ee completion fish > ~/.config/fish/completions/e2ee.fish",
    'eval "$(e2ee completion bash)"',
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print the script that completes verbs and options in a shell."""
    root = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    if found is not None:
        click.echo(found(root, {}, "e2ee", VARIABLE).source())
    return 0
