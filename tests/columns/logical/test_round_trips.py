"""Laws of logical types: what each form gives back, for random types and values."""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest

from audiomem_sql.columns.logical.arrow_forms import arrow_of, common_of, node_of
from audiomem_sql.columns.logical.casting import stored_of_arrow, stored_of_value, stored_of_values
from audiomem_sql.columns.logical.forms import arrow_form, stored_form
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.spelling import parse_node
from audiomem_sql.columns.logical.texts import sql_images
from audiomem_sql.columns.shown import common_array
from audiomem_sql.columns.types import ColumnType
from columns.logical.random_types import ALONE, Values, are_same, node

TYPES = int(os.environ.get("AUDIOMEM_TYPES", "120"))
#: Types that Arrow has no own type for: DuckDB's.
NOT_OF_ARROW = ("HUGEINT", "UHUGEINT", "BIGNUM", "TIMETZ", "BIT", "ENUM")


def is_known_to_arrow(kind: Node) -> bool:
    return kind.name not in NOT_OF_ARROW and all(map(is_known_to_arrow, kind.children))


def check(values: Values, kind: Node, rows: int) -> None:
    assert parse_node(str(kind)) == kind
    assert parse_node(f"  {str(kind).replace('(', ' ( ').replace(',', ' , ')}  ") == kind or "'" in str(kind)
    assert str(ColumnType.parse(str(kind))) == str(kind)
    array = values.array(kind, rows)
    array.validate(full=True)
    assert array.type == arrow_of(kind)
    if is_known_to_arrow(kind):
        assert node_of(array.type) == kind
    stored = stored_form(kind, array)
    stored.validate(full=True)
    assert stored.is_null().equals(array.is_null())
    assert str(stored.type) == ("binary" if kind.is_nested else str(stored.type))
    again = arrow_form(kind, stored)
    again.validate(full=True)
    assert are_same(array, again, kind)
    assert stored_of_arrow(kind, plain(array)).equals(stored)
    common = common_array(stored, ColumnType.of(kind))
    common.validate(full=True)
    assert common.type == common_of(kind)
    assert stored_of_arrow(kind, plain(common)).equals(stored)
    images = sql_images(kind, stored)
    assert [image is None for image in images] == stored.is_null().to_pylist()
    for row, (image, kept) in enumerate(zip(images, stored.to_pylist(), strict=True)):
        assert stored_of_value(kind, image) == kept, image
        assert sql_images(kind, stored.slice(row, 1)) == [image]
    assert stored_of_values(kind, images).equals(stored)


def plain(array: Any) -> Any:
    while isinstance(array, pa.ExtensionArray) or pa.types.is_dictionary(array.type):
        array = array.storage if isinstance(array, pa.ExtensionArray) else array.dictionary_decode()
    return array


@pytest.mark.parametrize("spelling", ALONE)
def test_every_type_alone(spelling: str) -> None:
    values = Values(len(spelling))
    for rows in (0, 1, 40):
        check(values, node(spelling), rows)


def test_types_in_types() -> None:
    for seed in range(TYPES):
        values = Values(seed)
        check(values, values.column(), values.random.choice([0, 1, 5, 20]))


@pytest.mark.parametrize(
    "spelling", [each for each in ALONE if not each.startswith(("TIMETZ", "BIT", "ENUM"))]
)
def test_stored_values_are_in_the_order_of_the_values(spelling: str) -> None:
    kind = node(spelling)
    array = Values(7).array(kind, 300).drop_null()
    stored = stored_form(kind, array).to_pylist()
    if kind.name == "INTERVAL":
        keys: list[Any] = [
            ((months * 30 + days) * 86_400_000_000_000 + nanos, months, days, nanos)
            for months, days, nanos in array.to_pylist()
        ]
    elif kind.name == "BIGNUM":
        keys = list(map(int, array.to_pylist()))
    elif kind.name == "UUID":
        keys = [value.bytes for value in array.to_pylist()]
    elif pa.types.is_decimal(array.type) or kind.name == "UBIGINT":
        keys = array.to_pylist()
    else:
        keys = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).to_pylist()
    order = sorted(range(len(keys)), key=keys.__getitem__)
    assert [stored[place] for place in order] == sorted(stored)
    for one, two in pairwise(order):
        assert (stored[one] == stored[two]) == (keys[one] == keys[two])
