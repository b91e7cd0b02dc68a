"""Differences that the documentation states: how each is recognised, and the sentence that states it."""

from __future__ import annotations

import re
from datetime import datetime

import apsw
from model import NO_TIME

from audiomem_sql.errors import DataTypeError
from vtab.tables import HIDDEN_NAMES

from .steps import Step

_AMBIGUOUS = re.compile(r"^ambiguous column name: (\w+)$")
_TIME = re.compile(
    r"'(\d{4}-\d\d-\d\d)([ Tt]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d{1,6}0*)?)?([Zz]|[+-]([01]\d|2[0-3]):[0-5]\d)?)?' is no timestamp"
)
_HIDDEN = frozenset(name.lower() for name in HIDDEN_NAMES)
#: Page and sentence, by rule. The page is searched for the sentence by ``test_difference``.
RULES = {
    "compared with no time": (
        "SQL.md",
        "A condition on a TIMESTAMP with what is no time (`seen > 'yesterday'`, `seen = ''`, `seen >= '2024-03'`, "
        "`seen = 5`) is an error that names the column.",
    ),
    "stored what is no time": ("SQL.md", "a value is converted without loss, or an error names the column"),
    "text is not UTF-8": (
        "SQL.md",
        "Text that is not UTF-8, which SQLite takes from any program, is refused with the names of column and row",
    ),
    "NULL in a trigger": (
        "SQL.md",
        "Where its text does not tell, NULL takes the default: in a trigger",
    ),
    "OR ABORT in a trigger": (
        "SQL.md",
        "`OR ABORT` in a trigger cannot be told from no clause, so a constraint's own one holds.",
    ),
    "last_insert_rowid()": (
        "SQL.md",
        "In the table that is written in Python, `last_insert_rowid()` is 0 after an INSERT that names `rowid`.",
    ),
    "INSERT … RETURNING": ("SQL.md", "INSERT … RETURNING would give the values as they were sent"),
    "text among numbers": (
        "SQL.md",
        "SQLite checks `(text, n) IN (SELECT number, …)` on a virtual table without converting the text",
    ),
    "COLLATE in an IN": (
        "SQL.md",
        "SQLite tells a virtual table, and its own indexes, nothing of a COLLATE inside `n IN (SELECT x COLLATE …)`",
    ),
    "UNION that begins with a rowid": (
        "SQL.md",
        "A native UNION that begins with such a key takes that of the next SELECT",
    ),
    "NOT NULL without DEFAULT": (
        "SQL.md",
        "A column that is added and NOT NULL needs a DEFAULT, also in a table without rows",
    ),
    "mark of AUTOINCREMENT": (
        "SQL.md",
        "A row that OR IGNORE drops, or that its own transaction deletes, leaves no mark.",
    ),
    "rows before a wrong type": (
        "SQL.md",
        "A statement that is refused for a type changes nothing; in its own tables SQLite keeps what came before, if the "
        "statement has no other way to fail.",
    ),
    "UPDATE … RETURNING": ("SQL.md", "UPDATE RETURNING is not available on virtual tables"),
    "DELETE … RETURNING": ("SQL.md", "UPDATE or DELETE … RETURNING"),
    "UPSERT": ("SQL.md", "UPSERT not implemented for virtual table"),
    "CREATE INDEX": ("SQL.md", "virtual tables may not be indexed"),
    "CREATE TRIGGER": ("SQL.md", "cannot create triggers on virtual tables"),
    "ALTER TABLE … COLUMN": ("SQL.md", "virtual tables may not be altered"),
    "generated column": ("SQL.md", "we refuse them by name; a view can compute them"),
    "ON CONFLICT FAIL": (
        "SQL.md",
        "`ON CONFLICT FAIL` and `ROLLBACK` of a constraint are refused, because SQLite decides them by the statement alone.",
    ),
    "columns in a transaction": ("SQL.md", "A change of the columns cannot be part of a transaction"),
    "reserved name": ("SQL.md", "Only those names are reserved."),
    "hidden name in a join": (
        "SQL.md",
        "SQLite asks for the columns of both by their names alone if a RIGHT or FULL JOIN follows.",
    ),
    "stale view": (
        "SQL.md",
        "A view does not follow the commands `rename column` and `drop column`: it fails with `no such column` until it is "
        "made again.",
    ),
}


def _refuses_a_time(message: str) -> bool:
    """Whether what is called no timestamp looks like one of a day that there is."""
    found = _TIME.search(message)
    try:
        return found is not None and datetime.strptime(found[1], "%Y-%m-%d").year > 0
    except ValueError:
        return False


def _is_undecoded(error: object) -> bool:
    return isinstance(error, UnicodeDecodeError)


def known(step: Step, ours: object, extension: bool) -> str:
    """The rule that an answer of ours falls under, or an empty text."""
    if isinstance(ours, DataTypeError) and NO_TIME.search(str(ours)) and not _refuses_a_time(str(ours)):
        return "stored what is no time" if step.rule == "stored what is no time" else "compared with no time"
    if isinstance(ours, DataTypeError) and "text that is not UTF-8" in str(ours):
        return "text is not UTF-8"
    if isinstance(ours, apsw.SQLError) and (found := _AMBIGUOUS.search(str(ours))):
        by_name = ("NATURAL" in step.ours or "USING" in step.ours) and (
            "RIGHT JOIN" in step.ours or "FULL JOIN" in step.ours
        )
        return "hidden name in a join" if by_name and found[1].lower() in _HIDDEN else ""
    if not extension and (
        _is_undecoded(ours) or (isinstance(ours, SystemError) and _is_undecoded(ours.__cause__))
    ):
        return "text is not UTF-8"  # apsw goes on after the first of two such arguments, hence SystemError
    return ""
