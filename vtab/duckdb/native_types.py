"""Types of columns as DuckDB's: as tuples, see :mod:`~audiomem_sql.vtab.duckdb.vectors`, and in SQL.

DuckDB has no decimals of more than 38 digits, which it gets as VARCHAR, no float16, which it gets as FLOAT,
and no zones with names: times with a zone are TIMESTAMPTZ, durations INTERVAL.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from audiomem_sql.columns.logical.arrow_forms import common_of
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.types import ColumnType, is_stored
from audiomem_sql.vtab.duckdb import vectors as v

JSON_TYPE: v.Type = (v.VARCHAR, "JSON")
_PLAIN: dict[str, int] = {
    "BOOLEAN": v.BOOLEAN,
    "TINYINT": v.TINYINT,
    "SMALLINT": v.SMALLINT,
    "INT32": v.INTEGER,
    "BIGINT": v.BIGINT,
    "UTINYINT": v.UTINYINT,
    "USMALLINT": v.USMALLINT,
    "UINTEGER": v.UINTEGER,
    "UBIGINT": v.UBIGINT,
    "HALF": v.FLOAT,
    "FLOAT": v.FLOAT,
    "DOUBLE": v.DOUBLE,
    "VARCHAR": v.VARCHAR,
    "BLOB": v.BLOB,
    "TIMESTAMP": v.TIMESTAMP,
    "NULL": v.INTEGER,
    "HUGEINT": v.HUGEINT,
    "UHUGEINT": v.UHUGEINT,
    "BIGNUM": v.BIGNUM,
    "BIT": v.BIT,
    "UUID": v.UUID,
    "DATE": v.DATE,
    "TIME_S": v.TIME,
    "TIME_MS": v.TIME,
    "TIME": v.TIME,
    "TIME_NS": v.TIME_NS,
    "TIMETZ": v.TIMETZ,
    "TIMESTAMP_S": v.TIMESTAMP_S,
    "TIMESTAMP_MS": v.TIMESTAMP_MS,
    "TIMESTAMP_NS": v.TIMESTAMP_NS,
    "INTERVAL": v.INTERVAL,
}
_PLAIN |= dict.fromkeys(("TIMESTAMPTZ_S", "TIMESTAMPTZ_MS", "TIMESTAMPTZ", "TIMESTAMPTZ_NS"), v.TIMESTAMP_TZ)
_PLAIN |= dict.fromkeys(("DURATION_S", "DURATION_MS", "DURATION_US", "DURATION_NS"), v.INTERVAL)
_NODES = {
    number: name
    for name, number in _PLAIN.items()
    if name not in ("HALF", "NULL", "TIME_S", "TIME_MS") and not name.startswith(("TIMESTAMPTZ", "DURATION"))
}
_SPELLED = {number: name for number, name in _NODES.items() if name != "INT32"}
_SPELLED |= {v.INTEGER: "INTEGER", v.TIMESTAMP_TZ: "TIMESTAMPTZ"}
#: Numbers that the stored types of columns that are no logical ones have.
_ARROW: dict[pa.DataType, v.Type] = {
    pa.bool_(): (v.BOOLEAN,),
    pa.int64(): (v.BIGINT,),
    pa.float32(): (v.FLOAT,),
    pa.float64(): (v.DOUBLE,),
    pa.timestamp("us"): (v.TIMESTAMP,),
    pa.date32(): (v.DATE,),
    pa.string(): (v.VARCHAR,),
    pa.large_string(): (v.VARCHAR,),
    pa.binary(): (v.BLOB,),
    pa.large_binary(): (v.BLOB,),
    pa.int8(): (v.TINYINT,),
    pa.uint8(): (v.UTINYINT,),
}


def logical_of_field(field: pa.Field) -> Node | None:
    """The logical type of a column whose values are stored ones, see ``Schema.to_arrow``."""
    metadata = field.metadata or {}
    if not is_stored(metadata):
        return None
    return ColumnType.parse(metadata[b"audiomem:type"].decode()).logical


def conditions_schema(schema: pa.Schema) -> pa.Schema:
    """A schema with the types in which conditions of Arrow speak of its columns."""
    for place, field in enumerate(schema):
        node = logical_of_field(field)
        if node is not None:
            schema = schema.set(place, field.with_type(common_of(node)))
    return schema


def described_field(field: pa.Field) -> v.Type:
    """The type of a column."""
    node = logical_of_field(field)
    if node is not None:
        return described(node)
    if (field.metadata or {}).get(b"audiomem:type") == b"JSON":
        return JSON_TYPE
    if pa.types.is_fixed_size_list(field.type):
        return v.ARRAY, _ARROW[field.type.value_type], field.type.list_size
    return _ARROW[field.type]


def described(node: Node) -> v.Type:
    """The type of logical values."""
    if node.name == "DECIMAL":
        precision, scale = node.numbers
        return (v.DECIMAL, precision, scale, _holder(precision)) if precision <= 38 else (v.VARCHAR,)
    if node.name == "ENUM":
        return (v.ENUM, enum_holder(len(node.words)), node.words) if node.words else (v.VARCHAR,)
    if node.name == "LIST":
        return v.LIST, described(node.children[0])
    if node.name == "ARRAY":
        return v.ARRAY, described(node.children[0]), node.numbers[0]
    if node.name == "STRUCT":
        return v.STRUCT, tuple(zip(node.words, map(described, node.children), strict=True))
    if node.name == "MAP":
        pair = zip(("key", "value"), map(described, node.children), strict=True)
        return v.MAP, (v.STRUCT, tuple(pair))
    return JSON_TYPE if node.name == "JSON" else (_PLAIN[node.name],)


def _holder(precision: int) -> int:
    return (
        v.SMALLINT
        if precision <= 4
        else v.INTEGER
        if precision <= 9
        else v.BIGINT
        if precision <= 18
        else v.HUGEINT
    )


def enum_holder(words: int) -> int:
    """The number of the type in which DuckDB keeps the places of so many values."""
    return v.UTINYINT if words <= 255 else v.USMALLINT if words <= 65535 else v.UINTEGER


def node_of_described(name: str, type_: v.Type) -> Node:
    """The logical type that holds DuckDB's. DataTypeError, naming column ``name``, where there is none."""
    number = type_[0]
    if number == v.DECIMAL:
        return Node("DECIMAL", (type_[1], type_[2]))
    if number == v.ENUM:
        return Node("ENUM", words=tuple(type_[2]))
    if number in (v.LIST, v.ARRAY):
        child = node_of_described(name, type_[1])
        numbers = (type_[2],) if number == v.ARRAY else ()
        return Node("LIST" if number == v.LIST else "ARRAY", numbers, children=(child,))
    if number == v.STRUCT:
        words = tuple(word for word, _ in type_[1])
        return Node(
            "STRUCT", words=words, children=tuple(node_of_described(name, each) for _, each in type_[1])
        )
    if number == v.MAP:
        return Node("MAP", children=tuple(node_of_described(name, each) for _, each in type_[1][1]))
    if number == v.TIMESTAMP_TZ:
        return Node("TIMESTAMPTZ", words=("UTC",))
    if number == v.SQLNULL:
        return Node("NULL")
    if number == v.VARCHAR and len(type_) > 1 and type_[1] == "JSON":
        return Node("JSON")
    if number not in _NODES:
        raise v.unknown_type(name, number)
    return Node(_NODES[number])


def spelled(type_: v.Type) -> str:
    """A type in SQL."""
    number = type_[0]
    if number == v.DECIMAL:
        return f"DECIMAL({type_[1]},{type_[2]})"
    if number == v.ENUM:
        return f"ENUM({', '.join(_literal(word) for word in type_[2])})"
    if number == v.LIST:
        return f"{spelled(type_[1])}[]"
    if number == v.ARRAY:
        return f"{spelled(type_[1])}[{type_[2]}]"
    if number == v.STRUCT:
        return f"STRUCT({', '.join(f'{_quoted(word)} {spelled(each)}' for word, each in type_[1])})"
    if number == v.MAP:
        (_, key), (_, value) = type_[1][1]
        return f"MAP({spelled(key)}, {spelled(value)})"
    return "JSON" if len(type_) > 1 else _SPELLED[number]


def _literal(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def is_vector_list(type_: v.Type) -> bool:
    """Whether vectors of float32 may be lists of a type, or arrays."""
    return type_[0] in (v.LIST, v.ARRAY) and type_[1][0] == v.FLOAT


def is_plain(type_: v.Type) -> bool:
    """Whether a column of the engine's own kinds, or of vectors, holds a type of DuckDB's."""
    number: Any = type_[0]
    if number in (v.LIST, v.ARRAY):
        return is_vector_list(type_) or (number == v.ARRAY and type_[1][0] == v.TINYINT)
    plain = (v.BOOLEAN, v.TINYINT, v.SMALLINT, v.INTEGER, v.BIGINT, v.UTINYINT, v.USMALLINT, v.UINTEGER)
    return number in (*plain, v.FLOAT, v.DOUBLE, v.TIMESTAMP, v.VARCHAR, v.BLOB, v.SQLNULL)
