"""The types a column can have, as SQL spells them, as Arrow holds them and as SQLite declares them.

| Kind      | stored value           | Arrow                      | declared to SQLite | affinity |
|-----------|------------------------|----------------------------|--------------------|----------|
| INTEGER   | int, 64 bit            | int64                      | INTEGER            | INTEGER  |
| REAL      | float                  | float64                    | REAL               | REAL     |
| TEXT      | str                    | string                     | TEXT               | TEXT     |
| BLOB      | bytes                  | binary                     | BLOB               | BLOB     |
| BOOLEAN   | bool                   | bool                       | BOOLEAN INTEGER    | INTEGER  |
| TIMESTAMP | int, µs since 1970 UTC | timestamp[us], no zone     | TIMESTAMP TEXT     | TEXT     |
| JSON      | str                    | string                     | JSON TEXT          | TEXT     |
| FLOAT[n]  | bytes, n × float32 LE  | fixed_size_list<float>[n]  | FLOAT[n] BLOB      | BLOB     |
| INT8[n]   | bytes, n × int8        | fixed_size_list<int8>[n]   | BLOB               | BLOB     |
| BIT[n]    | n / 8 bytes            | fixed_size_list<uint8>[…]  | BIT[n] BLOB        | BLOB     |

The last three are one kind, FLOAT, with another element. Bits are in the order of sqlite-vec: the first one
is the lowest of the first byte.

Affinity is found in the declared type by the rules of "Datatypes In SQLite", section 3.1: a name with INT,
else with CHAR, CLOB or TEXT, else with BLOB, else with REAL, FLOA or DOUB, else NUMERIC. What SQLite is told
of a virtual table are the words of its user, such as VARCHAR(20), and the words above behind them only where
SQLite would compare otherwise. pyarrow is imported only where it is needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from audiomem_sql.columns.logical.node import MAX_CHARACTERS, Node
from audiomem_sql.columns.logical.spelling import parse_node
from audiomem_sql.errors import SchemaError, did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

#: The collating sequence of exact numbers, whose images in SQL are texts.
NUMBER_COLLATION = "audiomem_decimal"
#: The collating sequence that a TIMESTAMP is declared with, by its name in SQL; see ``timestamps.compare``.
TIME_COLLATION = "audiomem_time"
#: In the metadata of an Arrow field: its values are the stored form of a logical type, see :func:`is_stored`.
STORED = b"audiomem:stored"
#: What stands there. Another process, and so whoever writes a file, does not know it.
STORED_MARK: Final = {STORED: os.urandom(16).hex().encode()}
MAX_WIDTH = 65535  # numbers in one FLOAT[n]


class Kind(Enum):
    """The eight types; the value is the SQL name."""

    INTEGER = "INTEGER"
    REAL = "REAL"
    TEXT = "TEXT"
    BLOB = "BLOB"
    BOOLEAN = "BOOLEAN"
    TIMESTAMP = "TIMESTAMP"
    JSON = "JSON"
    FLOAT = "FLOAT"


_SYNONYMS = {
    **{kind.value: kind for kind in Kind if kind is not Kind.FLOAT},
    "INT": Kind.INTEGER,
    "BIGINT": Kind.INTEGER,
    "DOUBLE": Kind.REAL,
    "DOUBLE PRECISION": Kind.REAL,
    "FLOAT": Kind.REAL,
    "STRING": Kind.TEXT,
    "VARCHAR": Kind.TEXT,
    "BOOL": Kind.BOOLEAN,
    "DATETIME": Kind.TIMESTAMP,
}
_SYNONYMS |= dict.fromkeys(
    (
        *("TINYINT", "SMALLINT", "MEDIUMINT", "INT1", "INT2", "INT4", "INT8", "INT16", "INT32", "INT64"),
        *("LONG", "UTINYINT", "USMALLINT", "UINTEGER", "UINT8", "UINT16", "UINT32", "SERIAL", "BIGSERIAL"),
    ),
    Kind.INTEGER,
)
_SYNONYMS |= dict.fromkeys(("FLOAT4", "FLOAT8", "FLOAT16", "FLOAT32", "FLOAT64", "HALF"), Kind.REAL)
_SYNONYMS |= dict.fromkeys(("CHAR", "BPCHAR", "CHARACTER VARYING", "NVARCHAR", "CLOB"), Kind.TEXT)
_SYNONYMS |= dict.fromkeys(("BYTEA", "BINARY", "VARBINARY"), Kind.BLOB)
_SYNONYMS |= dict.fromkeys(
    ("SHORT", "SIGNED", "SMALLSERIAL", "SERIAL2", "SERIAL4", "SERIAL8", "OID", "INT UNSIGNED"), Kind.INTEGER
)
_SYNONYMS |= dict.fromkeys(("CHARACTER", "NCHAR", "NAME", "TINYTEXT", "MEDIUMTEXT", "LONGTEXT"), Kind.TEXT)
_SYNONYMS |= {"LOGICAL": Kind.BOOLEAN, "TIMESTAMP_US": Kind.TIMESTAMP, "JSONB": Kind.JSON}
_SYNONYMS |= {"TIMESTAMP WITHOUT TIME ZONE": Kind.TIMESTAMP}
_VECTOR = re.compile(r"(FLOAT|INT8|TINYINT|BIT) ?\[ ?([0-9]{1,9}) ?\]")
#: The numbers of a vector, by the names that types have in SQL.
FLOAT32: Final = "FLOAT"
INT8: Final = "INT8"
BIT: Final = "BIT"
ELEMENTS = (FLOAT32, INT8, BIT)
_WITH_LENGTH = {
    re.compile(rf"(?:{words}) ?\( ?[0-9]+ ?\)"): kind
    for words, kind in (
        (
            "N?VARCHAR|N?CHAR|BPCHAR|CHARACTER|CHARACTER VARYING|VARYING CHARACTER|NATIVE CHARACTER",
            Kind.TEXT,
        ),
        ("BINARY|VARBINARY", Kind.BLOB),
        ("FLOAT", Kind.REAL),
    )
}
_KNOWN = (
    "INTEGER, REAL, TEXT, BLOB, BOOLEAN, TIMESTAMP, JSON, FLOAT[n], INT8[n], BIT[n], DECIMAL(p, s), DATE, "
    "TIME, TIMESTAMPTZ, INTERVAL, UUID, HUGEINT, ENUM('a', 'b'), T[], T[n], STRUCT(a T), MAP(K, V)"
)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A kind, and for FLOAT the numbers of a vector, how many they are and what each is.

    logical: what the values mean that are stored as the kind says, see ``logical``; None: what the kind says.

    Raises SchemaError for a width outside 1..65535, bits that fill no bytes, or a width on another kind.
    """

    kind: Kind
    width: int = 0
    element: str = FLOAT32
    logical: Node | None = None

    @classmethod
    def of(cls, node: Node) -> ColumnType:
        """The type of a column of logical values. SchemaError if it takes too long to write down."""
        if len(str(node)) > MAX_CHARACTERS:
            raise SchemaError(
                f"the type {node!s:.60}… is too long", remedy=f"It has at most {MAX_CHARACTERS:,} characters"
            )
        return cls(stored_kind(node), logical=node)

    def __post_init__(self) -> None:
        if self.kind is Kind.FLOAT:
            if not 1 <= self.width <= MAX_WIDTH:
                raise SchemaError(
                    f"{self} is not a type", remedy=f"The width of a vector is 1 to {MAX_WIDTH}"
                )
            if self.element == BIT and self.width % 8:
                raise SchemaError(f"{self} is not a type", remedy="Bits fill bytes: write a multiple of 8")
        elif self.width:
            raise SchemaError(f"{self.kind.value} has no width", remedy="Only FLOAT[n] has one")

    def __str__(self) -> str:
        if self.logical is not None:
            return str(self.logical)
        return f"{self.element}[{self.width}]" if self.kind is Kind.FLOAT else self.kind.value

    @property
    def item_bytes(self) -> int:
        """Bytes of an item of a vector in Arrow: a float32, an int8, or eight bits."""
        return 4 if self.element == FLOAT32 else 1

    @property
    def items(self) -> int:
        """Items of a vector in Arrow."""
        return self.width // 8 if self.element == BIT else self.width

    @property
    def vector_bytes(self) -> int:
        """Bytes of a vector; 0 for every other kind."""
        return self.items * self.item_bytes if self.kind is Kind.FLOAT else 0

    @classmethod
    def parse(cls, text: str, column: str | None = None) -> ColumnType:
        """The type that ``text`` spells, in any case and spacing; ``column`` is named in the SchemaError."""
        place = f"column {column}" if column is not None else None
        folded = " ".join(text.upper().split()) if text.isascii() else ""
        if kind := _SYNONYMS.get(folded):
            return cls(kind)
        for words, same in _WITH_LENGTH.items():
            if words.fullmatch(folded):
                return cls(same)
        if vector := _VECTOR.fullmatch(folded):
            try:
                element = INT8 if vector[1] == "TINYINT" else vector[1]
                return cls(Kind.FLOAT, int(vector[2]), element)
            except SchemaError as error:
                error.at(place=place)
                raise
        try:
            node = parse_node(text)
        except SchemaError as error:
            raise error.at(place=place) from None
        if node is not None:
            return cls.of(node)
        what = f"{text.strip()} is not a type" if text.strip() else "the type is missing"
        meant = did_you_mean(folded, [*_SYNONYMS, "FLOAT[n]"])
        raise SchemaError(what, place=place, remedy=f"{meant}The types are {_KNOWN}")


def stored_kind(node: Node) -> Kind:
    """The kind as which the values of a logical type are stored."""
    if node.name == "ENUM":
        return Kind.TEXT
    return Kind.INTEGER if node.is_integer else Kind.BLOB


def is_stored(metadata: Mapping[bytes, bytes] | None) -> bool:
    """Whether the metadata of an Arrow field say that its values are stored ones, written by this process."""
    return (metadata or {}).get(STORED) == STORED_MARK[STORED]


def collation_of(node: Node) -> str:
    """The collating sequence in which SQLite compares the images of a logical type."""
    if node.is_number:
        return NUMBER_COLLATION
    return TIME_COLLATION if node.is_moment else "BINARY"


def shown_type(column_type: ColumnType) -> pa.DataType:
    """The Arrow type in which users get a column; that of the engine, but for logical types."""
    if column_type.logical is None:
        return arrow_type(column_type)
    from audiomem_sql.columns.logical.arrow_forms import arrow_of

    return arrow_of(column_type.logical)


def arrow_type(column_type: ColumnType) -> pa.DataType:
    """The exact Arrow type in which the engine passes a column around.

    Timestamps are UTC and carry no zone. Logical types are as they are stored; see ``shown_type``.
    """
    import pyarrow as pa

    kind = column_type.kind
    if kind is Kind.INTEGER:
        return pa.int64()
    if kind is Kind.REAL:
        return pa.float64()
    if kind is Kind.BLOB:
        return pa.binary()
    if kind is Kind.BOOLEAN:
        return pa.bool_()
    if kind is Kind.TIMESTAMP:
        return pa.timestamp("us")
    if kind is Kind.FLOAT:
        item = {FLOAT32: pa.float32(), INT8: pa.int8(), BIT: pa.uint8()}[column_type.element]
        return pa.list_(item, column_type.items)
    return pa.string()


_DECLARED = {Kind.BOOLEAN: "BOOLEAN INTEGER", Kind.TIMESTAMP: "TIMESTAMP TEXT", Kind.JSON: "JSON TEXT"}


def sqlite_declaration(column_type: ColumnType) -> str:
    """The type in the statement for ``sqlite3_declare_vtab``, with the affinity of the table above."""
    if column_type.logical is not None:
        return _logical_declaration(column_type.logical)
    if column_type.element == INT8:
        return "BLOB"  # INT alone decides
    if column_type.kind is Kind.FLOAT:
        return f"{column_type} BLOB"  # FLOA alone would be REAL; BLOB comes first in SQLite's rules
    return _DECLARED.get(column_type.kind, column_type.kind.name)


def _logical_declaration(node: Node) -> str:
    """A declared type with the affinity TEXT, which numbers are compared as as well.

    INT in a name would decide, and make a double of an integer above int64, so that wide integers are called
    what they are shown as. Nothing may stand behind a parenthesis.
    """
    if node.name == "DECIMAL":
        return f"DECIMAL_TEXT({node.numbers[0]},{node.numbers[1]})"
    if node.name in ("HUGEINT", "UHUGEINT"):
        return "DECIMAL_TEXT(39,0)"
    if node.name == "UBIGINT":
        return "DECIMAL_TEXT(20,0)"
    if node.name == "INTERVAL":
        return "SPAN_TEXT"
    return "JSON TEXT" if node.is_nested else f"{node.name} TEXT"


def words_of(text: str, column_type: ColumnType) -> str | None:
    """The words with which a user wrote a type, to be shown to SQLite; None where they are its name.

    A file may say what it likes, so words that are no spelling of the type are passed over.
    """
    text = text.strip()
    if not _WORDS.fullmatch(text) or text.upper() == str(column_type):
        return None
    try:
        return text if ColumnType.parse(text) == column_type else None
    except SchemaError:
        return None


def shown_declaration(column_type: ColumnType, words: str | None) -> str:
    """The type that ``sqlite3_declare_vtab`` is told, and that PRAGMA table_info shows: the user's words.

    NUMERIC compares as INTEGER does. Elsewhere the word that gives the affinity follows: TIMESTAMP alone is
    NUMERIC to SQLite, and would take '2024' for a number. FLOAT[3] alone is REAL, which a column has of which
    it is the first part of a UNION ALL.
    """
    if column_type.logical is not None:
        return _logical_declaration(column_type.logical)
    shown = words or str(column_type)
    if column_type.element == INT8:
        return "BLOB"  # INT8 and TINYINT are of the affinity INTEGER, whatever follows
    stored = sqlite_declaration(column_type)
    wanted, given = affinity_of(stored), affinity_of(shown)
    if given == wanted or {given, wanted} == {"NUMERIC", "INTEGER"}:
        return shown
    return f"{shown} {wanted}"


def affinity_of(declared: str) -> str:
    """The affinity that SQLite finds in a declared type."""
    folded = declared.upper()
    for affinity, parts in _AFFINITIES.items():
        if any(part in folded for part in parts):
            return affinity
    return "NUMERIC"


_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_ (),\[\]]{0,63}")
_AFFINITIES = {
    "INTEGER": ("INT",),
    "TEXT": ("CHAR", "CLOB", "TEXT"),
    "BLOB": ("BLOB",),
    "REAL": ("REAL", "FLOA", "DOUB"),
}
