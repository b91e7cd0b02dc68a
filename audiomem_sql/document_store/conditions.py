"""Conditions on documents as SQL of one row: true or false, never NULL, with Python's idea of equality.

A number is never equal to a text, 1 is 1.0 and True, and a field that is not there is None. Lists and dicts
are equal by what is in them. Decimals are compared as floats, but with each other for equality as they are
written. An order is one
of numbers, of texts or of times; values of another type than the one compared with do not pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from audiomem_sql.columns.lexemes import quote, text_literal
from audiomem_sql.document_store.metadata import check_text, in_order, packed, scalar
from audiomem_sql.document_store.moments import compared, moment
from audiomem_sql.errors import QueryError

ORDER = ("<", "<=", ">", ">=")
_NUMBERS = "('integer', 'real', 'true', 'false')"
_INT64 = 1 << 63
#: What an element of a list is called in SQL.
_ELEMENT = "element"
#: Characters of SQL that name a place.
_LONGEST_PATH = 10_000
#: Values of a list or a dict that are compared one by one.
_MOST_INSIDE = 50
#: Conditions that are joined without more parentheses.
_FLAT = 16
#: Digits of a Decimal that is compared as it is written.
_MOST_DIGITS = 400


class Condition(NamedTuple):
    """SQL, with ``?`` for each of its parameters."""

    sql: str
    parameters: tuple[Any, ...] = ()


TRUE, FALSE = Condition("1 = 1"), Condition("1 = 0")


class Place(NamedTuple):
    """A place in JSON: SQL of the JSON, of a path to it, of the same as a list's inside, and of the types."""

    column: str
    path: str
    keys: str
    types: str | None

    def to(self, *steps: str | int) -> Place:
        """A place in it: keys, and numbers in lists."""
        path = "".join(
            f"[{step}]" if isinstance(step, int) else f".{json.dumps(step, ensure_ascii=False)}"
            for step in steps
        )
        check_text(path, "the name of a field")
        keys = ",".join(json.dumps(step, ensure_ascii=False) for step in steps)
        comma = "" if self.keys == "''" else ","
        return self._replace(
            path=f"{self.path} || {text_literal(path)}",
            keys=f"{self.keys} || {text_literal(comma + keys)}",
        )

    def to_each(self) -> Place:
        """That of an element, inside a query of json_each."""
        comma = "" if self.keys == "''" else ","
        return self._replace(
            path=f"{self.path} || '[' || {_ELEMENT}.key || ']'",
            keys=f"{self.keys} || '{comma}' || {_ELEMENT}.key",
        )


class Field(NamedTuple):
    """A value of a document: SQL of the value, and of its type as JSON or SQLite calls it.

    array: SQL of the table function that lists what is in it; None where it holds no more than one value.
    place: where it is in JSON, None if it is not. decimal: SQL that is true of a text that is a Decimal.
    """

    value: str
    kind: str
    array: str | None = None
    place: Place | None = None
    decimal: str | None = None

    @classmethod
    def of_column(cls, name: str) -> Field:
        """That of a column."""
        return cls(quote(name), f"typeof({quote(name)})")

    @classmethod
    def of_json(cls, column: str, path: Sequence[str], types: str | None = None) -> Field:
        """What is at a path of keys in a column of JSON. types: the column that says what JSON cannot."""
        return cls.at(Place(quote(column), "'$'", "''", None if types is None else quote(types)).to(*path))

    @classmethod
    def at(cls, place: Place) -> Field:
        """What is at a place in JSON."""
        where = f"{place.column}, {place.path}"
        decimal = f"instr({place.types}, '[[' || {place.keys} || '],\"decimal\"]')" if place.types else None
        return cls(f"json_extract({where})", f"json_type({where})", f"json_each({where})", place, decimal)


def all_of(conditions: Iterable[Condition]) -> Condition:
    """True where all are; of none: true."""
    return _joined(list(conditions), " AND ", TRUE)


def any_of(conditions: Iterable[Condition]) -> Condition:
    """True where one is; of none: false."""
    return _joined(list(conditions), " OR ", FALSE)


def negated(condition: Condition) -> Condition:
    """True where the other is false."""
    return Condition(f"NOT ({condition.sql})", condition.parameters)


def is_missing(field: Field) -> Condition:
    """There is no value, or it is None."""
    return Condition(f"coalesce({field.kind}, 'null') = 'null'")


def is_empty(field: Field) -> Condition:
    """There is no value, or it is None, an empty text or an empty list."""
    empty = Condition(f"coalesce(({field.kind} IN ('text', 'array') AND {field.value} IN ('', '[]')), 0)")
    return any_of((is_missing(field), empty))


def compare(field: Field, operator: str, value: Any, *, times_as_text: bool = True) -> Condition:
    """A field beside a value: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in``, ``not in``.

    times_as_text: a text that is a time in ISO 8601 is no more than a text. QueryError for what cannot be
    compared.
    """
    if operator == "==":
        return _equal(field, value, times_as_text)
    if operator == "!=":
        return negated(_equal(field, value, times_as_text))
    if operator in ("in", "not in"):
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise QueryError(f"{operator} takes a list, not {value!r:.60}", remedy="Write [value, …].")
        found = any_of(_equal(field, each, times_as_text) for each in value)
        return found if operator == "in" else negated(found)
    if operator in ORDER:
        return _ordered(field, operator, value, times_as_text)
    raise QueryError(f"{operator!r} compares nothing", remedy="Use ==, !=, <, <=, >, >=, in or not in.")


def contains(field: Field, value: Any) -> Condition:
    """A list has ``value`` in it, or a text has it as a part."""
    conditions: list[Condition] = []
    if field.array is not None:
        element = Field(f"{_ELEMENT}.value", f"{_ELEMENT}.type")
        if field.place is not None:
            within = Field.at(field.place.to_each())
            element = element._replace(place=within.place, array=within.array, decimal=within.decimal)
        inside = _equal(element, value, True)
        found_in = f"EXISTS (SELECT 1 FROM {field.array} AS {_ELEMENT} WHERE {inside.sql})"
        conditions.append(Condition(f"({field.kind} = 'array' AND {found_in})", inside.parameters))
    if isinstance(value, str):
        conditions.append(matches_text(field, value))
    found = any_of(conditions)
    return Condition(f"coalesce({found.sql}, 0)", found.parameters)


def matches_text(field: Field, part: str, *, ignore_case: bool = False) -> Condition:
    """A text has ``part`` in it. ignore_case: letters that have one capital are it, of any alphabet."""
    check_text(part, "the text")
    if ignore_case:
        pattern = "".join(map(_either_case, part))
        return Condition(f"coalesce({field.kind} = 'text' AND {field.value} GLOB ?, 0)", (f"*{pattern}*",))
    return Condition(f"coalesce({field.kind} = 'text' AND instr({field.value}, ?) > 0, 0)", (part,))


def _either_case(letter: str) -> str:
    """A pattern of GLOB for a letter of a text in either case."""
    forms = {form for form in (letter, letter.lower(), letter.upper()) if len(form) == 1}
    if len(forms) > 1:
        return f"[{''.join(sorted(forms))}]"
    return f"[{letter}]" if letter in "*?[" else letter


def _equal(field: Field, value: Any, times_as_text: bool) -> Condition:
    if value is None:
        return is_missing(field)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, set | frozenset):
        value = in_order(value)
    if isinstance(value, list | tuple):
        return _same(field, "array", list(enumerate(value)), times_as_text)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise QueryError(f"{key!r:.60} is no key of metadata", remedy="Keys are texts.")
        return _same(field, "object", list(value.items()), times_as_text)
    when = moment(value) if not (isinstance(value, str) and times_as_text) else None
    if isinstance(value, Decimal):
        return _number(field, "=", value)
    plain = _bound(value)
    if isinstance(plain, str):
        found = Condition(f"coalesce({field.kind} = 'text' AND {field.value} = ?, 0)", (plain,))
        return found if when is None else any_of((found, _timed(field, "=", when)))
    return _number(field, "=", plain)


def _same(field: Field, kind: str, inner: list[tuple[Any, Any]], times_as_text: bool) -> Condition:
    """A list or a dict with these values, by place or by key, whatever the order of the keys."""
    if field.place is None or field.array is None:
        return FALSE
    if len(field.place.path) > _LONGEST_PATH:
        raise QueryError("the value that is compared is too deep", remedy="Compare what is in it.")
    size = f"(SELECT count(*) FROM {field.array}) = {len(inner)}"
    parts = [Condition(f"coalesce({field.kind} = '{kind}', 0)"), Condition(size)]
    values = [each for _, each in inner]
    if kind == "array" and len(inner) > _FLAT and all(each is None or _is_plain(each) for each in values):
        parts.append(_same_plain(field.array, values))
        inner = []
    if len(inner) > _MOST_INSIDE:
        raise QueryError(
            f"{len(inner)} values in a value are compared, {_MOST_INSIDE} are allowed",
            remedy="Compare some of them by their keys.",
        )
    for step, each in inner:
        within = Field.at(field.place.to(step))
        parts.append(_equal(within, each, times_as_text))
        if each is None:  # and not: nothing is there
            parts.append(Condition(f"{within.kind} IS NOT NULL"))
    first, second, *others = parts  # json_each of a scalar has a row, too
    return Condition(
        f"CASE WHEN {first.sql} THEN ({all_of([second, *others]).sql}) ELSE 0 END",
        tuple(value for part in parts for value in part.parameters),
    )


def _is_plain(value: Any) -> bool:
    return type(value) in (bool, float, str) or (type(value) is int and -_INT64 <= value < _INT64)


def _same_plain(array: str, values: list[Any]) -> Condition:
    """Each value of a list is the one at its place, of values that JSON has: not said one by one."""
    text, _ = packed({"": values})
    check_text(text, "a value")
    there = "?, '$.\"\"[' || key || ']'"
    same = (
        f"CASE WHEN type IN {_NUMBERS} "
        f"THEN json_type({there}) IN {_NUMBERS} AND value = json_extract({there}) "
        f"ELSE type = json_type({there}) AND value IS json_extract({there}) END"
    )
    return Condition(f"NOT EXISTS (SELECT 1 FROM {array} WHERE NOT coalesce({same}, 0))", (text,) * 4)


def _number(field: Field, operator: str, value: float | Decimal) -> Condition:
    """Numbers, and Decimals as floats; equality of two Decimals without exponents is exact."""
    plain = _as_number(value) if isinstance(value, Decimal) else value
    numbers = f"{field.kind} IN {_NUMBERS} AND {field.value} {operator} ?"
    if field.decimal is None:
        return Condition(f"coalesce({numbers}, 0)", (plain,))
    text = field.value
    real = (
        f"CASE WHEN {text} GLOB '*NaN*' THEN NULL WHEN {text} = 'Infinity' THEN 9e999 "
        f"WHEN {text} = '-Infinity' THEN -9e999 ELSE CAST({text} AS REAL) END"
    )
    decimals = f"({real}) {operator} ?"
    parameters: tuple[Any, ...] = (plain, plain)
    if operator == "=" and isinstance(value, Decimal) and value.is_finite() and value:
        digits = f"CASE WHEN instr({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
        decimals += f" AND (instr({text}, 'E') OR {digits} = ?)"
        parameters = (*parameters, _digits(value))
    is_decimal = f"{field.kind} = 'text' AND {field.decimal}"
    return Condition(
        f"coalesce(CASE WHEN {numbers} THEN 1 WHEN {is_decimal} THEN {decimals} END, 0)", parameters
    )


def _as_number(value: Decimal) -> float:
    if value.is_snan():
        raise QueryError("a signalling NaN cannot be compared")
    return float(value)


def _digits(value: Decimal) -> str:
    """A Decimal without an exponent, and without zeros at its end; with one where it has very many digits."""
    if abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _ordered(field: Field, operator: str, value: Any, times_as_text: bool) -> Condition:
    if value is None:
        return FALSE
    if isinstance(value, date | datetime) or (isinstance(value, str) and not times_as_text):
        when = moment(value)
        if when is None:
            raise QueryError(
                f"{operator} compares numbers and times, not the text {value!r:.60}",
                remedy="Write a time as ISO 8601, such as 2024-05-01T12:00:00.",
            )
        return _timed(field, operator, when)
    if isinstance(value, list | tuple | Mapping | set | frozenset | np.ndarray):
        raise QueryError(f"{operator} compares single values, not {value!r:.60}")
    if isinstance(value, Decimal):
        return _number(field, operator, value)
    plain = _bound(value)
    if isinstance(plain, str):
        return Condition(f"coalesce({field.kind} = 'text' AND {field.value} {operator} ?, 0)", (plain,))
    return _number(field, operator, plain)


def _timed(field: Field, operator: str, when: datetime) -> Condition:
    sql, parameters = compared(field.value, operator, when)
    return Condition(f"coalesce({field.kind} = 'text' AND {sql}, 0)", parameters)


def _bound(value: Any) -> int | float | str:
    """A value as SQLite takes it."""
    plain, _ = scalar(value)
    if isinstance(plain, str):
        check_text(plain, "a value")
    elif isinstance(plain, int) and not -_INT64 <= plain < _INT64:
        raise QueryError(f"{plain} is beyond the integers of 64 bits", remedy="Compare it as a text.")
    return plain  # type: ignore[no-any-return]


def _joined(conditions: list[Condition], word: str, of_none: Condition) -> Condition:
    """Conditions in pairs of pairs: SQLite bounds how deep an expression is."""
    if len(conditions) < 2:
        return conditions[0] if conditions else of_none
    if len(conditions) > _FLAT:
        middle = len(conditions) // 2
        conditions = [_joined(part, word, of_none) for part in (conditions[:middle], conditions[middle:])]
    sql = word.join(f"({each.sql})" for each in conditions)
    return Condition(sql, tuple(value for each in conditions for value in each.parameters))
