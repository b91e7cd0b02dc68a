"""Logical types as a tree, and how SQL spells them.

| type                              | stored as                            | order of the stored form    |
|-----------------------------------|--------------------------------------|-----------------------------|
| DECIMAL(p, s), p <= 18            | INTEGER, the value times 10^s        | that of the values          |
| DECIMAL(p, s), p <= 38 and <= 76  | BLOB, 16 and 32 bytes, see below     | that of the values          |
| HUGEINT, UHUGEINT                 | BLOB, 16 bytes                       | that of the values          |
| BIGNUM                            | BLOB, length and sign, then the bytes| that of the values          |
| UBIGINT                           | INTEGER, the highest bit turned      | that of the values          |
| DATE                              | INTEGER, days since 1970             | that of the values          |
| TIME_S, TIME_MS, TIME, TIME_NS    | INTEGER, units since midnight        | that of the values          |
| TIMETZ                            | INTEGER, µs in UTC, then the offset  | the moment, then the offset |
| TIMESTAMP_S, _MS, _NS             | INTEGER, units since 1970            | that of the values          |
| TIMESTAMPTZ, _S, _MS, _NS         | INTEGER, units since 1970 in UTC     | that of the values          |
| DURATION_S, _MS, _US, _NS         | INTEGER, units                       | that of the values          |
| INTERVAL                          | BLOB, 32 bytes                       | months as 30 days           |
| UUID                              | BLOB, 16 bytes                       | that of the values          |
| BIT                               | BLOB, bits, then how many are unused | that of the digits          |
| ENUM('a', 'b')                    | TEXT                                 | of the texts                |
| T[], T[n], STRUCT(…), MAP(K, V)   | BLOB, see ``nested``                 | none                        |

Integers in bytes are big-endian with the highest bit turned, so that bytes compare as numbers do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from audiomem_sql.errors import SchemaError

#: Types without parameters, by their name: what each is stored as.
INTEGERS: Final = frozenset(
    (
        *("UBIGINT", "DATE", "TIME_S", "TIME_MS", "TIME", "TIME_NS", "TIMETZ", "TIMESTAMP_S"),
        *("TIMESTAMP_MS", "TIMESTAMP_NS", "DURATION_S", "DURATION_MS", "DURATION_US", "DURATION_NS"),
    )
)
BLOBS: Final = frozenset(("HUGEINT", "UHUGEINT", "BIGNUM", "INTERVAL", "UUID", "BIT"))
ZONED: Final = {"TIMESTAMPTZ_S": "s", "TIMESTAMPTZ_MS": "ms", "TIMESTAMPTZ": "us", "TIMESTAMPTZ_NS": "ns"}
NESTED: Final = frozenset(("LIST", "ARRAY", "STRUCT", "MAP"))
#: Types that stand inside of others, too, and alone are one of the engine's own kinds.
ITEMS: Final = frozenset(
    (
        *("BOOLEAN", "TINYINT", "SMALLINT", "INT32", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
        *("HALF", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "JSON", "TIMESTAMP", "NULL"),
    )
)
MAX_PRECISION: Final = 76
#: The digits that a DECIMAL has where none are said, as in DuckDB.
DECIMAL_DEFAULT: Final = (18, 3)
#: Types in types, and characters of the spelling of a type.
MAX_DEPTH, MAX_CHARACTERS = 64, 1 << 20
#: Items of a list of fixed length, with those of such lists in it.
MAX_ITEMS = 1 << 24


@dataclass(frozen=True, slots=True)
class Node:
    """A logical type.

    name: see the table. numbers: precision and scale of a DECIMAL, the items of an ARRAY. words: the values
    of an ENUM, the zone of a TIMESTAMPTZ, the names of the fields of a STRUCT. children: of what it is made.
    """

    name: str
    numbers: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    children: tuple[Node, ...] = ()

    def __post_init__(self) -> None:
        if self.children and self.depth > MAX_DEPTH:
            raise SchemaError("the type is nested too deeply", remedy=f"It has at most {MAX_DEPTH} levels")
        if self.name == "DECIMAL":
            precision, scale = self.numbers
            if not (1 <= precision <= MAX_PRECISION and 0 <= scale <= precision):
                raise SchemaError(
                    f"DECIMAL({precision}, {scale}) is not a type",
                    remedy=f"It has 1 to {MAX_PRECISION} digits, of which 0 to all are behind the point",
                )
        elif self.name == "ARRAY" and (self.numbers[0] < 1 or self.items > MAX_ITEMS):
            raise SchemaError(
                f"{self} is not a type",
                remedy=f"A list of fixed length has 1 to {MAX_ITEMS:,} items, with those of such lists in it",
            )
        elif self.name == "STRUCT" and self.items > max(MAX_ITEMS, len(self.words)):
            raise SchemaError(
                "the type is too large",
                remedy=f"Its lists of fixed length have at most {MAX_ITEMS:,} items in all",
            )
        elif self.name == "ENUM" and len(set(self.words)) < len(self.words):
            raise SchemaError("an ENUM has a value twice", remedy="Name each value once")
        elif self.name == "STRUCT" and not self.words:
            raise SchemaError("a STRUCT without fields is not a type", remedy="It has at least one field")
        elif self.name == "STRUCT" and len({word.lower() for word in self.words}) < len(self.words):
            raise SchemaError(
                "a STRUCT has two fields of one name", remedy="Capitals make no difference: rename one"
            )

    def __str__(self) -> str:
        if self.name == "DECIMAL":
            return f"DECIMAL({self.numbers[0]},{self.numbers[1]})"
        if self.name in ZONED:
            return self.name if self.words == ("UTC",) else f"{self.name}({_literal(self.words[0])})"
        if self.name == "ENUM":
            return f"ENUM({', '.join(map(_literal, self.words))})"
        if self.name == "LIST":
            return f"{self.children[0]}[]"
        if self.name == "ARRAY":
            return f"{self.children[0]}[{self.numbers[0]}]"
        if self.name == "STRUCT":
            fields = zip(self.words, self.children, strict=True)
            return f"STRUCT({', '.join(f'{_quoted(word)} {child}' for word, child in fields)})"
        if self.name == "MAP":
            return f"MAP({self.children[0]}, {self.children[1]})"
        return self.name

    @property
    def depth(self) -> int:
        """Levels of types in types."""
        return 1 + max((child.depth for child in self.children), default=0)

    @property
    def items(self) -> int:
        """Elements without types in them that lists of fixed length make of one value, NULL or not."""
        if self.name == "ARRAY":
            return self.numbers[0] * self.children[0].items
        return sum(child.items for child in self.children) if self.name == "STRUCT" else 1

    @property
    def is_nested(self) -> bool:
        """Whether it is made of others."""
        return self.name in NESTED

    @property
    def unit(self) -> str:
        """The unit of a time: s, ms, us or ns."""
        if self.name in ZONED:
            return ZONED[self.name]
        tail = self.name.rpartition("_")[2]
        return tail.lower() if tail in ("S", "MS", "US", "NS") else "us"

    @property
    def bytes(self) -> int:
        """Bytes of a value that is stored as so many; 0 for others."""
        if self.name == "DECIMAL":
            return 0 if self.numbers[0] <= 18 else 16 if self.numbers[0] <= 38 else 32
        return {"HUGEINT": 16, "UHUGEINT": 16, "UUID": 16, "INTERVAL": 32}.get(self.name, 0)

    @property
    def is_integer(self) -> bool:
        """Whether its values are stored as INTEGER."""
        if self.name == "DECIMAL":
            return not self.bytes
        return self.name in INTEGERS or self.name in ZONED

    @property
    def is_number(self) -> bool:
        """Whether it is an exact number, whose image in SQLite is a text of digits."""
        return self.name in ("DECIMAL", "HUGEINT", "UHUGEINT", "BIGNUM", "UBIGINT")

    @property
    def is_moment(self) -> bool:
        """Whether it is a date, or a date with a time of day."""
        return self.name == "DATE" or self.name.startswith("TIMESTAMP")


def _literal(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'
