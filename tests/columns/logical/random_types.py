"""Random logical types, and arrays of their values: with NULL everywhere, extremes, and slices."""

from __future__ import annotations

import random
import uuid
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.logical import parsing
from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.spelling import parse_node

#: Types that a column may have alone, beside nested ones.
ALONE = [
    *("DECIMAL(5,2)", "DECIMAL(18,18)", "DECIMAL(30,4)", "DECIMAL(38,0)", "DECIMAL(50,10)", "DECIMAL(76,76)"),
    *("HUGEINT", "UHUGEINT", "BIGNUM", "UBIGINT", "DATE", "TIME_S", "TIME_MS", "TIME", "TIME_NS", "TIMETZ"),
    *("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMPTZ", "TIMESTAMPTZ_S('+05:30')"),
    *("TIMESTAMPTZ_NS('Europe/Berlin')", "DURATION_S", "DURATION_MS", "DURATION_US", "DURATION_NS"),
    *("INTERVAL", "UUID", "BIT", "ENUM('b', 'a', '', 'it''s')"),
]
#: Types that are inside of others only.
INSIDE = [
    *("BOOLEAN", "TINYINT", "SMALLINT", "INT32", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "HALF"),
    *("FLOAT", "DOUBLE", "VARCHAR", "BLOB", "JSON", "TIMESTAMP", "NULL"),
]
_TEXTS = ["", "a", "é\0x", "long" * 5, '"quoted\\"', "\U0001f600"]
_REALS = [0.0, -0.0, float("nan"), float("inf"), float("-inf"), 1.5, -2.25]


def node(spelling: str) -> Node:
    """The type that ``spelling`` says, also one that only stands inside of others."""
    return parse_node(spelling) or Node(spelling)


class Values:
    """Types and values of one seed."""

    def __init__(self, seed: int, *, distinct_keys: bool = False) -> None:
        """distinct_keys: maps have each key once, as Python, DuckDB and polars want it; Arrow does not."""
        self.random = random.Random(seed)
        self._distinct_keys = distinct_keys

    def type(self, depth: int) -> Node:
        """A type nested to ``depth`` at most."""
        if not depth or self.random.random() < 0.3:
            return node(self.random.choice(ALONE + INSIDE))
        kind = self.random.choice(["LIST", "ARRAY", "STRUCT", "MAP"])
        if kind == "LIST":
            return Node("LIST", children=(self.type(depth - 1),))
        if kind == "ARRAY":
            return Node("ARRAY", (self.random.randint(1, 3),), children=(self.type(depth - 1),))
        if kind == "MAP":
            key = Node(self.random.choice(["VARCHAR", "BIGINT", "BOOLEAN", "DATE", "UUID"]))
            return Node("MAP", children=(key, self.type(depth - 1)))
        names = self.random.sample(["a", "B c", 'd"', "ü"], self.random.randint(1, 3))
        return Node("STRUCT", words=tuple(names), children=tuple(self.type(depth - 1) for _ in names))

    def column(self) -> Node:
        """A type that is not one of the engine's own kinds, nor spelled like a vector."""
        while True:
            made = self.type(3)
            vector = made.name == "ARRAY" and made.children[0].name in ("FLOAT", "HALF", "TINYINT", "BIT")
            if (made.is_nested or made.name not in INSIDE) and not vector:
                return made

    def array(self, kind: Node, rows: int) -> Any:
        """Values, a fifth of them NULL, as ``arrow_of(kind)``; now and then a slice of more."""
        if self.random.random() < 0.3:
            first, behind = self.random.randint(0, 3), self.random.randint(0, 3)
            return self._array(kind, first + rows + behind).slice(first, rows)
        return self._array(kind, rows)

    def _array(self, kind: Node, rows: int) -> Any:
        mask = np.array([self.random.random() < 0.2 for _ in range(rows)], bool)
        target = arrow_of(kind)
        if kind.name in ("LIST", "MAP"):
            lengths = [0 if self.random.random() < 0.3 else self.random.randint(0, 4) for _ in range(rows)]
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            keys = None
            if kind.name == "MAP":
                keys, lengths = self._keys(kind.children[0], lengths)
                offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            children = [self.array(child, sum(lengths)) for child in kind.children[kind.name == "MAP" :]]
            if kind.name == "MAP":
                fields = [target.key_field, target.item_field]
                children = [pa.StructArray.from_arrays([keys, *children], fields=fields)]
            return pa.Array.from_buffers(
                target, rows, [_bits(~mask), pa.py_buffer(offsets)], children=children
            )
        if kind.name == "ARRAY":
            items = self.array(kind.children[0], rows * kind.numbers[0])
            return pa.FixedSizeListArray.from_arrays(items, type=target, mask=pa.array(mask))
        if kind.name == "STRUCT":
            children = [self.array(child, rows) for child in kind.children]
            return pa.StructArray.from_arrays(children, fields=list(target), mask=pa.array(mask))
        return self._leaves(kind, target, mask)

    def _keys(self, kind: Node, lengths: list[int]) -> tuple[Any, list[int]]:
        """Keys of maps, none of them NULL, and how many each has."""
        pool = self._array(kind, sum(lengths) * 6 + 30).drop_null()
        if not self._distinct_keys:
            return pool.slice(0, sum(lengths)), lengths
        pool = pool.storage.unique() if isinstance(pool, pa.ExtensionArray) else pool.unique()
        lengths = [min(length, len(pool)) for length in lengths]
        places = [place for length in lengths for place in self.random.sample(range(len(pool)), length)]
        keys = pool.take(pa.array(places, pa.int64()))
        target = arrow_of(kind)
        is_extension = isinstance(target, pa.BaseExtensionType)
        return pa.ExtensionArray.from_storage(target, keys) if is_extension else keys, lengths

    def _leaves(self, kind: Node, target: Any, mask: Any) -> Any:
        rows, name = len(mask), kind.name
        if name == "NULL":
            return pa.nulls(rows)
        if name == "INTERVAL":
            parts = [(self._integer(32), self._integer(32), self._integer(64)) for _ in range(rows)]
            values = [None if gone else pa.MonthDayNano(part) for gone, part in zip(mask, parts, strict=True)]
            return pa.array(values, target)
        if pa.types.is_temporal(target):
            width = 64 if target.bit_width == 64 else 32
            per_day = 86_400 * parsing.PER_SECOND[kind.unit]
            of_day = name.startswith("TIME_") or name == "TIME"
            numbers = [
                self.random.randrange(per_day) if of_day else self._integer(width) for _ in range(rows)
            ]
            return pa.array(numbers, pa.int32() if width == 32 else pa.int64(), mask=mask).view(target)
        if pa.types.is_integer(target):
            signed = pa.types.is_signed_integer(target)
            return pa.array([self._integer(target.bit_width, signed) for _ in range(rows)], target, mask=mask)
        if name == "HALF":
            reals = np.array([self.random.choice(_REALS) for _ in range(rows)], np.float16)
            return pa.array(reals, target, mask=mask)
        if name == "ENUM":
            places = pa.array(
                [self.random.randrange(len(kind.words)) for _ in range(rows)], pa.int32(), mask=mask
            )
            return pa.DictionaryArray.from_arrays(places, pa.array(kind.words), ordered=True)
        return pa.array([None if gone else self._leaf(kind) for gone in mask], target)

    def _leaf(self, kind: Node) -> Any:
        name, choice = kind.name, self.random.choice
        if name == "DECIMAL":
            precision, scale = kind.numbers
            largest = choice([10**precision - 1, 10 ** self.random.randint(0, precision) - 1])
            number = self.random.randint(-largest, largest)
            return Decimal(number).scaleb(-scale, Context(prec=100))
        if name in ("HUGEINT", "UHUGEINT"):
            return Decimal(self._integer(128, name == "HUGEINT"))
        if name == "BIGNUM":
            return str(self._integer(choice([8, 64, 300])))
        if name == "TIMETZ":
            hour, minute, fraction = (self.random.randrange(end) for end in (24, 60, 1_000_000))
            clock = f"{hour:02d}:{minute:02d}:07.{fraction:06d}"
            zone = f"{self.random.randint(-15, 15):+03d}:{self.random.randint(0, 59):02d}"
            return parsing.timetz_text(int(parsing.PARSERS["TIMETZ"](kind, clock + zone)))
        if name == "BIT":
            return "".join(choice("01") for _ in range(self.random.randint(1, 40)))
        if name == "UUID":
            return uuid.UUID(int=self._integer(128, False))
        plain: dict[str, Any] = {
            "VARCHAR": _TEXTS,
            "JSON": ["1", '{"a":[1,null]}', '"x"', "[1.50,true]", "12345678901234567890"],
            "BLOB": [b"", b"\0\xff", b"text"],
            "BOOLEAN": [False, True],
            "FLOAT": _REALS,
            "DOUBLE": [*_REALS, 1e300, 0.1],
        }
        return choice(plain[name])

    def _integer(self, bits: int, signed: bool = True) -> int:
        number = self.random.choice(
            [
                0,
                1,
                (1 << bits) - 1,
                self.random.getrandbits(bits),
                self.random.getrandbits(self.random.randint(1, bits)),
            ]
        )
        return number - (1 << (bits - 1)) if signed else number


def are_same(one: Any, other: Any, kind: Node) -> bool:
    """Whether two arrays hold the same values to the last bit, NaN and -0.0 too."""
    if one.type != other.type or one.null_count != other.null_count or len(one) != len(other):
        return False
    return bool(stored_form(kind, one).equals(stored_form(kind, other)))


def _bits(there: Any) -> pa.Buffer | None:
    return None if there.all() else pa.py_buffer(np.packbits(there, bitorder="little"))
