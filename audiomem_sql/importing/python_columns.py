"""Columns of Python values: a type for each that holds all of its values, and arrays of it."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.arrow_cast import cast_column
from audiomem_sql.columns.column import Column, fold
from audiomem_sql.columns.types import Kind
from audiomem_sql.errors import DataTypeError, SchemaError
from audiomem_sql.importing.contract import MisfitError, Wishes
from audiomem_sql.importing.taken_types import JSON_FIELD, takes
from audiomem_sql.importing.text_values import DECIMAL_DIGITS, decimal_size, is_exact, moment

_INT64 = 1 << 63
_EXACT = 1 << 53
_NUMBERS = frozenset(("int", "real", "exact"))
_TEXTS = frozenset(("text", "date", "timestamp", "zoned"))
_BY_TYPE = {
    bool: "bool",
    bytes: "bytes",
    datetime: "moment",
    date: "day",
    time: "time",
    timedelta: "text",
    list: "nested",
    dict: "nested",
}
_ARROW = {
    "bool": pa.bool_(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "zoned": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
}


class Real(str):
    """A number with a point or an exponent, as it was written."""

    __slots__ = ()


#: What values of Python and texts of the same meaning are called.
_SAME = {"day": "date", "moment": "timestamp"}


@dataclass(slots=True)
class Facts:
    """What is known of a column's values. dated: whether texts may be dates."""

    dated: bool = True
    kinds: set[str] = field(default_factory=set)
    whole: int = 0
    scale: int = 0
    has_large: bool = False
    is_plain: bool = True

    def look(self, values: Iterable[Any]) -> None:
        """See some values."""
        kinds = self.kinds
        for value in values:
            if value is None:
                continue
            known = type(value)
            if known is str:
                if "text" not in kinds:
                    kinds.add((moment(value) if self.dated else None) or "text")
            elif known is int:
                self._integer(value)
            elif known is Real or known is float or known is Decimal:
                self._real(value)
            else:
                kinds.add(_BY_TYPE.get(known, "text"))

    def _integer(self, value: int) -> None:
        self.kinds.add("int" if -_INT64 <= value < _INT64 else "exact")
        if not -_EXACT <= value <= _EXACT:
            self.has_large = True
        self.whole = max(self.whole, len(str(abs(value))))

    def _real(self, value: Any) -> None:
        text = str(value)
        exact = not isinstance(value, Decimal) and (len(text) <= 15 or is_exact(text, float(text)))
        if exact and len(text) <= 15 and "e" in text.lower():
            exact = is_exact(text, float(text))
        self.kinds.add("real" if exact else "exact")
        size = decimal_size(text)
        if size is None:
            self.is_plain = False
        else:
            self.whole, self.scale = max(self.whole, size[0]), max(self.scale, size[1])

    def field(self, name: str) -> pa.Field:
        """The column that holds the values."""
        kinds = self.kinds
        if not kinds:
            return pa.field(name, pa.string())
        if kinds <= _NUMBERS:
            return pa.field(name, self._number())
        same = {_SAME.get(kind, kind) for kind in kinds}
        if len(same) == 1 and (only := _ARROW.get(next(iter(same)))) is not None and takes(only):
            return pa.field(name, only)
        if kinds <= _TEXTS | {"time", "day", "moment"}:
            return pa.field(name, pa.string())
        if "bytes" in kinds:
            raise SchemaError(
                f"the column {name} has bytes beside other values",
                remedy="Give it one type where it comes from.",
            )
        return pa.field(name, pa.string(), metadata=JSON_FIELD)

    def _number(self) -> pa.DataType:
        if self.kinds == {"int"}:
            return pa.int64()
        if "exact" not in self.kinds and not self.has_large:
            return pa.float64()
        digits = max(1, self.whole + self.scale)
        if self.is_plain and digits <= DECIMAL_DIGITS:
            decimal = pa.decimal128(digits, self.scale)
            if takes(decimal):
                return decimal
        return pa.string()


class PythonColumns:
    """The columns of rows that are dicts, in the order in which they come up.

    wishes: which are declared. holds_json: a text in a JSON column is JSON, not a string of JSON.
    """

    def __init__(self, wishes: Wishes, label: str, *, holds_json: bool = True) -> None:
        self._wishes, self._label, self._holds_json = wishes, label, holds_json
        self._facts: dict[str, Facts] = {}
        self._fields: list[pa.Field] = []

    def known(self, name: str, *, dated: bool = True) -> None:
        """There is a column of that name. SchemaError for one that is there but for capitals."""
        if name not in self._facts:
            other = next((each for each in self._facts if fold(each) == fold(name)), None)
            if other is not None:
                raise SchemaError(
                    f"two columns are called {other!r} and {name!r}",
                    file=self._label,
                    remedy="Rename one; capitals make no difference.",
                )
            self._facts[name] = Facts(dated)

    def look(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """See some rows."""
        for row in rows:
            if not row.keys() <= self._facts.keys():
                for name in row:
                    self.known(name)
        for name, facts in self._facts.items():
            if self._wishes.of(name) is None:
                facts.look([row.get(name) for row in rows])

    def decide(self) -> pa.Schema:
        """The columns, by what was seen."""
        self._fields = [self._field(name, facts) for name, facts in self._facts.items()]
        return pa.schema(self._fields)

    def _field(self, name: str, facts: Facts) -> pa.Field:
        try:
            return facts.field(name)
        except SchemaError as error:
            error.at(file=self._label)
            raise

    def batch(self, rows: Sequence[Mapping[str, Any]], before: int) -> pa.RecordBatch:
        """Rows as the columns that were decided; MisfitError if they differ. before: rows before them."""
        self.look(rows)
        if [self._field(name, facts) for name, facts in self._facts.items()] != self._fields:
            raise MisfitError
        arrays = []
        for item in self._fields:
            values = [row.get(item.name) for row in rows]
            declared = self._wishes.of(item.name)
            try:
                if declared is None:
                    arrays.append(_array(values, item))
                else:
                    arrays.append(_declared(values, declared, self._holds_json))
            except UnicodeEncodeError:
                row = next(i for i, each in enumerate(values) if _is_lone(each))
                raise DataTypeError(
                    f"the column {item.name} has half of a character (a lone surrogate)",
                    file=self._label,
                    place=f"row {before + row + 1}",
                    remedy="Write the text anew.",
                ) from None
        return pa.RecordBatch.from_arrays(arrays, names=[item.name for item in self._fields])

    def check(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """DataTypeError if a value is not of the type that is declared, or no text is UTF-8."""
        batch = self.batch(rows, 0)
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            if (declared := self._wishes.of(name)) is not None:
                cast_column(Column(name, declared.type), [array])


def _is_lone(value: Any) -> bool:
    try:
        text_of(value).encode()
    except UnicodeEncodeError:
        return True
    return False


def _array(values: list[Any], item: pa.Field) -> pa.Array:
    kind = item.type
    made: list[Any]
    if item.metadata == JSON_FIELD:
        made = [None if value is None else json_text(value) for value in values]
    elif pa.types.is_string(kind):
        made = [value if value is None or type(value) is str else text_of(value) for value in values]
    elif pa.types.is_floating(kind):
        made = [None if value is None else float(value) for value in values]
    elif pa.types.is_decimal(kind):
        made = [None if value is None else Decimal(str(value)) for value in values]
    elif pa.types.is_timestamp(kind):
        made = [_moment(value) if isinstance(value, str) else value for value in values]
        if kind.tz is not None:
            made = [None if value is None else value.astimezone(UTC) for value in made]
    elif pa.types.is_date(kind):
        made = [date.fromisoformat(value) if isinstance(value, str) else value for value in values]
    else:
        made = values
    return pa.array(made, kind)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace(" +", "+").replace(" Z", "Z"))


def _declared(values: list[Any], column: Column, holds_json: bool) -> pa.Array:
    """Values for a column whose type is declared: of one Arrow type that the engine converts."""
    kind = column.type.kind
    if kind is Kind.JSON and not (holds_json and all(isinstance(each, str | None) for each in values)):
        return pa.array([None if value is None else json_text(value) for value in values], pa.string())
    types = {type(value) for value in values if value is not None}
    if types and types <= {bool}:
        return pa.array(values, pa.bool_())
    if types <= {bytes}:
        return pa.array(values, pa.binary())
    node = column.type.logical
    if types <= {list} and (node is None or not node.is_nested):
        plain = [None if value is None else [_number(each) for each in value] for value in values]
        with contextlib.suppress(pa.ArrowException):  # the engine refuses what is no number by its row
            return pa.array(plain)
    if types <= {datetime}:
        return pa.array(values, pa.timestamp("us"))
    if types <= {int, float, Real} and kind is Kind.REAL:
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else text_of(value) for value in values], pa.string())


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Real) else value


def text_of(value: Any) -> str:
    """A value as text: numbers as they were written, lists and objects as JSON."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, Decimal):
        return f"{value:f}"
    return json_text(value) if isinstance(value, bool | list | dict) else str(value)


def json_text(value: Any) -> str:
    """A value as JSON, its numbers as they were written."""
    if isinstance(value, Real):
        return str(value)
    if isinstance(value, bytes):
        return json_text({"$base64": True, "encoded": base64.b64encode(value).decode()})
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key, ensure_ascii=False)}: {json_text(each)}" for key, each in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    if value is None or isinstance(value, str | bool | int | float):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(text_of(value), ensure_ascii=False)
