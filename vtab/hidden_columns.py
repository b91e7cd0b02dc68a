"""The hidden columns of a virtual table: what each is for, and the names under which a table has them.

Every one has a name that begins with ``audiomem_``, which no column of a user can have, and a short one: the
table's own name, ``rank``, ``version`` and so on. A short name that the table needs for a column of its user
belongs to that column. ``hidden=prefixed`` leaves the short ones out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from audiomem_sql.columns.column import ROWID_NAMES, fold, quote
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import OptionError

#: Those that say something of a search only. A table that cannot be searched goes without them.
OF_SEARCH = frozenset({Hidden.DISTANCE, Hidden.K, Hidden.FILTER, Hidden.RANKING, Hidden.PASSAGE})
#: Those that are worked out row by row, when SQLite asks for them.
OF_ROW = frozenset({Hidden.TABLE, Hidden.PASSAGE})
#: Those that say which version is read.
OF_MOMENT = frozenset({Hidden.VERSION, Hidden.AS_OF})
#: By which SQLite compares: tools write numbers as text, too. A version is a number or a tag.
_TYPES = {
    Hidden.RANK: "REAL",
    Hidden.DISTANCE: "REAL",
    Hidden.K: "INTEGER",
    Hidden.VERSION: "NUMERIC",
    Hidden.AS_OF: "TEXT",
    Hidden.PASSAGE: "TEXT",
}
#: SQLite's limit of columns in a table, hidden ones included.
_MOST_COLUMNS = 2000


@dataclass(frozen=True, slots=True)
class HiddenColumns:
    """The hidden columns of one table, behind the ``width`` columns that its user declared.

    names, roles: of each, in their order. The first names are the short ones; in the place of one that is
    taken stands the prefixed name. Behind them are the prefixed names that are left.
    """

    width: int
    names: tuple[str, ...]
    roles: tuple[Hidden, ...]

    @classmethod
    def of(cls, table: str, schema: Schema, *, prefixed: bool = False) -> HiddenColumns:
        """Those of a table of this name. prefixed: without short names."""
        roles = [role for role in Hidden if role not in OF_SEARCH or can_be_searched(schema)]
        if Hidden.PASSAGE in roles and not schema.semantic_columns:
            roles.remove(Hidden.PASSAGE)
        taken = {fold(name) for name in schema.names}
        short = {role: role.value for role in roles if not prefixed and role.value not in taken}
        short.pop(Hidden.TABLE, None)
        own = fold(table)
        others = {*taken, *short.values(), *ROWID_NAMES, *(role.prefixed for role in Hidden)}
        if not prefixed and own not in others:
            short[Hidden.TABLE] = table
        first = [(short.get(role) or _free(role.prefixed, taken), role) for role in roles]
        found = first + [(_free(role.prefixed, taken), role) for role in roles if role in short]
        del found[max(_MOST_COLUMNS - len(schema), 0) :]
        return cls(len(schema), tuple(name for name, _ in found), tuple(role for _, role in found))

    def role(self, column: int) -> Hidden | None:
        """What a column is for, by its number; None for one that the user declared, and the rowid."""
        return self.roles[column - self.width] if column >= self.width else None

    def name(self, role: Hidden) -> str:
        """The first name of a column that every table has."""
        return self.names[self.roles.index(role)]

    def places(self, role: Hidden) -> list[int]:
        """The numbers of the columns of one kind, as far as SQLite tells whether they are used."""
        places = [place for place, each in enumerate(self.roles, self.width) if each is role]
        return [place for place in places if place < 63]

    def declaration(self) -> str:
        """The definitions for ``sqlite3_declare_vtab``."""
        columns = zip(self.names, self.roles, strict=True)
        return ", ".join(f"{quote(name)} {_TYPES.get(role, '')} HIDDEN" for name, role in columns)

    def values(self, fields: Sequence[Any]) -> Iterable[tuple[str, Hidden, Any]]:
        """(name, role, value) of what a statement writes to hidden columns, NULLs left out."""
        written = zip(self.names, self.roles, fields[self.width :], strict=True)
        return (each for each in written if each[2] is not None)


def can_be_searched(schema: Schema) -> bool:
    """Whether MATCH can have an answer: a column has meaning, words or vectors."""
    return any(
        column.semantic or column.indexed or column.type.kind is Kind.FLOAT for column in schema.columns
    )


def only_prefixed(options: dict[str, str]) -> bool:
    """Take ``hidden=prefixed`` out of the options of CREATE VIRTUAL TABLE: it is about names in one database.

    It is kept where the statement is, in the schema of the database, and not in the file.
    """
    chosen = options.pop("hidden", "both").lower()
    if chosen not in ("both", "prefixed"):
        raise OptionError(
            f"hidden is both or prefixed, not {chosen!r}",
            remedy="hidden=prefixed leaves out the short names of hidden columns: version, k, rank, …",
        )
    return chosen == "prefixed"


def _free(name: str, taken: set[str]) -> str:
    """The name, with underscores behind it where a column has it.

    Only files that are older than the rule against such names have one.
    """
    while fold(name) in taken:
        name += "_"
    return name
