"""Schemas: from SQL, from Arrow, from the catalog, and back.

``parse_columns`` reads what the user types, ``arrow_input.schema_of_arrow`` infers from data,
``Schema.from_catalog`` reads what a file says. All of them end in the same checks, in ``Schema`` itself.
pyarrow is imported only where it is needed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from audiomem_sql.columns.arguments import is_option, parse_definition, parse_options
from audiomem_sql.columns.arrow_types import told_of
from audiomem_sql.columns.column import (
    Column,
    check,
    check_key_type,
    fold,
    quote,
    refusal,
)
from audiomem_sql.columns.constraints import Check, Key, check_constraint, with_autoincrement, with_keys
from audiomem_sql.columns.own_metadata import given_back
from audiomem_sql.columns.text_vectors import added_columns, check_hidden, passages_of, vectors_of
from audiomem_sql.columns.types import STORED, arrow_type, shown_type
from audiomem_sql.columns.vector_index import VectorIndexOptions
from audiomem_sql.errors import SchemaError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "MAX_COLUMNS",
    "Check",
    "Column",
    "Key",
    "Schema",
    "fold",
    "is_option",
    "parse_columns",
    "parse_options",
    "quote",
]

#: SQLite's limit of 2,000 columns counts the hidden ones, of which six find room in the widest table.
MAX_COLUMNS = 2000 - 6
#: The key in the catalog, in the first column; readers that do not know it pass over it.
_METADATA = "x_table_metadata"


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order.

    Raises SchemaError, naming the column, where SQL would refuse the table.

    Columns without an id get their place. Two schemas are equal when they are written alike, whatever their
    ids.

    checks: of columns and of the table, in the order in which they are tried. keys: those of several columns;
    a key of one is said by its column. metadata: what users wrote beside the whole table, see
    ``own_metadata``; no part of the definition.
    """

    columns: tuple[Column, ...]
    checks: tuple[Check, ...] = ()
    keys: tuple[Key, ...] = ()
    metadata: str | None = field(default=None, compare=False)
    _places: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "columns", tuple(self.columns))
        if not self.columns:
            raise SchemaError("a table needs at least one column")
        if len(self.columns) > MAX_COLUMNS:
            raise SchemaError(
                f"{len(self.columns)} columns are too many, the first that does not fit is "
                f"{self.columns[MAX_COLUMNS].name}",
                remedy=f"A table has at most {MAX_COLUMNS}",
            )
        positions: dict[str, int] = {}
        for position, column in enumerate(self.columns):
            check(column)
            if fold(column.name) in positions:
                raise refusal(column.name, "the name is used twice; capitals make no difference")
            positions[fold(column.name)] = position
        object.__setattr__(self, "_places", positions)
        if any(column.id < 0 for column in self.columns):
            object.__setattr__(
                self,
                "columns",
                tuple(
                    column if column.id >= 0 else replace(column, id=position)
                    for position, column in enumerate(self.columns)
                ),
            )
        if len(set(self.ids)) < len(self.ids):
            raise SchemaError("two columns have the same id")
        check_hidden(self.columns)
        object.__setattr__(self, "checks", tuple(self.checks))
        object.__setattr__(self, "keys", tuple(self.keys))
        constraints: tuple[Check | Key, ...] = (*self.checks, *self.keys)
        for constraint in constraints:
            check_constraint(constraint)
        for key in self.keys:
            self._check_key(key)
        self._check_conflicts()
        primary = [column.name for column in self.columns if column.primary_key]
        primary += [", ".join(key.columns) for key in self.keys if key.primary]
        if len(primary) > 1:
            raise refusal(primary[1], f"{primary[0]} is the primary key already", "A table has one")

    @cached_property
    def visible(self) -> Schema:
        """The columns that users see: without those of vectors, which are behind them."""
        visible = [column for column in self.columns if not column.is_hidden]
        return self if len(visible) == len(self) else self.changed(visible)

    @cached_property
    def vectors(self) -> dict[int, int]:
        """The place of the newest vectors of each column that is searched by meaning, by its place."""
        return vectors_of(self.columns)

    @cached_property
    def passages(self) -> dict[int, int]:
        """The place of the passages that belong to a column of vectors, by the place of that."""
        return passages_of(self.columns)

    def with_vectors(
        self, dimensions: int, following: int | None = None, *, passages: bool = False
    ) -> Schema:
        """The schema with a column of vectors for each column that is searched by meaning and has none yet.

        following: the id of the first, by default the next one. passages: with one of passages, too.
        """
        following = max(self.ids) + 1 if following is None else following
        added = added_columns(self.columns, dimensions, following, passages=passages)
        return self if not added else self.changed([*self.columns, *added])

    def _check_key(self, key: Key) -> None:
        """A key is of several columns of the table.

        Those of the primary key become NOT NULL, as in STRICT tables.
        """
        positions = [self.index(name) for name in key.columns]
        if len(positions) < 2 or len(set(positions)) < len(positions):
            raise SchemaError(
                f"{key.sql()} is no key of several columns", remedy="Name each column once, and at least two"
            )
        for position in positions:
            check_key_type(self.columns[position])
        if key.primary:
            columns = list(self.columns)
            for position in positions:
                columns[position] = replace(columns[position], not_null=True)
            object.__setattr__(self, "columns", tuple(columns))

    def _check_conflicts(self) -> None:
        """Keys of the same columns do not say different things about a conflict."""
        clauses: dict[tuple[int, ...], str] = {}
        for key in self.keys:
            if key.conflict != "ABORT":
                columns = tuple(map(self.index, key.columns))
                if clauses.setdefault(columns, key.conflict) != key.conflict:
                    raise SchemaError(
                        f"the keys ({', '.join(key.columns)}) have different ON CONFLICT clauses",
                        remedy="Write one of them",
                    )

    def __len__(self) -> int:
        return len(self.columns)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The column names, as written."""
        return tuple(column.name for column in self.columns)

    @cached_property
    def ids(self) -> tuple[int, ...]:
        """The ids of the columns, in order."""
        return tuple(column.id for column in self.columns)

    def is_same(self, other: Schema) -> bool:
        """Whether ``other`` has the same columns, not only columns that are written alike."""
        return self is other or (self.ids == other.ids and self == other)

    def changed(self, columns: Sequence[Column]) -> Schema:
        """These constraints with other columns."""
        return replace(self, columns=tuple(columns))

    def nullable(self, positions: Collection[int]) -> Schema:
        """The schema with NULL allowed in columns, by position; a primary key of them becomes UNIQUE."""
        names = {self.columns[position].name.lower() for position in positions}
        columns = [
            column
            if position not in positions or column.is_rowid
            else replace(
                column, not_null=False, primary_key=False, unique=column.unique or column.primary_key
            )
            for position, column in enumerate(self.columns)
        ]
        keys = tuple(
            replace(key, primary=False) if names & {name.lower() for name in key.columns} else key
            for key in self.keys
        )
        return replace(self, columns=tuple(columns), keys=keys)

    def find(self, name: str) -> int | None:
        """The place of a column by name, as SQLite compares names; None if there is none."""
        return self._places.get(fold(name))

    def index(self, name: str) -> int:
        """The place of a column by name, as SQLite compares names. Raises SchemaError if there is none."""
        if (position := self.find(name)) is None:
            names = self.visible.names
            raise SchemaError(
                f"there is no column {name}",
                remedy=f"{did_you_mean(name, names)}The columns are {', '.join(names)}",
            )
        return position

    def __getitem__(self, name: str) -> Column:
        return self.columns[self.index(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    @cached_property
    def rowid_column(self) -> int | None:
        """The place of the INTEGER PRIMARY KEY, another name of the rowid; None if there is none."""
        return next((position for position, column in enumerate(self.columns) if column.is_rowid), None)

    @cached_property
    def key_columns(self) -> tuple[int, ...]:
        """The places of the other columns whose values are unique."""
        return tuple(i for i, column in enumerate(self.columns) if column.unique and not column.is_rowid)

    @cached_property
    def combined_keys(self) -> tuple[tuple[int, ...], ...]:
        """The places of the columns of each of ``keys`` that must be looked for.

        One that contains the rowid is unique because of that.
        """
        positions = [tuple(map(self.index, key.columns)) for key in self.keys]
        return tuple(dict.fromkeys(key for key in positions if self.rowid_column not in key))

    @cached_property
    def rowid_keys(self) -> tuple[tuple[int, ...], ...]:
        """The places of those of ``keys`` that contain the rowid and do not replace, if the rowid does."""
        alias = self.rowid_column
        if alias is None or self.columns[alias].key_conflict != "REPLACE":
            return ()
        return tuple(
            place
            for place, clause in self.key_conflicts.items()
            if alias in place and len(place) > 1 and clause != "REPLACE"
        )

    @cached_property
    def key_conflicts(self) -> dict[tuple[int, ...], str]:
        """What ON CONFLICT says of each key, by the places of its columns; () stands for the rowid."""
        alias = self.rowid_column
        clauses: dict[tuple[int, ...], str] = {
            (): "ABORT" if alias is None else self.columns[alias].key_conflict
        }
        clauses |= {(place,): self.columns[place].key_conflict for place in self.key_columns}
        for key in self.keys:  # of two alike the one that says something
            place = tuple(map(self.index, key.columns))
            if clauses.get(place, "ABORT") == "ABORT":
                clauses[place] = key.conflict
        return clauses

    @cached_property
    def has_conflict_clauses(self) -> bool:
        """Whether a constraint says ON CONFLICT."""
        nulls = (column.null_conflict for column in self.columns)
        return any(clause != "ABORT" for clause in (*nulls, *self.key_conflicts.values()))

    @cached_property
    def indexed_columns(self) -> tuple[int, ...]:
        """The places of the columns that are searched by their words."""
        return tuple(i for i, column in enumerate(self.columns) if column.indexed)

    @cached_property
    def semantic_columns(self) -> tuple[int, ...]:
        """The places of the columns that are searched by meaning."""
        return tuple(i for i, column in enumerate(self.columns) if column.semantic)

    @cached_property
    def vector_indexes(self) -> dict[int, VectorIndexOptions]:
        """What INDEXED says of columns of vectors, by their places."""
        return {
            position: VectorIndexOptions.parse(column.vector_index)
            for position, column in enumerate(self.columns)
            if column.vector_index is not None
        }

    def added_name(self, name: str) -> str:
        """The name of a column that a search puts beside these: with the prefix where one of these has it."""
        return f"audiomem_{name}" if name in self else name

    def sql(self) -> str:
        """The definitions as a user would write them, separated by commas."""
        parts: tuple[Column | Check | Key, ...] = (*self.columns, *self.checks, *self.keys)
        return ", ".join(part.sql() for part in parts)

    def declaration(self) -> str:
        """The definitions for ``sqlite3_declare_vtab``, without hidden columns and ``CREATE TABLE x(``."""
        return ", ".join(column.declaration() for column in self.columns)

    def to_catalog(self) -> list[dict[str, Any]]:
        """The columns as plain lists and dicts, an id that is the place left out.

        ``checks`` and ``keys`` have a ``to_catalog`` of their own. The first column has the metadata of all.
        """
        packed = [
            column.to_catalog() | ({} if column.id == position else {"id": column.id})
            for position, column in enumerate(self.columns)
        ]
        packed[0] |= {} if self.metadata is None else {_METADATA: self.metadata}
        return packed

    @classmethod
    def from_catalog(cls, packed: object, checks: object = (), keys: object = ()) -> Schema:
        """The schema whose parts ``to_catalog`` packed.

        Raises SchemaError, and nothing else, on any input.
        """
        if not isinstance(packed, list | tuple):
            raise SchemaError("the columns of the catalog are not a list")
        if not isinstance(checks, list | tuple) or not isinstance(keys, list | tuple):
            raise SchemaError("the constraints of the catalog are not a list")
        columns = tuple(Column.from_catalog(column) for column in packed)
        metadata = packed[0].get(_METADATA) if packed else None
        return cls(
            columns,
            tuple(Check.from_catalog(check) for check in checks),
            tuple(Key.from_catalog(key) for key in keys),
            metadata if isinstance(metadata, str) else None,
        )

    def shown(self) -> pa.Schema:
        """The Arrow schema in which users get the rows: ``to_arrow`` with logical types as what they mean."""
        arrow = self.to_arrow()
        for number, column in enumerate(self.columns):
            if column.type.logical is not None:
                field = arrow.field(number)
                metadata = {key: text for key, text in field.metadata.items() if key != STORED}
                arrow = arrow.set(number, field.with_type(shown_type(column.type)).with_metadata(metadata))
        return arrow

    def to_arrow(self) -> pa.Schema:
        """The Arrow schema of the stored rows.

        Its metadata and those of the fields hold the definition, so ``schema_of_arrow`` gives this schema
        again, beside what users wrote there. A rowid is nullable: NULL asks for the next one.
        """
        import pyarrow as pa

        fields = []
        for column in self.columns:
            nullable, metadata = column.is_rowid or not column.not_null, column.arrow_metadata()
            fields.append(
                pa.field(column.name, arrow_type(column.type), nullable=nullable, metadata=metadata)
            )
        told = given_back(self.metadata) | (told_of(self.checks, self.keys) or {})
        return pa.schema(fields, told or None)


def parse_columns(definitions: Sequence[str]) -> Schema:
    """The schema that definitions describe, each an argument of ``CREATE VIRTUAL TABLE … USING audiomem``.

    Raises SchemaError, naming the column, for what cannot be understood or is not supported.
    """
    parsed = [parse_definition(definition) for definition in definitions]
    columns = [each.column for each in parsed if each.column is not None]
    checks = tuple(check for each in parsed for check in each.checks)
    keys = [key for each in parsed for key in each.keys]
    no_aliases = {fold(each.column.name) for each in parsed if each.column is not None and each.no_alias}
    alone: list[Key] = []
    together: list[Key] = []
    for key in keys:
        # a column that is named twice says nothing new, but that a PRIMARY KEY is not the rowid
        folded = list(map(fold, key.columns))
        distinct = tuple(name for i, name in enumerate(key.columns) if folded[i] not in folded[:i])
        (alone if len(distinct) == 1 else together).append(replace(key, columns=distinct))
        if key.primary and len(distinct) == 1 < len(key.columns):
            no_aliases.add(folded[0])
    autoincrement = {fold(each.autoincrement) for each in parsed if each.autoincrement is not None}
    keyed = with_keys(columns, alone, no_aliases=no_aliases)
    return Schema(with_autoincrement(keyed, autoincrement), checks, tuple(together))
