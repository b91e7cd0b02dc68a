"""Commands: ``INSERT INTO t(t) VALUES ('vacuum')``, with an argument in the column ``rank``.

The commands of FTS5 that have a counterpart here mean that; the others are refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audiomem_sql import search, upkeep
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.lexemes import Token, lexemes
from audiomem_sql.errors import DamagedFileError, OptionError, did_you_mean
from audiomem_sql.migrations import DropColumn, UnindexColumn
from audiomem_sql.storage.segment import LAYOUTS
from audiomem_sql.table.table import Table
from audiomem_sql.vtab.hidden_columns import HiddenColumns

#: The commands, and what may stand in the column rank beside each.
ARGUMENTS: dict[str, tuple[type, ...]] = {
    "vacuum": (type(None), int, str),
    "merge": (type(None), int),  # FTS5's number of pages; all is merged
    "checkpoint": (type(None),),
    "repair": (type(None),),
    "backup": (str,),
    "tag": (str,),
    "restore": (int, str),
    "add column": (str,),
    "drop column": (str,),
    "rename column": (str,),
    "index column": (str,),
    "unindex column": (str,),
    "alter column": (str,),
    "reembed": (type(None), str),
    "optimize": (type(None),),
    "rebuild": (type(None),),
    "flush": (type(None),),
    "integrity-check": (type(None), int),
}
#: The commands of FTS5 that are another name of one of ours, and what that does without an argument.
_OF_FTS5 = {"optimize": "vacuum", "rebuild": "vacuum", "flush": "checkpoint"}
#: Those that mean nothing here, and why.
_NOT_OF_FTS5 = {
    **dict.fromkeys(
        ["automerge", "crisismerge", "usermerge", "deletemerge", "pgsz", "hashsize", "secure-delete"],
        "It sets how FTS5 keeps its index; there is nothing to set: vacuum makes one segment of all.",
    ),
    "rank": "How rows are ranked cannot be chosen.",
    "delete": "Write DELETE FROM t WHERE rowid = …: it takes the words out of the index, too.",
    "delete-all": "Write DELETE FROM t.",
}

#: Those that change what a table says, and that ROLLBACK cannot take back.
_LASTING = (
    *("add column", "drop column", "rename column", "index column", "unindex column", "alter column"),
    "reembed",
)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its name in small letters, and its argument, or None."""

    name: str
    argument: Any = None

    @classmethod
    def written(cls, table: Table, hidden: HiddenColumns, fields: Sequence[Any]) -> Command:
        """The command of an INSERT that writes to a hidden column. OptionError where it is none."""
        written: dict[Hidden, Any] = {}
        for name, role, value in hidden.values(fields):
            if written.setdefault(role, value) != value:
                raise OptionError(
                    f"{name} and {role.prefixed} are two names of one column",
                    file=table.path,
                    remedy="Write to one of them.",
                )
        command, argument = written.pop(Hidden.TABLE, None), written.pop(Hidden.RANK, None)
        if command is None:
            raise OptionError("a hidden column cannot be written to", file=table.path, remedy=_remedy(hidden))
        name = command.lower() if isinstance(command, str) else ""
        if name in _NOT_OF_FTS5:
            raise OptionError(
                f"FTS5's command {name} means nothing here", file=table.path, remedy=_NOT_OF_FTS5[name]
            )
        if name not in ARGUMENTS or type(argument) not in ARGUMENTS[name] or written:
            raise OptionError(
                f"there is no command {command!r} with the argument {argument!r}",
                file=table.path,
                remedy=("" if name in ARGUMENTS else did_you_mean(name, ARGUMENTS)) + _remedy(hidden),
            )
        if any(value is not None for value in fields[: hidden.width]):
            raise OptionError(
                f"the command {name} stands in one row with values of columns",
                file=table.path,
                remedy=f"Run it alone; its argument goes into {hidden.name(Hidden.RANK)}.",
            )
        return cls(name, argument)

    def run(self, table: Table, *, alone: bool) -> None:
        """Do it. alone: no transaction was begun by hand.

        OptionError when the transaction has changed the table already, and when it was begun by hand but
        could not undo the command. DamagedFileError when a check finds damage.
        """
        name, argument = self.name, self.argument
        if table.transaction is not None and table.transaction.changed:
            raise OptionError(
                "a command needs a transaction of its own", file=table.path, remedy="Commit first."
            )
        if not alone and name in _LASTING:
            raise OptionError(
                f"{name} cannot be undone, so it cannot be part of a transaction",
                file=table.path,
                remedy="Run it outside BEGIN and COMMIT.",
            )
        table.rollback()  # SQLite began one, but nothing is in it
        if name == "integrity-check":
            _check(table)
        elif name in ("drop column", "unindex column"):
            table.alter((DropColumn if name == "drop column" else UnindexColumn)(_bare(argument)))
        elif name == "reembed":
            if argument is not None:
                search.check_allowed(argument, table.path)  # a statement is no reason to load a model
            table.reembed(argument)
        elif name in _LASTING:
            table.alter(f"{name} {argument}")
        elif name in ("backup", "tag", "restore"):
            getattr(table, name)(argument)
        else:
            _upkeep(table, _OF_FTS5.get(name, name), argument)


def _upkeep(table: Table, name: str, argument: Any) -> None:
    if name == "vacuum":
        if argument in LAYOUTS:
            table.vacuum(layout=argument)
        else:
            table.vacuum(retain=upkeep.Retention.parse("all" if argument is None else str(argument)))
    elif name == "merge":
        table.merge()
    elif name == "checkpoint":
        table.checkpoint()
    else:
        table.repair()


def _check(table: Table) -> None:
    """DamagedFileError if anything of the table is damaged."""
    from audiomem_sql.upkeep.verify import problems

    found = [str(problem) for problem in problems(table)]
    if found:
        raise DamagedFileError(
            "\n".join(found), file=table.path, remedy="audiomem_verify tells what can be repaired."
        )


def _remedy(hidden: HiddenColumns) -> str:
    return (
        f"Commands are vacuum, merge, checkpoint, repair, and with an argument in the column "
        f"{hidden.name(Hidden.RANK)}: "
        "vacuum (all, a number, an age such as 30d, or whom its file serves: local, remote), "
        "backup (a path), tag (a name), "
        "restore (a version), add column (NAME TYPE), drop column (NAME), rename column (NAME TO NEW), "
        "index column (NAME, NAME (metric=…) or NAME (tokenize=…)), unindex column (NAME), "
        "alter column (NAME set semantic, NAME drop semantic), reembed (nothing, or a model)."
    )


def _bare(name: str) -> str:
    """A name that may stand in quotes, as it may in SQL."""
    words = lexemes(name)
    return words[0].value if len(words) == 1 and words[0].token in (Token.WORD, Token.QUOTED) else name
