"""Predicates on columns of logical types.

The value of a comparison is turned into the stored form, whose order is that of the values; what lies between
two stored forms, such as 9.555 for two digits behind the point, is a bound between them. SQLite, which sees
images of the values, compares them once more in its own order (``types.collation_of``), so that what reaches
it may be more rows, and never fewer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import BoolArray
from audiomem_sql.blocks.zones import Zones
from audiomem_sql.columns.exact_order import compare_numbers, is_number
from audiomem_sql.columns.logical.exact_numbers import exact_number
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.parsing import PARSERS, PER_SECOND
from audiomem_sql.columns.logical.texts import sql_images
from audiomem_sql.columns.sql_values import sql_values
from audiomem_sql.columns.stored_values import array_of
from audiomem_sql.columns.time_order import Moment, is_time, moment_of
from audiomem_sql.columns.time_order import compare as compare_times
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.predicates.bounds import Bound, Every, Nothing, OrMissing, Unknown
from audiomem_sql.predicates.operands import INT64_MAX, Numeral, SqlValue, Wide, clean, text_of
from audiomem_sql.predicates.predicate import COMPARISON_BY_OP, Op, Predicate, Stored

_RANGES = (Op.LT, Op.LE, Op.GT, Op.GE)
#: So many values near a real are looked up; more are scanned for.
_FEW = 8
#: Binds a comparison with a stored value, to a column of the plain kind.
BindPlain = Callable[[Predicate, ColumnType], Bound]


@dataclass(frozen=True, kw_only=True, eq=False)
class OfStored(Bound):
    """A predicate on the stored form; ``test`` is asked with what SQL sees."""

    inner: Bound
    column_type: ColumnType

    @property
    def lookup(self) -> Any:
        """The collation and keys to look up, see :class:`Bound`."""
        return self.inner.lookup

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        if value is None:
            return False
        node = self.column_type.logical
        assert node is not None
        return self.inner.test(PARSERS[node.name](node, value))

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the predicate is true, bool (n,)."""
        return self.inner.prune(zones)

    def mask(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the predicate is true, bool (n,)."""
        return self.inner.mask(array)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return self.inner._match(array)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageOrder(Bound):
    """A comparison of the image that SQL sees with a text, in the order of the type's collation."""

    op: Op
    operand: str
    column_type: ColumnType

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        if value is None:
            return False
        node = self.column_type.logical
        assert node is not None
        compare = compare_numbers if node.is_number else compare_times if node.is_moment else _compare_bytes
        return bool(COMPARISON_BY_OP[self.op].compare(compare(str(value), self.operand), 0))

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return np.array([self.test(value) for value in sql_values(array, self.column_type)], np.bool_)


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageSet(Bound):
    """Whether the image that SQL sees is one of some texts."""

    operands: frozenset[str]
    column_type: ColumnType

    def test(self, value: Any) -> bool:
        """Whether the predicate is true for one SQL value."""
        return value in self.operands

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return np.array([value in self.operands for value in sql_values(array, self.column_type)], np.bool_)


def bind_logical(
    predicate: Predicate, column_type: ColumnType, bind_plain: BindPlain, *, literal: bool
) -> Bound:
    """A comparison, IN, IS or IS NOT with a value, for a column of a logical type other than ENUM."""
    op, node = predicate.op, column_type.logical
    assert node is not None
    if op is Op.IN:
        return _member(predicate, column_type, bind_plain, literal)
    if op in (Op.IS, Op.IS_NOT):
        plain = Op.EQ if op is Op.IS else Op.NE
        made = bind_logical(replace(predicate, op=plain), column_type, bind_plain, literal=literal)
        is_not = op is Op.IS_NOT  # so is a NULL
        return OrMissing(inner=made, exact=made.exact) if is_not else replace(made, unknown=Unknown.NEVER)
    value = predicate.value
    if isinstance(value, Stored):
        return _on_stored(op, value.value, predicate, column_type, bind_plain)
    value = _operand(node, value)
    if value is None:
        return Nothing(unknown=Unknown.ALWAYS)
    if isinstance(value, bytes):  # above every text
        below = op in (Op.LT, Op.LE, Op.NE)
        return Every() if below else Nothing()
    if node.is_nested and not literal:
        return Every(exact=False)
    if isinstance(value, float) and node.is_number and not literal:
        return _near(op, value, predicate, column_type, bind_plain)
    place = None if node.is_nested else _place(node, value)
    if place is not None and (op in (Op.EQ, Op.NE) or _has_order(node, place[0])):
        stored, between = place
        is_usual = literal or _is_canonical(node, value, stored, between)
        if is_usual or op is Op.EQ:
            return _between(op, stored, between, predicate, column_type, bind_plain)
        return Every(exact=False)
    if place is None and op is Op.EQ and not literal:
        return Nothing()
    if not literal:
        return Every(exact=False)
    return ImageOrder(
        op=op, operand=value if isinstance(value, str) else text_of(value), column_type=column_type
    )


def _operand(node: Node, value: Any) -> SqlValue | None:
    """A value as ``clean`` has it, but a number of a filter beside exact ones with all its digits.

    Beside other types, whose images are texts, a number is its text.
    """
    if node.is_number and isinstance(value, Numeral | Wide):
        return value.text if isinstance(value, Numeral) else str(int(value))
    value = clean(value)
    return text_of(value) if isinstance(value, int | float) and not node.is_number else value


def _near(
    op: Op, value: float, predicate: Predicate, column_type: ColumnType, bind_plain: BindPlain
) -> Bound:
    """Compared with a real: by its text, which has 15 or 17 digits, or beside a column of reals as one.

    What any of these finds is let through: SQLite knows which it is.
    """
    node = column_type.logical
    assert node is not None
    if op is Op.NE or not math.isfinite(value):
        return Every(exact=False)
    texts = [Fraction(text) for text in (repr(value), f"{value:.15g}", f"{value:.17g}")]
    low, high = min(texts) - Fraction(math.ulp(value)), max(texts) + Fraction(math.ulp(value))
    if op in _RANGES:
        op, edge = (Op.LE, high) if op in (Op.LT, Op.LE) else (Op.GE, low)
        made = _between(op, *_number_place(node, edge), predicate, column_type, bind_plain)
        return replace(made, exact=False)
    scale = 10 ** _scale(node)
    first, last = math.ceil(low * scale), math.floor(high * scale)
    if last - first >= _FEW:
        return Every(exact=False)
    near = tuple(f"{number}e-{_scale(node)}" for number in range(first, last + 1))
    found = _member(replace(predicate, op=Op.IN, value=near), column_type, bind_plain, literal=False)
    return replace(found, exact=False)


def _scale(node: Node) -> int:
    return node.numbers[1] if node.name == "DECIMAL" else 0


def _member(predicate: Predicate, column_type: ColumnType, bind_plain: BindPlain, literal: bool) -> Bound:
    """IN, which is decided here: by number or time, and of others by the texts of their images."""
    node = column_type.logical
    assert node is not None
    values = [value if isinstance(value, Stored) else _operand(node, value) for value in predicate.value]
    present = [value for value in values if value is not None]
    if not present:
        return Nothing(unknown=Unknown.ALWAYS if values else Unknown.NEVER)
    unknown = Unknown.COLUMN if len(present) == len(values) else Unknown.UNMATCHED
    if node.is_nested:
        texts = frozenset(value for value in present if isinstance(value, str))
        return ImageSet(operands=texts, column_type=column_type, unknown=unknown)
    stored = set()
    for value in present:
        if isinstance(value, Stored):
            stored.add(value.value)
        elif not isinstance(value, bytes):
            place = _place(node, value)
            if place is not None and not place[1] and (literal or _is_canonical(node, value, *place)):
                stored.add(place[0])
    if not stored:
        return Nothing(unknown=unknown)
    plain = ColumnType(column_type.kind)
    inner = bind_plain(Predicate(predicate.column, Op.IN, tuple(stored)), plain)
    return _wrapped(replace(inner, unknown=unknown), column_type)


def _between(
    op: Op, stored: Any, between: bool, predicate: Predicate, column_type: ColumnType, bind_plain: BindPlain
) -> Bound:
    """Compared with a stored form, or, ``between``, with what lies behind it and before the next one."""
    if between:
        if op in (Op.EQ, Op.NE):
            return Nothing() if op is Op.EQ else Every()
        op = Op.LE if op in (Op.LT, Op.LE) else Op.GT
    return _on_stored(op, stored, predicate, column_type, bind_plain)


def _on_stored(
    op: Op, stored: Any, predicate: Predicate, column_type: ColumnType, bind_plain: BindPlain
) -> Bound:
    inner = bind_plain(Predicate(predicate.column, op, stored), ColumnType(column_type.kind))
    return _wrapped(inner, column_type)


def _wrapped(inner: Bound, column_type: ColumnType) -> Bound:
    if isinstance(inner, Every | Nothing):
        return inner
    return OfStored(
        inner=inner, column_type=column_type, keys=inner.keys, bounds=inner.bounds, unknown=inner.unknown
    )


def _place(node: Node, value: Any) -> tuple[Any, bool] | None:
    """(stored form, whether ``value`` lies between it and the next one); None for what has no place.

    A number out of the type's range lies behind its least or greatest one.
    """
    if node.is_number:
        return _place_of_number(node, value)
    if not isinstance(value, str):
        return None
    if node.is_moment and (moment := moment_of(value.strip())):
        return _moment_place(node, moment)
    try:
        return PARSERS[node.name](node, value), False
    except (ValueError, OverflowError):
        return None


def _place_of_number(node: Node, value: Any) -> tuple[Any, bool] | None:
    """As ``_place``. A text is a number if it is one to the collating sequence."""
    if isinstance(value, str):
        if not is_number(value):
            return None
        number = Decimal(value)
    else:
        try:
            number = exact_number(value)
        except ValueError:
            return None
    if number and number.adjusted() < -400:
        number = Decimal("1e-400").copy_sign(number)
    if number and number.adjusted() > 400 and node.name != "BIGNUM":
        number = Decimal("1e80").copy_sign(number)
    return _number_place(node, Fraction(number or 0))


def _moment_place(node: Node, moment: Moment) -> tuple[int, bool]:
    """As ``_place``. What lies beyond the type is between its last value and the infinity behind it."""
    infinity = _infinity(node)
    days, seconds, fraction = moment
    if node.name == "DATE":
        stored, between = days, bool(seconds or fraction)
    else:
        digits = len(str(PER_SECOND[node.unit])) - 1
        stored = (days * 86_400 + seconds) * 10**digits + int(f"0{fraction[:digits].ljust(digits, '0')}")
        between = len(fraction) > digits
        if node.unit == "ns":  # which have no infinity
            return stored, between
    if stored >= infinity:
        return infinity - 1, True
    if stored > -infinity or (stored == -infinity - 1 and not between):
        return stored, between
    return -infinity, True


def _infinity(node: Node) -> int:
    return 2**31 - 1 if node.name == "DATE" else INT64_MAX


def _number_place(node: Node, number: Fraction) -> tuple[Any, bool]:
    scaled = number * 10 ** _scale(node)
    whole = scaled.numerator // scaled.denominator
    between = whole != scaled
    if node.name == "BIGNUM":
        return PARSERS["BIGNUM"](node, whole), between
    if node.name == "UBIGINT":
        return whole - (1 << 63), between
    if not node.bytes:
        return whole, between
    unsigned = node.name == "UHUGEINT"
    low = 0 if unsigned else -(1 << (8 * node.bytes - 1))
    high = low + (1 << (8 * node.bytes)) - 1
    if whole < low:
        return b"", True
    if whole > high:
        return b"\xff" * node.bytes, True
    return (whole - low).to_bytes(node.bytes, "big"), between


def _has_order(node: Node, stored: Any) -> bool:
    """Whether the images that SQL sees are in the order of the stored forms, seen from this one."""
    if node.is_moment:  # the least one is no infinity, and stored below it
        return node.unit == "ns" or bool(stored > -_infinity(node))
    return node.is_number or node.name in ("TIME_S", "TIME_MS", "TIME", "TIME_NS", "UUID")


def _is_canonical(node: Node, value: Any, stored: Any, between: bool) -> bool:
    """Whether SQLite compares the value as we do: by number or time, or it is written as the images are."""
    if node.is_number:
        return True
    if node.is_moment:
        return is_time(value)
    if between:
        return False
    (image,) = sql_images(node, array_of([stored], ColumnType.of(node)))
    return bool(image == value)


def _compare_bytes(left: str, right: str) -> int:
    return (left > right) - (left < right)
