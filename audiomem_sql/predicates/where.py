"""The filter of the Python API, ``where="year > 2020 AND (title LIKE 'a%' OR seen IS NULL)"``.

A small part of SQL's expression language: conditions on one column each, joined by AND, OR, NOT and
parentheses. It means what SQLite means by the same text. What goes beyond it is decided by SQLite itself, see
:mod:`audiomem_sql.scan.condition_text`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias

import numpy as np

from audiomem_sql.columns.column import ROWID_NAMES, fold
from audiomem_sql.columns.lexemes import Lexeme, Token, blob_of, lexeme_at
from audiomem_sql.columns.numeric_text import numeric_text
from audiomem_sql.columns.parameters import TEXTS, parameter_text
from audiomem_sql.errors import DataTypeError, QueryError, did_you_mean
from audiomem_sql.predicates.operands import INT64_MAX, INT64_MIN, Numeral, SqlValue, Wide, clean
from audiomem_sql.predicates.predicate import (
    COMPARISON_BY_OP,
    COMPARISONS,
    ROWID,
    And,
    Condition,
    Not,
    Op,
    Or,
    Predicate,
)

#: Parentheses inside parentheses.
MAX_DEPTH = 200
#: Characters in a filter.
MAX_LENGTH = 1_000_000

_OPS = {sign: comparison.op for comparison in COMPARISONS for sign in comparison.sql}
#: Words that begin another condition on what stands before them.
_OPERATOR_WORDS = frozenset(["IS", "IN", "LIKE", "GLOB", "BETWEEN"])
_MORE_OPERATOR_WORDS = _OPERATOR_WORDS | {"NOT", "ISNULL", "NOTNULL"}
#: Words that are no column unless they are quoted.
_KEYWORDS = _MORE_OPERATOR_WORDS | {
    "AND",
    "OR",
    "NULL",
    "ESCAPE",
    "COLLATE",
    "CASE",
    "CAST",
    "EXISTS",
    "SELECT",
}
_KEYWORDS |= {"DISTINCT", "FROM", "WHERE", "ORDER", "GROUP", "LIMIT"}
#: Marks that SQL has a use for, though a filter may have none.
_MARKS = frozenset([*_OPS, *"(),?+-*/%&|~.;", "||", "<<", ">>", "->", "->>", "--", "/*"])
#: Names of the module: an Enum's members are slow to get at in Python 3.11.
_WORD, _NUMBER, _MARK, _OPEN, _END = Token.WORD, Token.NUMBER, Token.MARK, Token.OPEN, Token.END
_SPACE = " \t\n\f\r"
_SPACES = re.compile(f"[{_SPACE}]*")
_NUMERAL = re.compile(r"0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_REMEDY = "For everything else use SQL: audiomem_sql.connect(path)"


class _Column(NamedTuple):
    number: int


class _Value(NamedTuple):
    value: SqlValue | None


class _Truth(NamedTuple):
    """TRUE or FALSE: 1 or 0, but after IS a question of its own."""

    value: int


_Operand: TypeAlias = _Column | _Value | _Truth


def parse_where(text: str, schema_names: Sequence[str], parameters: Sequence[Any] = ()) -> Condition:
    """The filter as a condition.

    Columns are numbered as in ``schema_names``, and each ``?`` is replaced by its parameter.

    QueryError, with a caret under the place, for what is no filter; for columns that are not there; and when
    the number of parameters is not that of the question marks. DataTypeError for a datetime that has no text.
    """
    return _Parser(text, schema_names, parameters).parse()


def bound_value(value: Any, number: int) -> SqlValue | None:
    """Parameter ``number``, counted from 1, as SQL has it; an integer beyond 64 bits is ``Wide``.

    QueryError for what SQL has no value for.
    """
    if isinstance(value, TEXTS):
        try:
            return parameter_text(value)
        except DataTypeError as error:
            error.at(place=f"parameter {number}")
            raise
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, Wide):
        return value
    if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
        return Wide(value, f"parameter {number}")
    try:
        return clean(value)
    except QueryError as error:
        error.at(place=f"parameter {number}")
        raise


class _Parser:
    """Recursive descent, two calls deep for each level of parentheses."""

    def __init__(self, text: str, names: Sequence[str], parameters: Sequence[Any]) -> None:
        self.text, self.names, self.parameters = text, names, parameters
        if len(text) > MAX_LENGTH:
            raise QueryError(
                f"the filter has {len(text):,} characters, {MAX_LENGTH:,} are allowed", remedy=_REMEDY
            )
        self.columns = dict.fromkeys(ROWID_NAMES, ROWID)
        self.columns.update({fold(name): number for number, name in enumerate(names)})
        self.parameters_used = 0
        #: The text of the next token, in capitals: what keywords and marks are compared with.
        self.word_or_mark = ""
        self.token = self.read(0)

    def parse(self) -> Condition:
        if self.at_end():
            self.fail("the filter is empty")
        condition = self.disjunction(0)
        if not self.at_end():
            self.fail("a condition ends here, and AND or OR should follow")
        used = self.parameters_used
        if used != len(self.parameters):
            raise QueryError(
                f"the filter has {used} question marks, and there are {len(self.parameters)} parameters"
            )
        return condition

    # -- conditions ------------------------------------------------------------------------------------------

    def disjunction(self, depth: int) -> Condition:
        """Conditions joined by AND and OR."""
        if depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} parentheses inside each other")
        alternatives: list[Condition] = []
        together = [self.condition(depth)]
        while True:
            if self.accept("AND"):
                together.append(self.condition(depth))
                continue
            alternatives.append(together[0] if len(together) == 1 else And(tuple(together)))
            if not self.accept("OR"):
                break
            together = [self.condition(depth)]
        return alternatives[0] if len(alternatives) == 1 else Or(tuple(alternatives))

    def condition(self, depth: int) -> Condition:
        """NOT …, (…) or one comparison."""
        negated = False
        while self.accept("NOT"):
            negated = not negated
        if self.accept("("):
            condition = self.disjunction(depth + 1)
            self.expect(")")
            if self.word_or_mark in _OPS or self.word_or_mark in _OPERATOR_WORDS:
                self.fail("a condition in parentheses cannot be compared")
        else:
            condition = self.comparison()
            if self.word_or_mark in _OPS or self.word_or_mark in _MORE_OPERATOR_WORDS:
                self.fail("a comparison cannot be compared again")
        return Not(condition) if negated else condition

    def comparison(self) -> Condition:
        start = self.token
        left = self.operand()
        op = _OPS.get(self.token.text)
        if op is not None:
            self.next()
            right_start = self.token
            right = self.operand()
            if isinstance(right, _Column):
                if isinstance(left, _Column):
                    self.fail("two columns cannot be compared with each other", right_start)
                return Predicate(right.number, COMPARISON_BY_OP[op].mirrored, left.value)
            return Predicate(self.column(left, start), op, right.value)
        column = self.column(left, start)
        if self.accept("ISNULL"):
            return Predicate(column, Op.IS_NULL)
        if self.accept("NOTNULL"):
            return Predicate(column, Op.NOT_NULL)
        if self.accept("IS"):
            return self.identity(column)
        if not self.accept("NOT"):
            return self.membership(column) or Predicate(column, Op.TRUE)
        if self.accept("NULL"):
            return Predicate(column, Op.NOT_NULL)
        condition = self.membership(column)
        if condition is None:
            self.fail("after NOT, one of IN, BETWEEN, LIKE, GLOB or NULL is needed")
        return Not(condition)

    def membership(self, column: int) -> Condition | None:
        """IN, BETWEEN, LIKE or GLOB; None if none of them follows."""
        if self.accept("IN"):
            self.expect("(")
            return Predicate(column, Op.IN, self.values())
        if self.accept("BETWEEN"):
            low = self.literal()
            if not self.accept("AND"):
                self.fail("BETWEEN needs AND here")
            return And((Predicate(column, Op.GE, low), Predicate(column, Op.LE, self.literal())))
        for op in (Op.LIKE, Op.GLOB):
            if self.accept(op.value):
                return Predicate(column, op, self.literal())
        return None

    def identity(self, column: int) -> Condition:
        """What follows IS."""
        negated = self.accept("NOT")
        start = self.token
        right = self.operand()
        if isinstance(right, _Column):
            self.fail("two columns cannot be compared with each other", start)
        if isinstance(right, _Truth):
            true = Predicate(column, Op.TRUE)
            condition = And((Predicate(column, Op.NOT_NULL), true if right.value else Not(true)))
            return Not(condition) if negated else condition
        if right.value is None:
            return Predicate(column, Op.NOT_NULL if negated else Op.IS_NULL)
        return Predicate(column, Op.IS_NOT if negated else Op.IS, right.value)

    # -- operands --------------------------------------------------------------------------------------------

    def values(self) -> tuple[SqlValue | None, ...]:
        """The rest of ``(value, value …)``."""
        if self.accept(")"):
            return ()
        values = [self.literal()]
        while self.word_or_mark == ",":
            self.next()
            values.append(self.literal())
        self.expect(")")
        return tuple(values)

    def literal(self) -> SqlValue | None:
        start = self.token
        operand = self.operand()
        if isinstance(operand, _Column):
            self.fail("a value is needed here, not a column", start)
        return operand.value

    def column(self, operand: _Operand, start: Lexeme) -> int:
        if not isinstance(operand, _Column):
            self.fail("a condition needs a column on one side", start)
        return operand.number

    def operand(self) -> _Operand:
        """A column or a value."""
        lexeme = self.next()
        kind, value, text, _, _ = lexeme
        if kind is _WORD:
            return self.word(lexeme)
        if kind is _NUMBER:
            return _Value(self.number(lexeme, 1))
        if kind is Token.STRING:
            return _Value(value)
        if kind is Token.QUOTED:
            return self.named(lexeme)
        if kind is Token.BLOB:
            return _Value(self.blob(lexeme))
        if text == "?":
            return _Value(self.parameter(lexeme))
        if text in ("+", "-"):
            number = self.next()
            if number.token is not _NUMBER:
                self.fail("a number is needed here; arithmetic is not part of a filter", number)
            return _Value(self.number(number, -1 if text == "-" else 1))
        ends = "the filter ends where a column or a value is needed"
        return self.fail(ends if kind is _END else "a column or a value is needed here", lexeme)

    def word(self, lexeme: Lexeme) -> _Operand:
        upper = lexeme.text.upper() if lexeme.text.isascii() else lexeme.text
        if self.token.text == "(" and upper not in _KEYWORDS:
            self.fail("functions are not part of a filter", lexeme)
        if upper == "NULL":
            return _Value(None)
        if upper in ("TRUE", "FALSE") and fold(lexeme.text) not in self.columns:
            return _Truth(int(upper == "TRUE"))
        if upper in _KEYWORDS:
            self.fail(f"{upper} cannot stand here", lexeme)
        return self.named(lexeme)

    def named(self, lexeme: Lexeme) -> _Column:
        number = self.columns.get(fold(lexeme.value))
        if number is None:
            self.fail(no_column(lexeme.value, self.names), lexeme)
        return _Column(number)

    def number(self, lexeme: Lexeme, sign: int) -> int | float:
        text = lexeme.text
        if text[:2] in ("0x", "0X"):
            value = int(text, 16)
            if value >= 1 << 64:
                self.fail("a hexadecimal number has at most 16 digits", lexeme)
            value -= (value >> 63) << 64
            # SQLite negates in 64 bits where it can, and in floating point where it cannot
            return value * sign if value * sign <= INT64_MAX else float(value * sign)
        if text.isdigit():
            # no longer than INT64 has digits: int() takes quadratic time
            whole = int(text) * sign if len(text.lstrip("0")) < 20 else None
            if whole is not None and INT64_MIN <= whole <= INT64_MAX:
                return whole
        # digit for digit as SQLite reads it
        return Numeral(float(numeric_text(text) or 0.0) * sign, f"-{text}" if sign < 0 else text)

    def blob(self, lexeme: Lexeme) -> bytes:
        octets = blob_of(lexeme)
        if octets is None:
            self.fail("a blob is written x'00ff', with an even number of digits", lexeme)
        return octets

    def parameter(self, lexeme: Lexeme) -> SqlValue | None:
        if self.parameters_used >= len(self.parameters):
            self.fail(f"there is no parameter for this question mark ({len(self.parameters)} given)", lexeme)
        value = self.parameters[self.parameters_used]
        self.parameters_used += 1
        return bound_value(value, self.parameters_used)

    # -- tokens ----------------------------------------------------------------------------------------------

    def read(self, position: int) -> Lexeme:
        """The token that begins at ``position`` or behind the space there; a filter has no comments."""
        text = self.text
        if text[position : position + 1] in _SPACE:
            position = _SPACES.match(text, position).end()  # type: ignore[union-attr]  # it matches anywhere
        lexeme = lexeme_at(text, position)
        kind, _, word, _, _ = lexeme
        if kind is _WORD:
            self.word_or_mark = word.upper() if word.isascii() else word
            return lexeme
        self.word_or_mark = word
        if kind is _MARK:
            if word not in _MARKS:
                self.fail("this character has no meaning in a filter", lexeme)
        elif kind is _NUMBER:
            if not (word.isdecimal() or _NUMERAL.fullmatch(word)):
                self.fail("this is not a number", lexeme)
        elif kind is _OPEN:
            if word[0] in "xX":
                self.fail("a blob is written x'00ff', with an even number of digits", lexeme)
            self.fail(f"the closing {']' if word == '[' else word} is missing", lexeme)
        return lexeme

    def at_end(self) -> bool:
        return self.token.token is _END

    def next(self) -> Lexeme:
        lexeme = self.token
        if lexeme.token is not _END:
            self.token = self.read(lexeme.end)
        return lexeme

    def accept(self, word: str) -> bool:
        """Take the next token if it is this mark or keyword."""
        if self.word_or_mark != word:
            return False
        self.next()
        return True

    def expect(self, mark: str) -> None:
        if not self.accept(mark):
            self.fail(f"{mark} is needed here")

    def fail(self, reason: str, lexeme: Lexeme | None = None) -> NoReturn:
        raise not_understood(self.text, (lexeme or self.token).start, reason)


def no_column(name: str, names: Sequence[str]) -> str:
    """What is wrong with a condition that names none of the columns ``names``."""
    meant = did_you_mean(name, names).strip()
    meant = meant and f" ({meant[0].lower()}{meant[1:]})"
    return f"there is no column {name!r}{meant}; there are {', '.join(names)}"


def not_understood(text: str, position: int, reason: str, what: str = "filter") -> QueryError:
    """The error that shows ``text``, which is a ``what``, the place in it, and what is wrong there."""
    first, last = max(0, position - 60), position + 60
    line = re.sub(r"[\x00-\x1f]", " ", text[first:last])
    line = ("…" if first else "") + line + ("…" if last < len(text) else "")
    pad = " " * (position - first + (first > 0))
    return QueryError(f"this {what} cannot be understood:\n  {line}\n  {pad}^ {reason}", remedy=_REMEDY)
