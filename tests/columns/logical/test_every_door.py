"""Random schemas, nested to depth 3, with random values: written in several commits, and read by every door.

What is read is equal to the last bit, or is the image that docs/TYPES.md names. ``AUDIOMEM_TYPES`` is the
number of tables, by default few.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.columns.logical.arrow_forms import arrow_of, common_of, node_of
from audiomem_sql.columns.logical.casting import stored_of_arrow, stored_of_value
from audiomem_sql.columns.logical.forms import stored_form
from audiomem_sql.columns.logical.node import Node
from audiomem_sql.columns.logical.texts import sql_images
from audiomem_sql.columns.shown import common_array
from audiomem_sql.columns.types import ColumnType
from audiomem_sql.table.table import Table
from columns.logical.random_types import Values, are_same

TABLES = int(os.environ.get("AUDIOMEM_TYPES", "8"))
#: Types that a database between has in part only, so that extremes do not go through it.
NOT_OF_DUCKDB = ("INTERVAL", "DURATION", "TIMESTAMP", "DATE", "NULL")
NOT_OF_POLARS = ("INTERVAL", "MAP", "DURATION_S", "TIMESTAMP_S", "TIMESTAMPTZ_S", "TIME_S", "TIME_MS", "NULL")


@dataclass
class Made:
    """A table on its way: columns, what each version holds, and the table."""

    nodes: list[Node]
    rows: pa.Table
    versions: dict[int, pa.Table]
    path: Path


def given(values: Values, nodes: list[Node], first: int, rows: int) -> pa.Table:
    """Rows of each type, with their numbers in front."""
    arrays = [values.array(node, rows) for node in nodes]
    fields = [pa.field(f"c{number}", arrow_of(node)) for number, node in enumerate(nodes)]
    numbers = pa.array(range(first, first + rows), pa.int64())
    return pa.Table.from_arrays([numbers, *arrays], schema=pa.schema([pa.field("id", pa.int64()), *fields]))


def definitions(nodes: list[Node]) -> list[str]:
    return ["id INTEGER PRIMARY KEY", *(f"c{number} {node}" for number, node in enumerate(nodes))]


def names_in(node: Node) -> Iterator[str]:
    yield node.name
    for child in node.children:
        yield from names_in(child)


def whole(column: pa.ChunkedArray) -> Any:
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def images(node: Node, column: pa.ChunkedArray) -> list[Any]:
    return sql_images(node, stored_form(node, whole(column)))


def check(made: Made, table: Any, rows: pa.Table) -> None:
    """Every door shows ``rows``."""
    shown = table.to_arrow()
    assert shown.column("id").to_pylist() == rows.column("id").to_pylist()
    for number, node in enumerate(made.nodes):
        name = f"c{number}"
        expected = whole(rows.column(name))
        found = whole(shown.column(name))
        found.validate(full=True)
        assert are_same(found, expected, node), (str(node), name)
        streamed = whole(pa.table(table).column(name))
        assert are_same(streamed, expected, node), str(node)
    dataset = table.dataset().to_table()
    for number, node in enumerate(made.nodes):
        expected = common_array(stored_form(node, whole(rows.column(f"c{number}"))), ColumnType.of(node))
        found = whole(dataset.column(f"c{number}"))
        assert found.type == common_of(node) == expected.type
        assert stored_of_arrow(node, plain(found)).equals(stored_of_arrow(node, plain(expected))), str(node)
    for place in range(0, rows.num_rows, 7):
        row = table.get(rows.column("id")[place].as_py())
        assert row == {"id": row["id"]} | {
            f"c{number}": images(node, rows.column(f"c{number}").slice(place, 1))[0]
            for number, node in enumerate(made.nodes)
        } | {name: None for name in row if name == "later"}


def plain(array: Any) -> Any:
    while isinstance(array, pa.ExtensionArray) or pa.types.is_dictionary(array.type):
        array = array.storage if isinstance(array, pa.ExtensionArray) else array.dictionary_decode()
    return array


def check_outside(made: Made) -> None:
    """The doors that open the file themselves."""
    names = ", ".join(f"c{number}" for number in range(len(made.nodes)))
    connection = am.connect(made.path)
    table_name = made.path.stem
    read = list(connection.execute(f"SELECT {names} FROM {table_name} ORDER BY id"))
    connection.close()
    for number, node in enumerate(made.nodes):
        expected = images(node, made.rows.column(f"c{number}"))
        found = [row[number] for row in read]
        assert found == expected, str(node)
        stored = stored_form(node, whole(made.rows.column(f"c{number}"))).to_pylist()
        assert [stored_of_value(node, image) for image in found] == stored, str(node)
    known = [
        number
        for number, node in enumerate(made.nodes)
        if not any(name.startswith(NOT_OF_DUCKDB) for name in names_in(node))
    ]
    if known:
        names = ", ".join(f"c{number}" for number in known)
        with duckdb.connect() as database:
            am.register_duckdb(database)
            answer = database.sql(
                f"SELECT {names} FROM audiomem_scan('{made.path}') ORDER BY id"
            ).to_arrow_table()
        for place, number in enumerate(known):
            check_cast(made.nodes[number], answer.column(place), made.rows.column(f"c{number}"))
    frame = am.read_flac(made.path, dtype_backend="pyarrow")
    for number, node in enumerate(made.nodes):
        found = pa.array(frame[f"c{number}"])
        found = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
        check_cast(node, pa.chunked_array([found]), made.rows.column(f"c{number}"))
    kept = [number for number, node in enumerate(made.nodes) if is_of_polars(node)]
    if kept:
        with am.open(made.path) as table:
            polars = pl.DataFrame(pl.from_arrow(table.to_arrow([f"c{number}" for number in kept])))
        for number in kept:
            found = polars.to_arrow().column(f"c{number}")
            check_cast(made.nodes[number], found, made.rows.column(f"c{number}"))


def is_told_by_arrow(node: Node) -> bool:
    """Whether the type of Arrow says which of ours it is."""
    return node_of(arrow_of(node)) == node


def is_of_polars(node: Node) -> bool:
    """Whether polars has the type: it has neither decimals of more than 38 digits nor maps nor intervals."""
    if node.name in NOT_OF_POLARS or arrow_of(node).id == pa.lib.Type_DECIMAL256:
        return False
    return all(map(is_of_polars, node.children))


def check_cast(node: Node, found: pa.ChunkedArray, expected: pa.ChunkedArray) -> None:
    """What came through another library is, taken in again, what was there."""
    again = stored_of_arrow(node, plain(whole(found)))
    assert again.equals(stored_form(node, whole(expected))), str(node)


@pytest.mark.parametrize("seed", range(TABLES))
def test_every_value_comes_back_by_every_door(seed: int, tmp_path: Path) -> None:
    values = Values(seed, distinct_keys=True)
    nodes = [values.column() for _ in range(values.random.randint(1, 4))]
    path = tmp_path / "kb.flac"
    first = given(values, nodes, 1, values.random.choice([1, 7, 40]))
    if values.random.random() < 0.5 and all(map(is_told_by_arrow, nodes)):
        table = am.write_flac(first, path, primary_key="id")
        assert [str(column.type) for column in table.schema.columns[1:]] == list(map(str, nodes))
    else:
        table = Table.create(path, definitions(nodes))
        table.append(first)
    made = Made(nodes, first, {}, path)
    made.versions[table.version] = made.rows
    check(made, table, made.rows)
    for step in ("arrow", "images", "batch"):
        more = given(values, nodes, made.rows.num_rows + 1, values.random.choice([1, 9]))
        columns = {"id": more.column("id").to_pylist()} | {
            f"c{number}": images(node, more.column(f"c{number}")) for number, node in enumerate(nodes)
        }
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        table.append({"arrow": more, "images": rows, "batch": more.to_batches()[0]}[step])
        made.rows = pa.concat_tables([made.rows, more])
        made.versions[table.version] = made.rows
    check(made, table, made.rows)
    check_outside(made)
    table.checkpoint()
    check(made, table, made.rows)
    table.alter("ADD COLUMN later INTEGER")
    check(made, table, made.rows)
    table.merge()
    check(made, table, made.rows)
    table.vacuum()
    check(made, table, made.rows)
    for version, rows in made.versions.items():
        with table.checkout(version) as old:
            check(made, old, rows)
    table.close()
    check_outside(made)
