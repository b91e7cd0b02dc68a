"""What a case knows of its tables, views and triggers; a rollback takes it back, too."""

from __future__ import annotations

from dataclasses import dataclass, field

from model import ModelColumn
from vtab.grammar_terms import Named
from vtab.schema_objects import Trigger

from vtab.tables import HIDDEN_NAMES, quoted


@dataclass
class Table:
    """A table: ``key`` stands for it in statements, ``name`` is what it is called.

    native: it is a STRICT table on both sides. prefixed: hidden columns have no short names. greatest: the greatest
    rowid that there may have been. kept: the greatest one that a commit left. count: its rows.
    """

    key: str
    name: str
    columns: tuple[ModelColumn, ...]
    constraints: tuple[str, ...] = ()
    native: bool = False
    prefixed: bool = False
    greatest: int = 0
    kept: int = 0
    count: int = 0

    @property
    def alias(self) -> ModelColumn | None:
        return next((column for column in self.columns if column.is_rowid), None)

    @property
    def counted_by_sequence(self) -> bool:
        return any("AUTOINCREMENT" in clause for column in self.columns for clause in column.clauses)

    def is_keyed(self, column: ModelColumn) -> bool:
        """Whether it is in a key."""
        return column.is_key or any(
            quoted(column) in text for text in self.constraints if not text.startswith("CHECK")
        )

    def can_fail(self, column: ModelColumn) -> bool:
        """Whether one row may fail where another one does not."""
        return any(text.startswith("CHECK") for text in self.constraints) or any(
            clause.startswith("NOT NULL") for clause in column.clauses
        )

    @property
    def clauses(self) -> str:
        """All that its constraints say."""
        return " ".join(
            [*(clause for column in self.columns for clause in column.clauses), *self.constraints]
        )

    def short_names(self, name: str) -> list[str]:
        """Hidden columns' names, beside those that every table has, and that no column of the user has.

        name: what the table is called now.
        """
        searched = any(column.type.startswith("FLOAT[") for column in self.columns)
        more = ("k", "distance", "filter", "ranking") if searched else ()
        own = {column.name.lower() for column in self.columns}
        short = [] if self.prefixed else ["version", "rank", "as_of", *more, name]
        return [each for each in short if each.lower() not in own] + [f"audiomem_{each}" for each in more]

    def define(self, *, ours: bool) -> str:
        """CREATE."""
        if not ours or self.native:
            # SQLite overlooks NULL in (a, b) NOT IN (SELECT a, b …) if it uses a key that has DESC
            keys = [text.replace(" DESC", "") for text in self.constraints]
            parts = [*(column.native() for column in self.columns), *keys]
            return f"CREATE TABLE {self.name}({', '.join(parts)}) STRICT"
        parts = [*(column.audiomem() for column in self.columns), *self.constraints]
        return self.take_up(*parts)

    def take_up(self, *parts: str) -> str:
        """CREATE VIRTUAL TABLE; without columns, those of the file."""
        options = ["profile=embedded"] if parts else []
        if self.prefixed:
            options.append("hidden=prefixed")
        arguments = ", ".join(["'{folder}/" + self.key + ".flac'", *parts, *options])
        return f"CREATE VIRTUAL TABLE {self.name} USING audiomem({arguments})"


@dataclass(frozen=True)
class View:
    """A view; ``table`` is the one that an INSTEAD OF trigger writes to, ``star`` the one whose columns are all here."""

    key: str
    select: str
    columns: tuple[ModelColumn, ...] = ()
    table: str = ""
    star: str = ""


@dataclass
class Schema:
    """What a transaction can take back."""

    names: dict[str, str] = field(default_factory=dict)
    views: list[View] = field(default_factory=list)
    triggers: dict[str, Trigger] = field(default_factory=dict)

    def copy(self) -> Schema:
        return Schema(dict(self.names), list(self.views), dict(self.triggers))


def named(tables: list[Table]) -> list[Named]:
    """Tables as the grammars take them."""
    return [(table.key, table.columns) for table in tables]


__all__ = ["HIDDEN_NAMES", "Schema", "Table", "View", "named"]
