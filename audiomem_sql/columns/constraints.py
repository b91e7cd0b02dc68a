"""Constraints of a table as a whole: CHECK, and keys of several columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audiomem_sql.columns.column import (
    CONFLICT_CLAUSES,
    CONFLICT_REMEDY,
    Column,
    clause,
    fold,
    refusal,
)
from audiomem_sql.columns.lexemes import bare
from audiomem_sql.columns.syntax import is_expression
from audiomem_sql.errors import SchemaError, did_you_mean


@dataclass(frozen=True, slots=True)
class Check:
    """CHECK (``expression``). Behind a column or behind all of them, it means the same."""

    expression: str
    name: str | None = None

    def sql(self) -> str:
        """The constraint as a user would write it."""
        return f"{_named(self.name)}CHECK ({self.expression})"

    def to_catalog(self) -> dict[str, Any]:
        """A plain dict; what has its default is left out."""
        return {"expression": self.expression} | ({} if self.name is None else {"name": self.name})

    @classmethod
    def from_catalog(cls, packed: object) -> Check:
        """The inverse. Raises SchemaError."""
        settings = _settings(packed, "expression", "name")
        expression, name = settings.get("expression"), settings.get("name")
        if not isinstance(expression, str) or not isinstance(name, str | None):
            raise SchemaError("a CHECK of the catalog has no expression, or a name that is none")
        return cls(expression, name)


@dataclass(frozen=True, slots=True)
class Key:
    """UNIQUE or PRIMARY KEY (``primary``) of two or more columns together, by name.

    conflict: what ON CONFLICT says of it.
    """

    columns: tuple[str, ...]
    primary: bool = False
    name: str | None = None
    conflict: str = "ABORT"

    def sql(self) -> str:
        """The constraint as a user would write it."""
        kind = "PRIMARY KEY" if self.primary else "UNIQUE"
        return f"{_named(self.name)}{kind} ({', '.join(map(bare, self.columns))}){clause(self.conflict)}"

    def to_catalog(self) -> dict[str, Any]:
        """A plain dict; what has its default is left out."""
        packed: dict[str, Any] = {"columns": list(self.columns)}
        packed |= {"primary": True} if self.primary else {}
        packed |= {"conflict": self.conflict} if self.conflict != "ABORT" else {}
        return packed | ({} if self.name is None else {"name": self.name})

    @classmethod
    def from_catalog(cls, packed: object) -> Key:
        """The inverse. Raises SchemaError."""
        settings = _settings(packed, "columns", "primary", "name", "conflict")
        columns, primary, name = settings.get("columns"), settings.get("primary", False), settings.get("name")
        if not isinstance(columns, list | tuple) or not all(isinstance(column, str) for column in columns):
            raise SchemaError("a key of the catalog has no columns")
        if not isinstance(primary, bool) or not isinstance(name, str | None):
            raise SchemaError("a key of the catalog is neither primary nor not, or has a name that is none")
        if (conflict := settings.get("conflict", "ABORT")) not in CONFLICT_CLAUSES:
            raise SchemaError(f"a key of the catalog says ON CONFLICT {conflict!r}", remedy=CONFLICT_REMEDY)
        return cls(tuple(columns), primary, name, conflict)


def with_keys(
    columns: Sequence[Column], keys: Sequence[Key], *, no_aliases: Collection[str] = ()
) -> tuple[Column, ...]:
    """The columns with keys of one column each, which were said behind them. Raises SchemaError.

    no_aliases: columns, folded, whose PRIMARY KEY is not the rowid.
    """
    changed = list(columns)
    for key in keys:
        (name,) = key.columns
        position = next((i for i, column in enumerate(changed) if fold(column.name) == fold(name)), None)
        if position is None:
            names = [column.name for column in changed]
            raise SchemaError(
                f"{key.sql()}: there is no column {name}",
                remedy=f"{did_you_mean(name, names)}The columns are {', '.join(names)}",
            )
        if key.primary and (primary := [column.name for column in changed if column.primary_key]):
            raise refusal(name, f"{primary[0]} is the primary key already", "A table has one")
        column = changed[position]
        named = {key.conflict, column.key_conflict} - {"ABORT"}
        if len(named) > 1:
            raise refusal(name, "its keys have different ON CONFLICT clauses", "Write one of them")
        conflict = named.pop() if named else "ABORT"
        if key.primary:
            no_alias = fold(name) in no_aliases
            column = replace(column, primary_key=True, no_alias=no_alias, key_conflict=conflict)
        else:
            column = replace(column, unique=True, key_conflict=conflict)
        changed[position] = column
    return tuple(changed)


def with_autoincrement(columns: Sequence[Column], names: Collection[str]) -> tuple[Column, ...]:
    """The columns, of which those with these names, folded, say AUTOINCREMENT. Raises SchemaError."""
    changed = list(columns)
    for place, column in enumerate(columns):
        if fold(column.name) in names:
            if not column.is_rowid:
                raise refusal(
                    column.name, "AUTOINCREMENT is for an INTEGER PRIMARY KEY only", "Leave the word out"
                )
            changed[place] = replace(column, autoincrement=True)
    return tuple(changed)


def check_constraint(constraint: Check | Key) -> None:
    """Raise SchemaError unless the name is one, and a CHECK holds one expression.

    ``checks`` asks SQLite what it means.
    """
    name = constraint.name or ""
    if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
        raise SchemaError(f"the name of the constraint {name!a} is not valid Unicode, or holds a NUL")
    if isinstance(constraint, Check) and not is_expression(constraint.expression):
        raise SchemaError(
            f"CHECK ({constraint.expression:.80}) cannot be understood",
            remedy="Write one expression in parentheses, with balanced ones inside",
        )


def _named(name: str | None) -> str:
    return "" if name is None else f"CONSTRAINT {bare(name)} "


def _settings(packed: object, *known: str) -> Mapping[Any, Any]:
    if not isinstance(packed, Mapping):
        raise SchemaError("a constraint of the catalog is not a map")
    strange = [key for key in packed if key not in known and not str(key).startswith("x_")]
    if strange:
        raise SchemaError(
            f"the constraint of the catalog says {strange[0]!r}, which means nothing here",
            remedy="The file may need a newer version of this package",
        )
    return packed
