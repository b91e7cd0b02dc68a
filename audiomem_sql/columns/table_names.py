"""What a table is called in SQL: the name of its file, unless SQL cannot have that."""

from __future__ import annotations

import os

from audiomem_sql.columns.column import fold
from audiomem_sql.columns.lexemes import Token, blob_of, lexeme_at, text_literal
from audiomem_sql.errors import OptionError
from audiomem_sql.machine.file_names import stem


def table_name(path: str | os.PathLike[str], given: str | None = None, *, remedy: str) -> str:
    """The name ``given`` to a table, by default its file's without folder and extension.

    OptionError with ``remedy`` for a name that SQLite keeps for itself, and for one that is not UTF-8.
    """
    name = stem(path) if given is None else given
    if fold(name).startswith("sqlite_"):
        raise OptionError(f"SQLite keeps the name {name} for itself", file=path, remedy=remedy)
    if not is_utf8(name):
        raise OptionError("the name of a table must be UTF-8", file=path, remedy=remedy)
    return name


def is_utf8(text: str) -> bool:
    """Whether a text that came from the operating system, or from SQLite, was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def path_literal(path: str) -> str:
    """A path as the first argument of USING audiomem: a text, or a blob of its bytes if it is not UTF-8."""
    return text_literal(path) if is_utf8(path) else f"x'{os.fsencode(path).hex()}'"


def path_of(argument: str) -> str:
    """The path that the first argument of USING audiomem names: the inverse of :func:`path_literal`.

    Any quotes do, and none.
    """
    text = argument.strip()
    lexeme = lexeme_at(text, 0)
    blob = blob_of(lexeme) if lexeme.token is Token.BLOB and lexeme.end == len(text) else None
    if blob is not None:
        return os.fsdecode(blob)
    if text[0] in "'\"" and text[-1] == text[0] and len(text) > 1:
        return text[1:-1].replace(text[0] * 2, text[0])
    return text
