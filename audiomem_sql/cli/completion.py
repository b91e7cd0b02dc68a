"""``audiomem completion``: what a shell needs to complete verbs and options."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

SHELLS = ("bash", "zsh", "fish")
#: What a shell sets when it asks for completions.
VARIABLE = "_AUDIOMEM_COMPLETE"


def completion(
    shell: Annotated[
        str,
        typer.Argument(help="bash, zsh or fish.", metavar="SHELL", autocompletion=lambda: list(SHELLS)),
    ],
) -> None:
    """Print the script that makes a shell complete the verbs, options and files of this command.

    bash: eval "$(audiomem completion bash)" in ~/.bashrc. zsh: the same in ~/.zshrc, behind compinit. fish:
    audiomem completion fish > ~/.config/fish/completions/audiomem.fish.
    """
    from audiomem_sql.errors import OptionError, did_you_mean

    if shell not in SHELLS:
        raise OptionError(
            f"there is no completion for {shell!r:.40}",
            remedy=f"{did_you_mean(shell, SHELLS)}There is one for {', '.join(SHELLS)}.",
        )
    print(_typer().get_completion_script(prog_name="audiomem", complete_var=VARIABLE, shell=shell))


def answer(program: typer.Typer) -> None:
    """Print the completions that a shell asks for in the environment, and end."""
    _typer().completion_init()
    program(prog_name="audiomem", complete_var=VARIABLE)


def _typer() -> Any:
    """What Typer knows of shells."""
    return importlib.import_module("typer.completion")
