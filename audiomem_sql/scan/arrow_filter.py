"""A filter of pyarrow as what a scan takes: conditions on one column that prune, and a mask for what they do not say.

Every row is judged by Arrow's own kernels, so a filter means what it means in Arrow: three-valued logic, bytewise order of
texts, no order for NaN. Our predicates only say which blocks need not be looked at. What cannot be taken apart is
evaluated by pyarrow as a whole, for the rows that are left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from audiomem_sql.arrays import BoolArray
from audiomem_sql.blocks.zones import PREFIX, Zones
from audiomem_sql.columns.schema import Schema
from audiomem_sql.columns.types import ColumnType, Kind, arrow_type
from audiomem_sql.errors import QueryError
from audiomem_sql.predicates import Bound, Op, Predicate, bind
from audiomem_sql.predicates.bounds import Every, Missing, Nothing, NumberSet, Range
from audiomem_sql.predicates.operands import INT64_MAX, INT64_MIN
from audiomem_sql.scan.arrow_expression import (
    Call,
    ExpressionNode,
    Field,
    Literal,
    names_in,
    parse_expression,
)
from audiomem_sql.scan.scan import Filter, RowFilter

_COMPARISONS = {
    "equal": Op.EQ,
    "not_equal": Op.NE,
    "less": Op.LT,
    "less_equal": Op.LE,
    "greater": Op.GT,
    "greater_equal": Op.GE,
}
_FLIPPED = {Op.EQ: Op.EQ, Op.NE: Op.NE, Op.LT: Op.GT, Op.LE: Op.GE, Op.GT: Op.LT, Op.GE: Op.LE}
_CONJUNCTIONS = ("and_kleene", "and")
_LOGIC = (*_CONJUNCTIONS, "or_kleene", "or", "invert")
#: Functions of texts whose options are a pattern and whether capitals matter.
_PATTERNS = ("starts_with", "ends_with", "match_substring", "match_like")
#: Which rows of a set with NULLs match NULL: Arrow's SetLookupOptions, as far as Python has them.
_MATCH_NULLS, _SKIP_NULLS = 0, 1

Evaluate = Callable[[Callable[[str], Any]], Any]


class _UnknownError(Exception):
    """This part is pyarrow's business."""


def filters_of_expression(expression: pc.Expression, schema: Schema) -> tuple[list[Filter], RowFilter | None]:
    """(filters, row filter): the rows that pass both are those for which ``expression`` is true.

    QueryError for columns that are not there, and for what Arrow cannot evaluate.
    """
    node = parse_expression(expression)
    if node is None:
        return [], _whole(expression, schema, schema.names)
    names = names_in(node)
    for name in sorted(names):
        if name not in schema.names:
            raise QueryError(
                f"there is no column {name!r}", remedy=f"The columns are {', '.join(schema.names)}"
            )
    filters: list[Filter] = []
    together: list[Evaluate] = []
    unknown = False
    for part in _conjuncts(node):
        try:
            evaluate = _compile(part, schema)
        except _UnknownError:
            unknown = True
            continue
        speaks_of = names_in(part)
        if len(speaks_of) == 1:
            name = speaks_of.pop()
            place = schema.index(name)
            column_type = schema.columns[place].type
            filters.append(Filter(place, _bound(part, evaluate, name, column_type)))
        else:
            together.append(evaluate)
    if unknown:
        return filters, _whole(expression, schema, sorted(names) or schema.names[:1])
    return filters, _row_filter(together, schema) if together else None


def _conjuncts(node: ExpressionNode) -> list[ExpressionNode]:
    if isinstance(node, Call) and node.function in _CONJUNCTIONS:
        return [part for child in node.arguments for part in _conjuncts(child)]
    return [node]


# -- evaluation ------------------------------------------------------------------------------------------------------


def _row_filter(parts: Sequence[Evaluate], schema: Schema) -> RowFilter:
    def passes(load: Callable[[int], pa.Array[Any]]) -> BoolArray:
        rows = 0

        def column(name: str) -> pa.Array[Any]:
            nonlocal rows
            array = load(schema.index(name))
            rows = len(array)
            return array

        mask: BoolArray | None = None
        for part in parts:
            found = part(column)
            if isinstance(found, pa.Scalar):
                found = _repeated(found, rows or len(load(0)))
            here = _true(found)
            mask = here if mask is None else mask & here
        assert mask is not None
        return mask

    return passes


def _whole(expression: pc.Expression, schema: Schema, names: Sequence[str]) -> RowFilter:
    """The expression evaluated by pyarrow, which is given the columns ``names``."""
    places = [schema.index(name) for name in names]
    number = "".join(names) + "#"  # no column is called that
    types = pa.schema(
        [
            *(
                (name, arrow_type(schema.columns[place].type))
                for name, place in zip(names, places, strict=True)
            ),
            (number, pa.int64()),
        ]
    )

    def evaluated(columns: list[pa.Array[Any]]) -> BoolArray:
        count = len(columns[0])
        batch = pa.RecordBatch.from_arrays([*columns, pa.array(np.arange(count))], schema=types)
        try:
            found = ds.InMemoryDataset(batch).to_table([number], expression, use_threads=False)
        except (pa.ArrowException, TypeError) as error:
            raise QueryError(f"Arrow cannot evaluate the filter: {error}") from None
        mask = np.zeros(count, np.bool_)
        mask[found.column(0).to_numpy()] = True
        return mask

    evaluated([pa.nulls(0, field.type) for field in types][:-1])
    return lambda load: evaluated([load(place) for place in places])


def _true(array: pa.Array[Any]) -> BoolArray:
    """Where a boolean array is true, bool (n,): neither false nor NULL."""
    if isinstance(array, pa.ChunkedArray):
        array = cast(Any, array).combine_chunks()
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.bool_)
    filled = array if array.null_count == 0 else array.fill_null(False)
    return np.asarray(filled.to_numpy(zero_copy_only=False), np.bool_)


def _repeated(scalar: pa.Scalar[Any], count: int) -> pa.Array[Any]:
    return pa.array([bool(scalar.as_py())] * count, pa.bool_())


def _compile(node: ExpressionNode, schema: Schema) -> Evaluate:
    """A function that gives the truth of ``node``, boolean, of columns by name. _UnknownError for what is not known."""
    if isinstance(node, Literal):
        if not (pa.types.is_boolean(node.value.type) or pa.types.is_null(node.value.type)):
            raise _UnknownError
        value = node.value.cast(pa.bool_())
        return lambda load: value
    if isinstance(node, Field):
        if _type(node.name, schema) != pa.bool_():
            raise _UnknownError
        return lambda load, name=node.name: load(name)  # type: ignore[misc]
    if node.function in _COMPARISONS:
        return _comparison(node, schema)
    if node.function == "if_else":
        condition, *branches = (_compile(argument, schema) for argument in node.arguments)
        return lambda load: pc.if_else(condition(load), branches[0](load), branches[1](load))
    if node.function in _LOGIC and not node.options:
        parts = [_compile(argument, schema) for argument in node.arguments]
        return lambda load: pc.call_function(node.function, [part(load) for part in parts])
    (argument,) = node.arguments if len(node.arguments) == 1 else (None,)
    if not isinstance(argument, Field):
        raise _UnknownError
    options = _options(node, _type(argument.name, schema))
    return lambda load, name=argument.name: pc.call_function(node.function, [load(name)], options)  # type: ignore[misc]


def _comparison(node: Call, schema: Schema) -> Evaluate:
    """Of columns and literals of one type, which no conversion can change."""
    left, right = node.arguments
    types = [
        _type(side.name, schema)
        if isinstance(side, Field)
        else side.value.type
        if isinstance(side, Literal)
        else None
        for side in (left, right)
    ]
    if (
        None in types
        or not (isinstance(left, Field) or isinstance(right, Field))
        or pa.types.is_nested(types[0])
    ):
        raise _UnknownError
    if types[0] != types[1] and not _alike(left, right, types):
        raise _UnknownError
    wanted = types[0] if isinstance(left, Field) else types[1]

    def operand(side: ExpressionNode, load: Callable[[str], Any]) -> Any:
        return load(side.name) if isinstance(side, Field) else _as(cast(Literal, side), wanted)

    return lambda load: pc.call_function(node.function, [operand(left, load), operand(right, load)])


def _alike(left: ExpressionNode, right: ExpressionNode, types: list[Any]) -> bool:
    """Whether a literal can become of the column's type and stay what it is."""
    literal = right if isinstance(right, Literal) else left
    if not isinstance(literal, Literal):
        return False
    try:
        return _as(literal, types[1] if literal is left else types[0]) is not None
    except _UnknownError:
        return False


def _as(literal: Literal, wanted: Any) -> pa.Scalar[Any]:
    """A literal as a scalar of a column's type. _UnknownError where that is not the same value."""
    value = literal.value
    if value.type == wanted:
        return value
    kinds = (pa.types.is_integer, pa.types.is_timestamp, _is_text, _is_blob)
    same = any(of(value.type) and of(wanted) for of in kinds)
    if pa.types.is_timestamp(value.type) and value.type.tz is not None:
        same = False
    if pa.types.is_integer(value.type) and pa.types.is_float64(wanted):
        same = value.as_py() is None or abs(value.as_py()) <= 1 << 53
    if not same:
        raise _UnknownError
    try:
        return value.cast(wanted)
    except pa.ArrowException:
        raise _UnknownError from None


def _is_text(arrow: Any) -> bool:
    return bool(pa.types.is_string(arrow) or pa.types.is_large_string(arrow))


def _is_blob(arrow: Any) -> bool:
    return bool(pa.types.is_binary(arrow) or pa.types.is_large_binary(arrow))


def _options(node: Call, column: Any) -> Any:
    """The options of a function of one column. _UnknownError for other functions and other types."""
    given = node.options or {}
    name = node.function
    if name == "is_valid" or (name == "is_nan" and pa.types.is_floating(column)):
        return None
    if name == "is_null":
        return pc.NullOptions(nan_is_null=bool(given["nan_is_null"].as_py()))
    if name == "is_in":
        nulls, values = given["null_matching_behavior"].as_py(), given["value_set"].values
        if nulls not in (_MATCH_NULLS, _SKIP_NULLS) or values.type != column:
            raise _UnknownError
        if pa.types.is_floating(column):
            # Arrow's sets tell -0.0 from 0.0; no column holds the first, and DuckDB 1.5, which sends sets of numbers, means both
            values = pc.add(values, 0.0)
        return pc.SetLookupOptions(value_set=values, skip_nulls=nulls == _SKIP_NULLS)
    if name in _PATTERNS and _is_text(column):
        return pc.MatchSubstringOptions(
            pattern=given["pattern"].as_py(), ignore_case=bool(given["ignore_case"].as_py())
        )
    raise _UnknownError


def _type(name: str, schema: Schema) -> Any:
    return arrow_type(schema[name].type)


# -- pruning ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrowCondition(Bound):
    """A condition on one column, decided by Arrow; ``pruning`` says which blocks cannot hold a match."""

    evaluate: Evaluate
    name: str
    pruning: Callable[[Zones], BoolArray]
    column_type: ColumnType
    cost: ClassVar[int] = 3

    def mask(self, array: pa.Array[Any]) -> BoolArray:
        """The rows for which the condition is true, bool (n,)."""
        found = self.evaluate(lambda name: array)
        return _true(_repeated(found, len(array)) if isinstance(found, pa.Scalar) else found)

    def test(self, value: Any) -> bool:
        """The same for one stored value."""
        return bool(self.mask(pa.array([value], arrow_type(self.column_type)))[0])

    def prune(self, zones: Zones) -> BoolArray:
        """The blocks that may hold a row for which the condition is true, bool (n,)."""
        return self.pruning(zones)

    def _match(self, array: pa.Array[Any]) -> BoolArray:
        return self.mask(array)


@dataclass(frozen=True, kw_only=True, eq=False)
class _NumberCondition(ArrowCondition):
    """The same of a column of numbers, which is quick to decide."""

    cost: ClassVar[int] = 1


def _bound(node: ExpressionNode, evaluate: Evaluate, name: str, column_type: ColumnType) -> ArrowCondition:
    bound = _leaf(node, column_type)
    numbers = column_type.kind in (Kind.INTEGER, Kind.REAL, Kind.BOOLEAN, Kind.TIMESTAMP)
    return (_NumberCondition if numbers else ArrowCondition)(
        evaluate=evaluate,
        name=name,
        pruning=_pruning(node, column_type),
        column_type=column_type,
        keys=None if bound is None else bound.keys,
        bounds=None if bound is None else bound.bounds,
    )


def _pruning(node: ExpressionNode, column_type: ColumnType) -> Callable[[Zones], BoolArray]:
    """Which blocks may hold a row for which ``node``, of one column, is true."""
    if isinstance(node, Call) and node.function in ("and_kleene", "and", "or_kleene", "or"):
        left, right = (_pruning(argument, column_type) for argument in node.arguments)
        if node.function in _CONJUNCTIONS:
            return lambda zones: left(zones) & right(zones)
        return lambda zones: left(zones) | right(zones)
    bound = _leaf(node, column_type)
    if bound is None:
        return lambda zones: np.ones(len(zones), np.bool_)
    return bound.prune


def _leaf(node: ExpressionNode, column_type: ColumnType) -> Bound | None:
    """A predicate that is true for every row for which ``node`` is; None if there is none better than any row."""
    if isinstance(node, Field):
        return Range(low=1, high=1, bounds=(1, 1), keys=(1,))
    if not isinstance(node, Call):
        return None
    if node.function == "if_else":
        # DuckDB's IN: if_else(is_valid(a), is_in(a, …), NULL)
        condition, then, otherwise = node.arguments
        empty = isinstance(otherwise, Literal) and not otherwise.value.is_valid
        return _leaf(then, column_type) if empty and isinstance(condition, Call) else None
    if node.function == "invert":
        (inner,) = node.arguments
        return Range(low=0, high=0, bounds=(0, 0), keys=(0,)) if isinstance(inner, Field) else None
    if node.function == "is_valid":
        return Every()
    if node.function == "is_null" and node.options is not None and not node.options["nan_is_null"].as_py():
        return Missing()
    if node.function in _COMPARISONS:
        left, right = node.arguments
        if not (isinstance(left, Field) and isinstance(right, Literal)) and not (
            isinstance(right, Field) and isinstance(left, Literal)
        ):
            return None
        op = _COMPARISONS[node.function] if isinstance(left, Field) else _FLIPPED[_COMPARISONS[node.function]]
        literal = right if isinstance(right, Literal) else cast(Literal, left)
        return _compared(op, _as(literal, arrow_type(column_type)), column_type)
    if node.function == "is_in":
        values = node.options["value_set"].values if node.options else pa.nulls(0)
        return None if values.null_count else _member(values, column_type)
    if node.function == "starts_with" and node.options and not node.options["ignore_case"].as_py():
        prefix = node.options["pattern"].as_py()
        return bind(Predicate(0, Op.GLOB, _glob(prefix)), column_type, literal=True) if prefix else None
    return None


def _glob(prefix: str) -> str:
    """A pattern of GLOB for texts that begin with ``prefix``, as far as it has none of GLOB's own characters."""
    plain = prefix[:PREFIX]
    for character in "*?[":
        plain = plain.partition(character)[0]
    return plain + "*"


def _compared(op: Op, scalar: pa.Scalar[Any], column_type: ColumnType) -> Bound | None:
    value = _plain(scalar)
    if value is None or (isinstance(value, float) and value != value):
        return None
    if column_type.kind is not Kind.TIMESTAMP:
        return bind(Predicate(0, op, value), column_type, literal=True)
    if op is Op.EQ:
        return Range(low=value, high=value, bounds=(value, value), keys=(value,))
    if op is Op.NE:
        return Range(low=value, high=value, negated=True)
    low = value + (op is Op.GT) if op in (Op.GT, Op.GE) else INT64_MIN
    high = value - (op is Op.LT) if op in (Op.LT, Op.LE) else INT64_MAX
    if not INT64_MIN <= low <= high <= INT64_MAX:
        return Nothing()
    return Range(low=low, high=high, bounds=(low, high))


def _member(values: pa.Array[Any], column_type: ColumnType) -> Bound | None:
    plain = [_plain(value) for value in values]
    if column_type.kind is not Kind.TIMESTAMP:
        if any(isinstance(value, float) and value != value for value in plain):
            return None
        return bind(Predicate(0, Op.IN, plain), column_type, literal=True)
    numbers = np.unique(np.array(plain, np.int64))
    if not len(numbers):
        return None
    keys = tuple(numbers.tolist())
    return NumberSet(numbers=numbers, values=frozenset(keys), keys=keys, bounds=(keys[0], keys[-1]))


def _plain(scalar: pa.Scalar[Any]) -> Any:
    """The stored value: of a timestamp its microseconds."""
    return scalar.value if pa.types.is_timestamp(scalar.type) else scalar.as_py()
