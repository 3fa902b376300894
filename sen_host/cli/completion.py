"""``sen-host completion``: the script that lets a shell complete the command."""

from __future__ import annotations

import click

from sen_host.config import COMPLETION_VARIABLE

_INSTALL = {
    "bash": 'add this line to ~/.bashrc:  eval "$(sen-host completion bash)"',
    "zsh": 'add this line to ~/.zshrc, after compinit:  eval "$(sen-host completion zsh)"',
    "fish": ("run once:  sen-host completion fish > ~/.config/fish/completions/sen-host.fish"),
}


@click.command(short_help="Print a script for shell completion.")
@click.argument("shell", type=click.Choice(list(_INSTALL)))
def command(shell: str) -> None:
    """Print the script that completes sen-host in SHELL: bash, zsh or fish.

    \b
    bash:  add to ~/.bashrc:                eval "$(sen-host completion bash)"
    zsh:   add to ~/.zshrc after compinit:  eval "$(sen-host completion zsh)"
    fish:  sen-host completion fish > ~/.config/fish/completions/sen-host.fish
    """
    from click.shell_completion import get_completion_class

    from sen_host.cli.app import app

    completion = get_completion_class(shell)
    assert completion is not None, shell
    script = completion(app, {}, "sen-host", COMPLETION_VARIABLE).source().strip()
    # zsh reads the first line of a file to learn what it completes.
    first, _, rest = script.partition("\n")
    head = f"{first}\n" if first.startswith("#compdef") else ""
    body = rest if head else script
    click.echo(f"{head}# Completion of sen-host. To install it, {_INSTALL[shell]}\n{body}")
