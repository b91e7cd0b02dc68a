"""The option ``--replica`` of commands that read a table."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

Replicas: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--replica",
        metavar="PLACE",
        help="Another place, a path or a URL, that has the same file; can be repeated.",
    ),
]
