"""The hidden column ``filter``: a condition of SQL on the row, as text, which comes before the ranking.

    SELECT * FROM t WHERE t MATCH 'word' AND filter = 'meta ->> ''lang'' = ''de''' LIMIT 10

The connection that asks evaluates it, as ``SELECT rowid FROM t WHERE (…)``, so that its functions, its tables
and its authorizer count. The text may come from where no user wrote it: a view or trigger of a schema, or a
column. So it is one expression, and may do no more than a view of a trusted schema may: what SQLite keeps
from views (SQLITE_DIRECTONLY) is refused here as well, which covers everything that reads or writes files.
Where the schema has a view or trigger that may have written the text, it reads no other database, either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray, I64Array
from audiomem_sql.columns.column import ROWID_NAMES, fold, quote
from audiomem_sql.columns.hidden import Hidden
from audiomem_sql.columns.lexemes import Lexeme, Token, lexemes, text_literal
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.stored_values import int64_view
from audiomem_sql.columns.syntax import is_expression
from audiomem_sql.errors import AudioMemError, InterruptError, QueryError
from audiomem_sql.scan import RowFilter
from audiomem_sql.storage.segment import ROWID
from audiomem_sql.vtab.hidden_columns import HiddenColumns

#: Marks that begin a parameter.
_PARAMETERS = frozenset("?:@$#")
#: Marks behind which a table may be named, beside FROM, JOIN and IN.
_BEFORE_TABLE = (",", "(", ".")
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


class _Names:
    """The names in a condition, folded, by what they may stand for."""

    def __init__(self, condition: str) -> None:
        self.functions: list[str] = []
        self.databases: list[str] = []
        self.tables: list[str] = []
        self.unqualified: list[str] = []
        self.has_parameters = False
        #: Whether there is a sub-select. Without one nothing is a table.
        self.reads = False
        words = lexemes(condition)
        for before, word, after in zip([words[-1], *words], words, [*words[1:], words[-1]], strict=False):
            self._take(before, word, after)

    def _take(self, before: Lexeme, word: Lexeme, after: Lexeme) -> None:
        if word.token is Token.MARK and word.text in _PARAMETERS:
            self.has_parameters = True
        if word.token not in (Token.WORD, Token.QUOTED, Token.STRING):
            return
        name = fold(word.value)
        if after.text == ".":
            self.databases.append(name)
        # SQLite takes a string, too, for the name of a table, where one may stand
        is_named = before.text in _BEFORE_TABLE or before.is_word("FROM", "JOIN", "IN") or after.text == "."
        if word.token is not Token.STRING or is_named:
            self.tables.append(name)
            if before.text != ".":
                self.unqualified.append(name)
        if word.token is not Token.STRING and after.text == "(":
            self.functions.append(name)
        self.functions += [_OPERATORS[operator] for operator in _OPERATORS if word.is_word(operator)]
        self.reads = self.reads or word.is_word("SELECT") or (word.is_word("IN") and after.text != "(")


def check_names(
    condition: str, database: str, table: str, integers: Callable[[str], I64Array], path: str
) -> None:
    """QueryError for what a condition on a table may not name.

    That is parameters, what SQLite keeps from views, and other databases where a view or trigger may have
    written the condition. integers: gives the integers of the first column of a query.
    """
    names = _Names(condition)
    if names.has_parameters:
        raise QueryError(
            "a filter has no parameters", file=path, remedy="Write the value into its text, in quotes."
        )
    functions = f"SELECT lower(name) FROM pragma_function_list WHERE flags & {_DIRECT_ONLY}"
    no_view = "which no view may use either"
    _check(names.functions, f"name IN ({functions})", no_view, integers, path)
    if not names.reads:
        return
    tables = [name for name in names.tables if name not in _PURE_MODULES]
    modules = "name IN (SELECT lower(name) FROM pragma_module_list) OR substr(name, 1, 7) = 'pragma_'"
    _check(tables, modules, no_view, integers, path)
    if fold(database) != "temp":  # whose views and triggers are of the connection
        guarded = f"EXISTS ({_mentions(database, table)})"
        others = "which may be of another database, beside a view or trigger that names the table"
        tables = [name for name in names.unqualified if name not in _PURE_MODULES]
        _check(tables, f"{guarded} AND {_elsewhere(database)}", others, integers, path)
        other = f"name IN (SELECT lower(name) FROM pragma_database_list) AND name <> {_folded(database)}"
        _check(names.databases, f"{guarded} AND {other}", others, integers, path)


def _mentions(database: str, table: str) -> str:
    """A SELECT that has rows if a view or trigger of a database may name a table."""
    sql = f"SELECT 1 FROM {quote(database)}.sqlite_master WHERE type IN ('view', 'trigger')"
    spelled = not any(mark in table for mark in "\"'`]")  # each of them has spellings inside its own quotes
    return f"{sql} AND instr(lower(sql), lower({text_literal(table)}))" if spelled else sql


def _elsewhere(database: str) -> str:
    """A condition for a ``name`` that means a table of another database. SQLite looks in temp first."""
    has = "EXISTS (SELECT 1 FROM pragma_table_info(asked.name, {}))"
    return (
        "EXISTS (SELECT 1 FROM pragma_database_list AS own JOIN pragma_database_list AS other"
        f" ON lower(own.name) = {_folded(database)} AND other.seq <> own.seq"
        f" WHERE {has.format('other.name')}"
        f" AND (other.seq = 1 OR other.seq < own.seq OR NOT {has.format('own.name')}))"
    )


def _folded(database: str) -> str:
    return f"lower({text_literal(database)})"


def _check(
    names: Sequence[str], refused: str, why: str, integers: Callable[[str], I64Array], path: str
) -> None:
    """QueryError if the condition ``refused`` holds for one of ``names``."""
    if not names:
        return
    literals = (f"({number}, {text_literal(name)})" for number, name in enumerate(names))
    sql = f"WITH asked(number, name) AS (VALUES {', '.join(literals)}) "
    try:
        found = integers(f"{sql} SELECT number FROM asked WHERE {refused}")
    except InterruptError:
        raise
    except Exception as error:
        raise QueryError(
            f"what a filter names cannot be looked up: {error}",
            file=path,
            remedy="Write the condition into the WHERE of the query.",
        ) from None
    if len(found):
        raise QueryError(
            f"a filter may not use {names[int(found[0])]}, {why}",
            file=path,
            remedy="Write the condition into the WHERE of the query.",
        )


def failed(error: Exception, condition: str, path: str) -> Exception:
    """What is raised when the evaluation of ``condition`` raised ``error``."""
    if isinstance(error, AudioMemError):
        return error
    return QueryError(
        f"the filter {condition!r} fails: {error}",
        file=path,
        remedy="It is a condition as in WHERE, on the columns of this table.",
    )


def in_rows(rowids: I64Array) -> RowFilter:
    """The filter that lets through the rows with one of ``rowids``, ascending int64 (n,)."""
    return partial(_in_rows, rowids)  # which can be pickled: other processes search with it, too


def _in_rows(rowids: I64Array, load: Callable[[int], pa.Array]) -> BoolArray:
    loaded = int64_view(load(ROWID))
    if not len(rowids):
        return np.zeros(len(loaded), bool)
    places = np.minimum(np.searchsorted(rowids, loaded), len(rowids) - 1)
    return np.asarray(rowids[places] == loaded, bool)
