"""What a table says of itself, as SQLAlchemy's inspector wants it. SQLite knows less of a virtual table."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import types

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.schema import Schema
from audiomem_sql.machine.file_names import is_there
from audiomem_sql.orm.table_files import tables_with_files
from audiomem_sql.search import check_allowed
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.vtab.arguments import connect

#: The types that a table declares to SQLite, by their first word; the others are SQLite's own.
_TYPES: dict[str, Any] = {
    "BOOLEAN": types.BOOLEAN,
    "TIMESTAMP": types.TIMESTAMP,
    "JSON": types.TEXT,  # the text as it was written; json() of SQLite, or types.JSON in a Column, read it
    "FLOAT": types.BLOB,
}
#: What PRAGMA table_info shows of the types that SQLite lacks.
_DECLARED = {
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP TEXT": "TIMESTAMP",
    "DATETIME TEXT": "TIMESTAMP",
    "JSON TEXT": "JSON",
}


def type_of(declared: str) -> Any:
    """The type that a table declares as no other does; None if it is one of SQLite's own."""
    words = " ".join(declared.upper().split())
    if words in _DECLARED:
        return _TYPES[_DECLARED[words]]()
    return _TYPES["FLOAT"]() if words.startswith(("FLOAT[", "FLOAT [")) else None


@dataclass(frozen=True)
class Known:
    """What a file says of its table."""

    schema: Schema
    options: TableOptions


def known_of(apsw: Any, table: str, database: str | None) -> Known | None:
    """What is known of an audiomem table; None for another one, and for one whose file is missing."""
    for owner, name, arguments, path in tables_with_files(apsw.execute):
        if fold(name) == fold(table) and (database is None or fold(owner) == fold(database)):
            if not is_there(path):
                return None
            opened = connect(apsw, owner, name, arguments).table
            try:
                return Known(opened.schema, opened.options)
            finally:
                opened.close()
    return None


def options_of(known: Known) -> dict[str, Any]:
    """The options that a copy of the table needs."""
    usual = TableOptions.parse({"profile": known.options.profile})
    changed = {
        field.name: getattr(known.options, field.name)
        for field in fields(TableOptions)
        if field.name != "model_digest" and getattr(known.options, field.name) != getattr(usual, field.name)
    }
    if not known.schema.semantic_columns:
        changed.pop("model", None)
    return {"profile": known.options.profile, **changed}


def check_model(apsw: Any, table: str, database: str | None) -> None:
    """UnsupportedError if a copy of the table would load a model that only its file names."""
    known = known_of(apsw, table, database)
    if known is not None and known.schema.semantic_columns:
        check_allowed(known.options.model)


def completed(columns: list[dict[str, Any]], schema: Schema) -> list[dict[str, Any]]:
    """Columns as SQLite tells them, with defaults, NOT NULL and keys."""
    key = primary_key(schema)["constrained_columns"]
    for column in columns:
        known = schema[column["name"]]
        column["default"] = known.default
        column["nullable"] = not known.not_null
        column["dialect_options"] = {
            "audiomem_semantic": known.semantic,
            "audiomem_indexed": known.vector_index or known.indexed,
            **({"audiomem_tokenize": known.tokenize} if known.indexed else {}),
        }
        column["primary_key"] = key.index(known.name) + 1 if known.name in key else 0
    return columns


def primary_key(schema: Schema) -> dict[str, Any]:
    """The primary key, of one column or of several."""
    together = [key for key in schema.keys if key.primary]
    if together:
        return {"constrained_columns": list(together[0].columns), "name": together[0].name}
    return {
        "constrained_columns": [column.name for column in schema.columns if column.primary_key],
        "name": None,
    }


def unique_constraints(schema: Schema) -> list[dict[str, Any]]:
    """UNIQUE of columns, and of several together."""
    alone = [column.name for column in schema.columns if column.unique and not column.primary_key]
    found: list[dict[str, Any]] = [{"name": None, "column_names": [name]} for name in alone]
    return found + [
        {"name": key.name, "column_names": list(key.columns)} for key in schema.keys if not key.primary
    ]


def check_constraints(schema: Schema) -> list[dict[str, Any]]:
    """CHECKs."""
    return [{"name": check.name, "sqltext": check.expression} for check in schema.checks]
