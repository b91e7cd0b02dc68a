"""SQLite files as sources, opened so that nothing is written: `llm`'s embeddings, sqlite-vec, FTS5."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from audiomem_sql.conversion import llm_embeddings
from audiomem_sql.conversion.collection import Collection, Store, Wishes
from audiomem_sql.conversion.read_only import open_read_only
from audiomem_sql.conversion.sqlite_tables import full_text_tables, vector_tables
from audiomem_sql.conversion.statements import module_of
from audiomem_sql.errors import MissingExtraError, UnsupportedError

if TYPE_CHECKING:
    import apsw

MAGIC = b"SQLite format 3\0"


@contextlib.contextmanager
def open_store(path: str, wishes: Wishes) -> Iterator[Store]:
    """The collections in a SQLite file: those of `llm`, else tables of sqlite-vec and of FTS."""
    with open_read_only(path) as connection:
        if llm_embeddings.is_there(connection):
            yield Store("embeddings of llm", llm_embeddings.collections(connection, path, wishes))
            return
        virtual = virtual_tables(connection)
        named = {name for name, (module, _) in virtual.items() if module == "vec0"}
        if named:
            _load_sqlite_vec(connection, path)
        found: list[Collection] = [
            *vector_tables(connection, path, virtual, wishes),
            *full_text_tables(connection, path, virtual, wishes),
        ]
        if not found:
            raise _nothing(connection, path)
        kind = "sqlite-vec" if named else "full-text tables of SQLite"
        yield Store(kind, found)


def virtual_tables(connection: apsw.Connection) -> dict[str, tuple[str, str]]:
    """The virtual tables: module and statement by name."""
    rows = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL%' "
        "ORDER BY rowid"
    )
    return {str(name): (module_of(str(sql)), str(sql)) for name, sql in rows}


def _load_sqlite_vec(connection: apsw.Connection, path: str) -> None:
    try:
        import sqlite_vec
    except ImportError:
        raise MissingExtraError(
            "the tables of sqlite-vec need its extension",
            file=path,
            remedy="pip install 'audiomem-sql[convert-sqlite-vec]'",
        ) from None
    connection.enable_load_extension(True)
    try:
        connection.load_extension(sqlite_vec.loadable_path())
    finally:
        connection.enable_load_extension(False)


def _nothing(connection: apsw.Connection, path: str) -> UnsupportedError:
    names: Sequence[Any] = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' LIMIT 5"
    ).fetchall()
    shown = ", ".join(name for (name,) in names) or "none"
    return UnsupportedError(
        f"this SQLite file has no tables of sqlite-vec, of FTS or of llm (its tables: {shown})",
        file=path,
        remedy="Ordinary tables: audiomem_sql.write_flac(pandas.read_sql(query, connection), 'kb.flac').",
    )
