"""Schemas: from SQL, from Arrow, from the catalog, and back.

``parse_columns`` reads what the user types, ``Schema.from_arrow`` infers from data, ``Schema.from_catalog`` reads what a
file says. All of them end in the same checks, in ``Schema`` itself. pyarrow is imported only where it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from audiomem_sql.columns.arguments import is_option, parse_column, parse_options
from audiomem_sql.columns.arrow_types import infer, told_by
from audiomem_sql.columns.column import FLAGS, HIDDEN, TEXTS, Column, check, fold, quote, refusal
from audiomem_sql.columns.types import arrow_type
from audiomem_sql.errors import SchemaError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "HIDDEN",
    "MAX_COLUMNS",
    "Column",
    "Schema",
    "fold",
    "is_option",
    "parse_columns",
    "parse_options",
    "quote",
]

#: SQLite's limit of 2,000 columns counts the hidden ones.
MAX_COLUMNS = 2000 - len(HIDDEN) - 1


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in order. Raises SchemaError, naming the column, where SQL would refuse the table.

    Columns without an id get their place. Two schemas are equal when they are written alike, whatever their ids.
    """

    columns: tuple[Column, ...]
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
        places: dict[str, int] = {}
        for place, column in enumerate(self.columns):
            check(column)
            if fold(column.name) in places:
                raise refusal(column.name, "the name is used twice; capitals make no difference")
            places[fold(column.name)] = place
        if len(keys := [column.name for column in self.columns if column.primary_key]) > 1:
            raise refusal(keys[1], f"{keys[0]} is the primary key already", "A table has one, of one column")
        object.__setattr__(self, "_places", places)
        if any(column.id < 0 for column in self.columns):
            object.__setattr__(
                self,
                "columns",
                tuple(
                    column if column.id >= 0 else replace(column, id=place)
                    for place, column in enumerate(self.columns)
                ),
            )
        if len(set(self.ids)) < len(self.ids):
            raise SchemaError("two columns have the same id")

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

    def find(self, name: str) -> int | None:
        """The place of a column by name, as SQLite compares names; None if there is none."""
        return self._places.get(fold(name))

    def index(self, name: str) -> int:
        """The place of a column by name, as SQLite compares names. Raises SchemaError if there is none."""
        if (place := self.find(name)) is None:
            raise SchemaError(f"there is no column {name}", remedy=f"The columns are {', '.join(self.names)}")
        return place

    def __getitem__(self, name: str) -> Column:
        return self.columns[self.index(name)]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.find(name) is not None

    @cached_property
    def rowid_column(self) -> int | None:
        """The place of the INTEGER PRIMARY KEY, another name of the rowid; None if there is none."""
        return next((place for place, column in enumerate(self.columns) if column.is_rowid), None)

    @cached_property
    def key_columns(self) -> tuple[int, ...]:
        """The places of the other columns whose values are unique."""
        return tuple(i for i, column in enumerate(self.columns) if column.unique and not column.is_rowid)

    @cached_property
    def semantic_columns(self) -> tuple[int, ...]:
        """The places of the columns that are searched by meaning."""
        return tuple(i for i, column in enumerate(self.columns) if column.semantic)

    def sql(self) -> str:
        """The definitions as a user would write them, separated by commas."""
        return ", ".join(column.sql() for column in self.columns)

    def declaration(self) -> str:
        """The definitions for ``sqlite3_declare_vtab``, without ``CREATE TABLE x(`` and the hidden columns."""
        return ", ".join(column.declaration() for column in self.columns)

    def to_catalog(self) -> list[dict[str, Any]]:
        """Plain lists and dicts; an id that is the place is left out."""
        return [
            column.to_catalog() | ({} if column.id == place else {"id": column.id})
            for place, column in enumerate(self.columns)
        ]

    @classmethod
    def from_catalog(cls, packed: object) -> Schema:
        """The schema that ``to_catalog`` packed. Raises SchemaError, and nothing else, on any input."""
        if not isinstance(packed, list | tuple):
            raise SchemaError("the columns of the catalog are not a list")
        return cls(tuple(Column.from_catalog(column) for column in packed))

    def to_arrow(self) -> pa.Schema:
        """The Arrow schema. Each field's metadata holds the definition, so ``from_arrow`` gives this schema again.

        A rowid is nullable: NULL asks for the next one.
        """
        import pyarrow as pa

        fields = []
        for column in self.columns:
            metadata = {b"audiomem:type": str(column.type).encode()}
            metadata |= {f"audiomem:{flag}".encode(): b"1" for flag in FLAGS if getattr(column, flag)}
            metadata |= {
                f"audiomem:{key}".encode(): text.encode()
                for key, absent in TEXTS.items()
                if (text := getattr(column, key)) != absent
            }
            nullable = column.is_rowid or not column.not_null
            fields.append(
                pa.field(column.name, arrow_type(column.type), nullable=nullable, metadata=metadata)
            )
        return pa.schema(fields)

    @classmethod
    def from_arrow(
        cls,
        schema: pa.Schema,
        primary_key: str | None = None,
        semantic: str | Iterable[str] = (),
        widths: Mapping[str, int] | None = None,
    ) -> Schema:
        """The schema that holds data of an Arrow schema.

        Parameters
        ----------
        schema: names, types, nullability, and the metadata that ``to_arrow`` writes, where it still fits the types.
        primary_key: the column that is the key, instead of the one in the metadata.
        semantic: the columns to search by meaning, instead of those in the metadata.
        widths: numbers per vector for lists of variable length, by column.

        Raises SchemaError, naming the column and its Arrow type, for a type that no column has.
        """
        wanted = [semantic] if isinstance(semantic, str) else list(semantic)
        folded = {fold(name) for name in schema.names}
        for name in [*wanted, *([primary_key] if primary_key is not None else [])]:
            if fold(name) not in folded:
                raise SchemaError(
                    f"there is no column {name}", remedy=f"The columns are {', '.join(schema.names)}"
                )
        meant = {fold(name) for name in wanted}
        columns = []
        for item in schema:
            told = told_by(item)
            width = (widths or {}).get(item.name, 0)
            key = (
                told.get("primary_key", False)
                if primary_key is None
                else fold(item.name) == fold(primary_key)
            )
            column = Column(
                item.name,
                told.get("type") or infer(item.name, item.type, width),
                not_null=told.get("not_null", False) or not item.nullable,
                unique=told.get("unique", False),
                primary_key=key,
                collation=told.get("collation", "BINARY"),
                semantic=fold(item.name) in meant if wanted else told.get("semantic", False),
                default=told.get("default"),
            )
            columns.append(column)
        return cls(tuple(columns))


def parse_columns(definitions: Sequence[str]) -> Schema:
    """The schema that column definitions describe, each one argument of ``CREATE VIRTUAL TABLE … USING audiomem``.

    Raises SchemaError, naming the column, for what cannot be understood or is not supported.
    """
    return Schema(tuple(parse_column(definition) for definition in definitions))
