"""The filter of the Python API, ``where="year > 2020 AND (title LIKE 'a%' OR seen IS NULL)"``.

A small part of SQL's expression language: conditions on one column each, joined by AND, OR, NOT and parentheses. It
means what SQLite means by the same text; everything beyond it is SQLite's business (``audiomem_sql.connect``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, NamedTuple, NoReturn, TypeAlias

import numpy as np

from audiomem_sql.arrays import BoolArray
from audiomem_sql.columns.numeric_text import numeric_text
from audiomem_sql.columns.timestamps import parse as parse_time
from audiomem_sql.columns.timestamps import render
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates.operands import INT64_MAX, INT64_MIN, SqlValue, clean
from audiomem_sql.predicates.predicate import ROWID, Op, Predicate

#: Parentheses inside parentheses.
MAX_DEPTH = 200
#: Characters in a filter.
MAX_LENGTH = 1_000_000


@dataclass(frozen=True)
class Leaf:
    """One condition."""

    predicate: Predicate


@dataclass(frozen=True)
class And:
    """All of the children."""

    children: tuple[Node, ...]


@dataclass(frozen=True)
class Or:
    """Any of the children."""

    children: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    """The opposite of the child; NULL stays NULL."""

    child: Node


Node: TypeAlias = Leaf | And | Or | Not
Masks: TypeAlias = Callable[[Predicate], tuple[BoolArray, BoolArray]]


def parse_where(text: str, schema_names: Sequence[str], parameters: Sequence[Any] = ()) -> Node:
    """The filter as a tree, with columns numbered as in ``schema_names`` and each ``?`` replaced by its parameter.

    QueryError, with a caret under the place, for what is no filter; for columns that are not there; and when the
    number of parameters is not that of the question marks.
    """
    return _Parser(text, schema_names, parameters).parse()


def conjuncts(node: Node) -> list[Predicate]:
    """Conditions that hold for every row the filter selects: the leaves of its top-level AND."""
    if isinstance(node, Leaf):
        return [node.predicate]
    if isinstance(node, And):
        return [predicate for child in node.children for predicate in conjuncts(child)]
    return []


def evaluate(node: Node, masks: Masks) -> BoolArray:
    """The rows for which the filter is true, bool (n,), in three-valued logic.

    ``masks`` gives for a condition the rows where it is true and the rows where it is NULL. It is asked for cheap
    conditions first, and not at all for those that cannot change the result.
    """
    return _evaluate(node, masks)[0]


def _evaluate(node: Node, masks: Masks) -> tuple[BoolArray, BoolArray]:
    """Where the node is true, and where it is false."""
    if isinstance(node, Leaf):
        true, null = masks(node.predicate)
        return true, ~(true | null)
    if isinstance(node, Not):
        true, false = _evaluate(node.child, masks)
        return false, true
    conjunction = isinstance(node, And)
    first, *others = sorted(node.children, key=_rank)
    true, false = _evaluate(first, masks)
    for child in others:
        if (false if conjunction else true).all():
            break
        child_true, child_false = _evaluate(child, masks)
        if conjunction:
            true, false = true & child_true, false | child_false
        else:
            true, false = true | child_true, false & child_false
    return true, false


def _rank(node: Node) -> int:
    if isinstance(node, Leaf):
        return 1 if node.predicate.op in (Op.LIKE, Op.GLOB) else 0
    return 2


_COMPARISONS = {
    "=": Op.EQ,
    "==": Op.EQ,
    "<>": Op.NE,
    "!=": Op.NE,
    "<": Op.LT,
    "<=": Op.LE,
    ">": Op.GT,
    ">=": Op.GE,
}
_FLIPPED = {Op.EQ: Op.EQ, Op.NE: Op.NE, Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}
#: Words that are no column unless they are quoted.
_KEYWORDS = frozenset(
    re.findall(
        r"\w+",
        "AND OR NOT IN BETWEEN IS NULL ISNULL NOTNULL LIKE GLOB ESCAPE COLLATE "
        "CASE CAST EXISTS SELECT DISTINCT FROM WHERE ORDER GROUP LIMIT",
    )
)
_ROWID_NAMES = ("rowid", "oid", "_rowid_")
_TOKEN = re.compile(
    r"""[ \t\n\f\r]*(?:
        (?P<blob>[xX]'[^']*'?)
      | (?P<text>'(?:[^']|'')*'?)
      | (?P<quoted>"(?:[^"]|"")*"? | `(?:[^`]|``)*`? | \[[^\]]*\]?)
      | (?P<number>0[xX][0-9a-fA-F]+ | (?:[0-9]+(?:\.[0-9]*)? | \.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<word>[^\W\d][\w$]*)
      | (?P<sign><>|<=|>=|==|!=|\|\||<<|>>|->>?|--|/\*|[=<>(),?+\-*/%&|~.;])
      | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})*")
_REMEDY = "For everything else use SQL: audiomem_sql.connect(path)"


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Column(NamedTuple):
    number: int | Literal["rowid"]


class _Value(NamedTuple):
    value: SqlValue | None


class _Truth(NamedTuple):
    """TRUE or FALSE: 1 or 0, but after IS a question of its own."""

    value: int


_Operand: TypeAlias = _Column | _Value | _Truth


class _Parser:
    """Recursive descent, two calls deep for each level of parentheses."""

    def __init__(self, text: str, names: Sequence[str], parameters: Sequence[Any]) -> None:
        self.text, self.names, self.parameters = text, names, parameters
        if len(text) > MAX_LENGTH:
            raise QueryError(
                f"the filter has {len(text):,} characters, {MAX_LENGTH:,} are allowed", remedy=_REMEDY
            )
        folded = [_fold(name) for name in names]
        self.columns: dict[str, int | Literal["rowid"]] = dict.fromkeys(_ROWID_NAMES, ROWID)
        self.columns.update({name: number for number, name in enumerate(folded)})
        self.used = 0
        self.end = 0
        self.token = self.scan()

    def parse(self) -> Node:
        if self.token.kind == "end":
            self.fail("the filter is empty")
        node = self.disjunction(0)
        if self.token.kind != "end":
            self.fail("a condition ends here, and AND or OR should follow")
        if self.used != len(self.parameters):
            raise QueryError(
                f"the filter has {self.used} question marks, and there are {len(self.parameters)} parameters"
            )
        return node

    def disjunction(self, depth: int) -> Node:
        """Conditions joined by AND and OR."""
        if depth > MAX_DEPTH:
            self.fail(f"more than {MAX_DEPTH} parentheses inside each other")
        alternatives: list[Node] = []
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

    def condition(self, depth: int) -> Node:
        """NOT …, (…) or one comparison."""
        negated = False
        while self.accept("NOT"):
            negated = not negated
        if self.accept("("):
            node = self.disjunction(depth + 1)
            self.expect(")")
            if self.token.text in _COMPARISONS or self.token.text.upper() in (
                "IS",
                "IN",
                "LIKE",
                "GLOB",
                "BETWEEN",
            ):
                self.fail("a condition in parentheses cannot be compared")
        else:
            node = self.comparison()
        return Not(node) if negated else node

    def comparison(self) -> Node:
        start = self.token
        left = self.operand()
        if self.token.kind == "sign" and self.token.text in _COMPARISONS:
            op = _COMPARISONS[self.next().text]
            place = self.token
            right = self.operand()
            if isinstance(left, _Column) and isinstance(right, _Column):
                self.fail("two columns cannot be compared with each other", place)
            if isinstance(right, _Column):
                return self.alone(Leaf(Predicate(right.number, _FLIPPED[op], self.constant(left, start))))
            column = self.column(left, start)
            return self.alone(Leaf(Predicate(column, op, right.value)))
        column = self.column(left, start)
        if self.accept("ISNULL"):
            return Leaf(Predicate(column, Op.IS_NULL))
        if self.accept("NOTNULL"):
            return Leaf(Predicate(column, Op.NOT_NULL))
        if self.accept("IS"):
            return self.alone(self.identity(column))
        negated = self.accept("NOT")
        if negated and self.accept("NULL"):
            return Leaf(Predicate(column, Op.NOT_NULL))
        node: Node
        if self.accept("IN"):
            self.expect("(")
            node = Leaf(Predicate(column, Op.IN, self.values()))
        elif self.accept("BETWEEN"):
            low = self.literal()
            if not self.accept("AND"):
                self.fail("BETWEEN needs AND here")
            node = And((Leaf(Predicate(column, Op.GE, low)), Leaf(Predicate(column, Op.LE, self.literal()))))
        elif self.accept("LIKE"):
            node = Leaf(Predicate(column, Op.LIKE, self.literal()))
        elif self.accept("GLOB"):
            node = Leaf(Predicate(column, Op.GLOB, self.literal()))
        elif negated:
            self.fail("after NOT, one of IN, BETWEEN, LIKE, GLOB or NULL is needed")
        else:
            node = Leaf(Predicate(column, Op.TRUE))
        return self.alone(Not(node) if negated else node)

    def identity(self, column: int | Literal["rowid"]) -> Node:
        """What follows IS."""
        negated = self.accept("NOT")
        place = self.token
        right = self.operand()
        if isinstance(right, _Column):
            self.fail("two columns cannot be compared with each other", place)
        if isinstance(right, _Truth):
            true = Leaf(Predicate(column, Op.TRUE))
            node = And((Leaf(Predicate(column, Op.NOT_NULL)), true if right.value else Not(true)))
            return Not(node) if negated else node
        if right.value is None:
            return Leaf(Predicate(column, Op.NOT_NULL if negated else Op.IS_NULL))
        return Leaf(Predicate(column, Op.IS_NOT if negated else Op.IS, right.value))

    def alone(self, node: Node) -> Node:
        """The node, if no second operator follows it: ``a = b = c`` has a meaning nobody means."""
        word = self.token.text.upper() if self.token.kind in ("word", "sign") else ""
        if word in _COMPARISONS or word in (
            "IS",
            "IN",
            "LIKE",
            "GLOB",
            "BETWEEN",
            "NOT",
            "ISNULL",
            "NOTNULL",
        ):
            self.fail("a comparison cannot be compared again")
        return node

    def values(self) -> tuple[SqlValue | None, ...]:
        """The rest of ``(value, value …)``."""
        if self.accept(")"):
            return ()
        found = [self.literal()]
        while self.accept(","):
            found.append(self.literal())
        self.expect(")")
        return tuple(found)

    def literal(self) -> SqlValue | None:
        place = self.token
        return self.constant(self.operand(), place)

    def constant(self, operand: _Operand, place: _Token) -> SqlValue | None:
        if isinstance(operand, _Column):
            self.fail("a value is needed here, not a column", place)
        return operand.value

    def column(self, operand: _Operand, place: _Token) -> int | Literal["rowid"]:
        if not isinstance(operand, _Column):
            self.fail("a condition needs a column on one side", place)
        return operand.number

    def operand(self) -> _Operand:
        """A column or a value."""
        token = self.next()
        kind, text = token.kind, token.text
        if kind == "sign" and text in "+-":
            number = self.next()
            if number.kind != "number":
                self.fail("a number is needed here; arithmetic is not part of a filter", number)
            return _Value(self.number(number, -1 if text == "-" else 1))
        if kind == "number":
            return _Value(self.number(token, 1))
        if kind == "text":
            return _Value(self.unquoted(token, "'", "'"))
        if kind == "blob":
            digits = text[2:-1]
            if not text.endswith("'") or len(text) < 3 or not _HEX.fullmatch(digits):
                self.fail("a blob is written x'00ff', with an even number of digits", token)
            return _Value(bytes.fromhex(digits))
        if kind == "sign" and text == "?":
            return _Value(self.parameter(token))
        if kind == "quoted":
            return self.named(self.unquoted(token, text[0], "]" if text[0] == "[" else text[0]), token)
        if kind == "word":
            return self.word(token)
        ends = "the filter ends where a column or a value is needed"
        raise self.error(ends if kind == "end" else "a column or a value is needed here", token)

    def word(self, token: _Token) -> _Operand:
        upper = token.text.upper()
        if self.token.text == "(" and upper not in _KEYWORDS:
            self.fail("functions are not part of a filter", token)
        if upper == "NULL":
            return _Value(None)
        if upper in ("TRUE", "FALSE") and _fold(token.text) not in self.columns:
            return _Truth(int(upper == "TRUE"))
        if upper in _KEYWORDS:
            self.fail(f"{upper} cannot stand here", token)
        return self.named(token.text, token)

    def named(self, name: str, token: _Token) -> _Column:
        number = self.columns.get(_fold(name))
        if number is None:
            self.fail(f"there is no column {name!r}; there are {', '.join(self.names)}", token)
        return _Column(number)

    def number(self, token: _Token, sign: int) -> int | float:
        text = token.text
        if text[:2] in ("0x", "0X"):
            value = int(text, 16)
            if value >= 1 << 64:
                self.fail("a hexadecimal number has at most 16 digits", token)
            value -= (value >> 63) << 64
            # SQLite negates in 64 bits where it can, and in floating point where it cannot
            return value * sign if value * sign <= INT64_MAX else float(value * sign)
        if text.isdigit():
            # no longer than INT64 has digits: int() takes quadratic time
            whole = int(text) * sign if len(text.lstrip("0")) < 20 else None
            if whole is not None and INT64_MIN <= whole <= INT64_MAX:
                return whole
        # digit for digit as SQLite reads it
        return float(numeric_text(text) or 0.0) * sign

    def unquoted(self, token: _Token, opening: str, closing: str) -> str:
        inside = token.text[len(opening) :]
        if not inside.endswith(closing) or (closing != "]" and inside.count(closing) % 2 == 0):
            self.fail(f"the closing {closing} is missing", token)
        inside = inside[:-1]
        return inside if closing == "]" else inside.replace(closing * 2, closing)

    def parameter(self, token: _Token) -> SqlValue | None:
        if self.used >= len(self.parameters):
            self.fail(f"there is no parameter for this question mark ({len(self.parameters)} given)", token)
        value = self.parameters[self.used]
        self.used += 1
        if isinstance(value, datetime | date):
            return render(parse_time(value))
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, int) and not INT64_MIN <= value <= INT64_MAX:
            self.fail(f"parameter {self.used} is beyond 64 bits", token)
        try:
            return clean(value)
        except QueryError as error:
            error.at(place=f"parameter {self.used}")
            raise

    def scan(self) -> _Token:
        match = _TOKEN.match(self.text, self.end)
        if match is None:
            at = self.end + len(self.text[self.end :]) - len(self.text[self.end :].lstrip(" \t\n\f\r"))
            self.fail("this character has no meaning in a filter", _Token("", "", at))
        kind = match.lastgroup or ""
        token = _Token(kind, match[kind], match.start(kind))
        if kind == "number" and re.match(r"[\w$.]", self.text[match.end() : match.end() + 1]):
            self.fail("this is not a number", token)
        self.end = match.end()
        return token

    def next(self) -> _Token:
        token = self.token
        self.token = self.scan() if token.kind != "end" else token
        return token

    def accept(self, word: str) -> bool:
        """Take the next token if it is this sign or keyword."""
        token = self.token
        if token.kind in ("word", "sign") and token.text.upper() == word:
            self.next()
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.accept(sign):
            self.fail(f"{sign} is needed here")

    def fail(self, what: str, token: _Token | None = None) -> NoReturn:
        raise self.error(what, token or self.token)

    def error(self, what: str, token: _Token) -> QueryError:
        at = token.at
        first, last = max(0, at - 60), at + 60
        line = re.sub(r"[\x00-\x1f]", " ", self.text[first:last])
        line = ("…" if first else "") + line + ("…" if last < len(self.text) else "")
        pad = " " * (at - first + (first > 0))
        return QueryError(f"this filter cannot be understood:\n  {line}\n  {pad}^ {what}", remedy=_REMEDY)


def _fold(name: str) -> str:
    """SQLite's names are the same in either case of the ASCII letters."""
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
