"""The hidden column ``filter``: a condition of SQL on the row, as text, which comes before the ranking.

    SELECT * FROM t WHERE t MATCH 'word' AND filter = 'meta ->> ''lang'' = ''de''' LIMIT 10

The connection that asks evaluates it, as ``SELECT rowid FROM t WHERE (…)``, so that its functions, its tables
and its authorizer count. The text may come from where no user wrote it: a view or trigger of a schema, or a
column. So it is one expression, and may do no more than a view of a trusted schema may: what SQLite keeps
from views (SQLITE_DIRECTONLY) is refused here as well, which covers everything that reads or writes files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.column import ROWID_NAMES, fold, quote
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.lexemes import Token, lexemes, text_literal
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import int64_view
from audiomem_sql.columns.syntax import is_expression
from audiomem_sql.errors import AudioMemError, InterruptError, QueryError
from audiomem_sql.scan import RowFilter
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.vtab.hidden_columns import HiddenColumns

#: Marks that begin a parameter.
_PARAMETERS = frozenset("?:@$#")
#: Operators that call a function of the connection.
_OPERATORS = {"LIKE": "like", "GLOB": "glob", "REGEXP": "regexp", "MATCH": "match"}
#: Tables by their name alone that only compute. (Others may read files, as the shell's ``fsdir`` does.)
_PURE_MODULES = ("json_each", "json_tree", "jsonb_each", "jsonb_tree", "generate_series")
_DIRECT_ONLY = 0x80000  # SQLITE_DIRECTONLY


def select_rows(
    database: str,
    table: str,
    schema: Schema,
    hidden: HiddenColumns,
    condition: Any,
    moment: tuple[Hidden, Any] | None,
) -> str:
    """The statement for the rowids of the rows for which ``condition`` is true.

    moment: version or as_of, and what it equals. QueryError for anything but one expression.
    """
    if not isinstance(condition, str) or not is_expression(condition):
        raise QueryError(
            f"filter is a condition of SQL as text, and {condition!r} is none",
            remedy="Write filter = 'year > 2020', with every quote inside it twice.",
        )
    names = {fold(name) for name in schema.names}
    rowid = next(name for name in ROWID_NAMES if name not in names)
    sql = f"SELECT {rowid} FROM {quote(database)}.{quote(table)} WHERE ({condition}\n)"
    if moment is None:
        return sql
    role, value = moment
    constant = str(value) if isinstance(value, int) else text_literal(str(value))
    return f"{sql} AND {quote(hidden.name(role))} = {constant}"


def check_names(condition: str, integers: Callable[[str], I64Array], path: str) -> None:
    """QueryError for what a condition may not name: parameters, and what SQLite keeps from views.

    integers: gives the integers of the first column of a query.
    """
    words = lexemes(condition)
    called: list[str] = []
    named: list[str] = []
    reads = False
    for word, after in zip(words, [*words[1:], words[-1]], strict=True):
        if word.token is Token.MARK and word.text in _PARAMETERS:
            raise QueryError(
                "a filter has no parameters", file=path, remedy="Write the value into its text, in quotes."
            )
        if word.token in (Token.WORD, Token.QUOTED):
            named.append(fold(word.value))
            if after.text == "(":
                called.append(fold(word.value))
            called += [_OPERATORS[operator] for operator in _OPERATORS if word.is_word(operator)]
            reads = reads or word.is_word("SELECT") or (word.is_word("IN") and after.text != "(")
    functions = f"SELECT lower(name) FROM pragma_function_list WHERE flags & {_DIRECT_ONLY}"
    _check(called, functions, integers, path)
    if reads:
        tables = [name for name in named if name not in _PURE_MODULES]
        _check(tables, "SELECT lower(name) FROM pragma_module_list", integers, path)


def _check(names: Sequence[str], refused: str, integers: Callable[[str], I64Array], path: str) -> None:
    """QueryError if one of ``names`` is among those that the query ``refused`` gives."""
    if not names:
        return
    literals = (f"({number}, {text_literal(name)})" for number, name in enumerate(names))
    sql = f"WITH asked(number, name) AS (VALUES {', '.join(literals)}) "
    try:
        found = integers(f"{sql} SELECT number FROM asked WHERE name IN ({refused})")
    except Exception as error:
        raise QueryError(
            f"what a filter calls cannot be looked up: {error}",
            file=path,
            remedy="Write the condition into the WHERE of the query.",
        ) from None
    if len(found):
        raise QueryError(
            f"a filter may not use {names[int(found[0])]}, which no view may use either",
            file=path,
            remedy="Write the condition into the WHERE of the query.",
        )


def failed(error: Exception, condition: str, path: str) -> Exception:
    """What is raised when the evaluation of ``condition`` raised ``error``."""
    if isinstance(error, AudioMemError):
        return error
    if str(error) == "interrupted":
        return InterruptError("interrupted", file=path)
    return QueryError(
        f"the filter {condition!r} fails: {error}",
        file=path,
        remedy="It is a condition as in WHERE, on the columns of this table.",
    )


def in_rows(rowids: I64Array) -> RowFilter:
    """The filter that lets through the rows with one of ``rowids``, ascending int64 (n,)."""

    def passes(load: Callable[[int], pa.Array]) -> BoolArray:
        loaded = int64_view(load(ROWID))
        if not len(rowids):
            return np.zeros(len(loaded), bool)
        places = np.minimum(np.searchsorted(rowids, loaded), len(rowids) - 1)
        return np.asarray(rowids[places] == loaded, bool)

    return passes
