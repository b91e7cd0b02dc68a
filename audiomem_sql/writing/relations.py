"""The rows of a relation of DuckDB's, as exactly as it has them.

Its Arrow form loses some, unless ``SET arrow_lossless_conversion`` says otherwise: UHUGEINT overflows, TIMETZ
has no offset, UUID and BIT are texts and bytes. So DuckDB is asked for the text of such values, also within
lists and structs, and they come in the stored form of the type that the relation has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from audiomem_sql.columns.logical.arrow_forms import arrow_of
from audiomem_sql.columns.logical.casting import UnfitError, stored_of_arrow
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.types import STORED_MARK, ColumnType, arrow_type
from audiomem_sql.errors import DataTypeError, SchemaError

#: Types that Arrow does not hold as DuckDB gives them; midnight at the end of a day is no TIME of Arrow's.
_LOST = frozenset(
    ("HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "UUID", "TIMETZ", "TIME", "TIME_NS", "ENUM", "JSON", "INTERVAL")
)


def exact_reader(relation: Any, rows: int) -> pa.RecordBatchReader:
    """All rows, in batches of so many at most. Columns of types that Arrow loses have their stored form.

    DataTypeError, naming the column, for a type that no column has.
    """
    nodes: dict[int, Node] = {}
    wanted = []
    for place, (name, kind) in enumerate(zip(relation.columns, relation.types, strict=True)):
        node = _node(name, str(kind))
        column = f'"{name.replace(chr(34), chr(34) * 2)}"'
        if node is None or not _is_lost(node):
            wanted.append(column)
            continue
        nodes[place] = node
        wanted.append(f"CAST({column} AS {asked(node)}) AS {column}")
    # a relation of its own: this one may have been read up to somewhere
    own = relation.project(", ".join(wanted)) if nodes else relation.select("*")
    name = "to_arrow_reader" if hasattr(own, "to_arrow_reader") else "fetch_arrow_reader"
    reader = getattr(own, name)(rows)
    schema = reader.schema
    texts = [place for place, kind in enumerate(relation.types) if str(kind) == "JSON"]
    if not nodes and not texts:
        return reader
    for place in texts:
        field = schema.field(place)
        if pa.types.is_string(field.type):  # of JSON, which Arrow calls so only where DuckDB may lose nothing
            schema = schema.set(place, field.with_metadata({b"audiomem:type": b"JSON"}))
    for place, node in nodes.items():
        made = ColumnType.of(node)
        metadata = {b"audiomem:type": str(made).encode(), **STORED_MARK}
        schema = schema.set(place, pa.field(schema.field(place).name, arrow_type(made), metadata=metadata))
    return pa.RecordBatchReader.from_batches(schema, _batches(reader, schema, nodes))


def _batches(
    reader: pa.RecordBatchReader, schema: pa.Schema, nodes: Mapping[int, Node]
) -> Iterator[pa.RecordBatch]:
    for batch in reader:
        arrays = list(batch.columns)
        for place, node in nodes.items():
            try:
                arrays[place] = stored_of_asked(node, arrays[place])
            except UnfitError as error:
                raise DataTypeError(str(error), place=f"column {schema.field(place).name}") from None
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _node(name: str, kind: str) -> Node | None:
    """The logical type of a column; None where the engine's own kinds hold it, or Arrow says what it is."""
    if kind.startswith(("UNION", "VARIANT")):
        raise DataTypeError(
            f"no column type holds DuckDB's {kind.partition('(')[0]}",
            place=f"column {name}",
            remedy="Cast the column, to VARCHAR for example, or leave it out.",
        )
    try:
        return ColumnType.parse(kind).logical
    except SchemaError:
        return None


def _is_lost(node: Node) -> bool:
    return node.name in _LOST or _has_truths(node) or any(map(_is_lost, node.children))


def _has_truths(node: Node) -> bool:
    """Whether it holds BOOLEANs, which DuckDB 1.4 may write wrongly within lists, as Arrow's bool8."""
    return node.name == "BOOLEAN" or any(map(_has_truths, node.children))


def asked(node: Node) -> str:
    """As what DuckDB is asked for values of a type: a type with texts in place of what Arrow would lose."""
    return str(_as_text(node))


def stored_of_asked(node: Node, given: Any) -> Any:
    """The stored form of what DuckDB gave for :func:`asked`. UnfitError for what the type cannot hold."""
    return stored_of_arrow(node, given.cast(asked_type(node)) if _has_truths(node) else given)


def asked_type(node: Node) -> pa.DataType:
    """The Arrow type of what DuckDB gives for :func:`asked`, when its truth values are such again."""
    return arrow_of(_as_text(node, truths="BOOLEAN"))


def _as_text(node: Node, truths: str = "TINYINT") -> Node:
    """What DuckDB is asked for; truths: what stands for BOOLEAN."""
    if node.name in _LOST:
        return Node("VARCHAR")
    children = tuple(_as_text(child, truths) for child in node.children)
    return Node(truths if node.name == "BOOLEAN" else node.name, node.numbers, node.words, children)
