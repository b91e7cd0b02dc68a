"""The files of the tables that a database has: which they are, names for new ones, and deleting them.

SQL's own DROP TABLE leaves a file where it is. A mapper that creates tables by their names drops their files
as well: otherwise the next table of the name would find the rows of the last.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from audiomem_sql.columns.column import fold, quote
from audiomem_sql.columns.lexemes import Lexeme, lexemes
from audiomem_sql.errors import StorageError
from audiomem_sql.machine.file_names import is_there, place_of
from audiomem_sql.table import dropping
from audiomem_sql.vtab.arguments import absolute, unquoted

#: ``execute`` of a connection of apsw or of sqlite3.
Execute = Callable[[str], Iterable[Any]]

_UNSAFE = re.compile(r'[\x00-\x1f/\\:*?"<>|%]|^[.~]')


def file_name(table: str) -> str:
    """The name of the file of a new table: the table's, with what no file should be called as ``%2F``."""
    return _UNSAFE.sub(lambda match: f"%{ord(match[0]):02X}", table) + ".flac"


def free_name(folder: str, table: str) -> str:
    """The same, or with a number behind it where there is such a file in ``folder`` already."""
    first = file_name(table)
    name, number = first, 1
    while is_there(os.path.join(folder, name)):
        number += 1
        name = f"{first.removesuffix('.flac')}-{number}.flac"
    return name


def check_free(path: str) -> None:
    """StorageError if there is a file where a new table is to be."""
    if is_there(path):
        raise StorageError(
            "the file exists already, so a new table cannot be there",
            file=path,
            remedy="Take it up with CREATE VIRTUAL TABLE … USING audiomem, give the table another path, or "
            "delete it with `audiomem drop`.",
        )


def module_arguments(statement: str) -> list[str] | None:
    """The arguments of a CREATE VIRTUAL TABLE … USING audiomem; None for any other statement."""
    words = lexemes(statement)
    using = next((number for number, word in enumerate(words) if word.is_word("USING")), len(words))
    head, rest = words[:using], words[using + 1 :]
    if [word.value.upper() for word in head[:2]] != ["CREATE", "VIRTUAL"] or not rest:
        return None
    if fold(rest[0].value) != "audiomem":
        return None
    return [statement[first.start : last.end] for first, last in _between_commas(rest[2:-1])]


def _between_commas(words: list[Lexeme]) -> Iterator[tuple[Lexeme, Lexeme]]:
    """(first, last) word of each argument; commas inside parentheses part nothing."""
    depth, first = 0, 0
    for number, word in enumerate(words):
        depth += (word.text == "(") - (word.text == ")")
        if word.text == "," and not depth and number > first:
            yield words[first], words[number - 1]
        if word.text == "," and not depth:
            first = number + 1
    if first < len(words):
        yield words[first], words[-1]


def tables_with_files(execute: Execute) -> Iterator[tuple[str, str, list[str], str]]:
    """(database, table, arguments, path) of every audiomem table that the connection's databases name."""
    databases = [(row[0], row[1]) for row in execute("SELECT name, file FROM pragma_database_list")]
    for database, file in databases:
        query = f"SELECT name, sql FROM {quote(database)}.sqlite_master WHERE sql LIKE 'CREATE VIRTUAL%'"
        for name, statement in list(execute(query)):
            arguments = module_arguments(statement)
            if arguments:
                yield database, name, arguments, absolute(unquoted(arguments[0]), file)


def file_of(execute: Execute, table: str, database: str | None = None) -> str | None:
    """The path of the file of a table; None for what is no audiomem table. database: by default, any."""
    for owner, name, _, path in tables_with_files(execute):
        if fold(name) == fold(table) and (database is None or fold(owner) == fold(database)):
            return path
    return None


def delete_unused(execute: Execute, path: str) -> None:
    """Delete a table's file, as :func:`audiomem_sql.drop` does, unless the connection has a table in it.

    A file that is gone already is none. Raises what ``drop`` raises.
    """
    if not is_there(path):
        return
    wanted = place_of(path)
    if all(place_of(used) != wanted for *_, used in tables_with_files(execute)):
        dropping.drop(path)
