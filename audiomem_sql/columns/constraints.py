"""Constraints of a table as a whole: CHECK, and keys of several columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audiomem_sql.columns.column import Column, fold, refusal
from audiomem_sql.columns.lexemes import bare
from audiomem_sql.columns.syntax import is_expression
from audiomem_sql.errors import SchemaError


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
    """UNIQUE or PRIMARY KEY (``primary``) of two or more columns together, by name."""

    columns: tuple[str, ...]
    primary: bool = False
    name: str | None = None

    def sql(self) -> str:
        """The constraint as a user would write it."""
        kind = "PRIMARY KEY" if self.primary else "UNIQUE"
        return f"{_named(self.name)}{kind} ({', '.join(map(bare, self.columns))})"

    def to_catalog(self) -> dict[str, Any]:
        """A plain dict; what has its default is left out."""
        packed: dict[str, Any] = {"columns": list(self.columns)}
        packed |= {"primary": True} if self.primary else {}
        return packed | ({} if self.name is None else {"name": self.name})

    @classmethod
    def from_catalog(cls, packed: object) -> Key:
        """The inverse. Raises SchemaError."""
        settings = _settings(packed, "columns", "primary", "name")
        columns, primary, name = settings.get("columns"), settings.get("primary", False), settings.get("name")
        if not isinstance(columns, list | tuple) or not all(isinstance(column, str) for column in columns):
            raise SchemaError("a key of the catalog has no columns")
        if not isinstance(primary, bool) or not isinstance(name, str | None):
            raise SchemaError("a key of the catalog is neither primary nor not, or has a name that is none")
        return cls(tuple(columns), primary, name)


def with_keys(columns: Sequence[Column], keys: Sequence[Key]) -> tuple[Column, ...]:
    """The columns with keys of one column each, which were said behind them. Raises SchemaError."""
    changed = list(columns)
    for key in keys:
        (name,) = key.columns
        position = next((i for i, column in enumerate(changed) if fold(column.name) == fold(name)), None)
        if position is None:
            raise SchemaError(f"{key.sql()}: there is no column {name}")
        if key.primary and (primary := [column.name for column in changed if column.primary_key]):
            raise refusal(name, f"{primary[0]} is the primary key already", "A table has one")
        column = changed[position]
        changed[position] = replace(column, primary_key=True) if key.primary else replace(column, unique=True)
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
