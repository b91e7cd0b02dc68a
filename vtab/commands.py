"""Commands: ``INSERT INTO t(t) VALUES ('vacuum')``, with an argument in the column ``rank``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audiomem_sql.columns.lexemes import Token, lexemes
from audiomem_sql.errors import OptionError
from audiomem_sql.migrations import DropColumn
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention

#: The commands, and what may stand in the column rank beside each.
ARGUMENTS: dict[str, tuple[type, ...]] = {
    "vacuum": (type(None), int, str),
    "merge": (type(None),),
    "checkpoint": (type(None),),
    "repair": (type(None),),
    "backup": (str,),
    "tag": (str,),
    "restore": (int, str),
    "add column": (str,),
    "drop column": (str,),
    "rename column": (str,),
}

#: Those that change what a table says, and that ROLLBACK cannot take back.
_LASTING = ("add column", "drop column", "rename column")


def run_command(table: Table, hidden: Sequence[Any], *, alone: bool) -> None:
    """Run the command of a row with values in its hidden columns: table, rank, and four that stay NULL.

    alone: no transaction was begun by hand. OptionError when that is no command, when the transaction has
    changed the table already, and when it was begun by hand but could not undo the command.
    """
    command, argument, *others = hidden
    known = isinstance(command, str) and command in ARGUMENTS and type(argument) in ARGUMENTS[command]
    if not known or any(value is not None for value in others):
        raise OptionError(
            "a hidden column cannot be written to"
            if command is None
            else f"there is no command {command!r} with the argument {argument!r}",
            file=table.path,
            remedy="Commands are vacuum, merge, checkpoint, repair, and with an argument in the column rank: "
            "vacuum (all, a number, or an age such as 30d), backup (a path), tag (a name), "
            "restore (a version), add column (NAME TYPE), drop column (NAME), rename column (NAME TO NEW).",
        )
    if table.transaction is not None and table.transaction.changed:
        raise OptionError("a command needs a transaction of its own", file=table.path, remedy="Commit first.")
    if not alone and command in _LASTING:
        raise OptionError(
            f"{command} cannot be undone, so it cannot be part of a transaction",
            file=table.path,
            remedy="Run it outside BEGIN and COMMIT.",
        )
    table.rollback()  # SQLite began one, but nothing is in it
    if command == "vacuum":
        table.vacuum(retain=Retention.parse("all" if argument is None else str(argument)))
    elif command == "merge":
        table.merge()
    elif command == "checkpoint":
        table.checkpoint()
    elif command == "repair":
        table.repair()
    elif command == "backup":
        table.backup(argument)
    elif command == "tag":
        table.tag(argument)
    elif command == "restore":
        table.restore(argument)
    elif command == "drop column":
        table.alter(DropColumn(_bare(argument)))
    else:
        table.alter(f"{command} {argument}")


def _bare(name: str) -> str:
    """A name that may stand in quotes, as it may in SQL."""
    words = lexemes(name)
    return words[0].value if len(words) == 1 and words[0].token in (Token.WORD, Token.QUOTED) else name
