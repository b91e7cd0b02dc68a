"""``<>`` and IS NOT, of which SQLite tells no virtual table the collation: the rows are those of a STRICT table."""

from __future__ import annotations

import pytest
from model import ModelColumn, Twins

from audiomem_sql.errors import DataTypeError

COLUMNS = (
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",)),
    ModelColumn("b", "TEXT"),
    ModelColumn("n", "TEXT", (), "NOCASE"),
    ModelColumn("r", "TEXT", (), "RTRIM"),
    ModelColumn("j", "JSON"),
    ModelColumn("t", "TIMESTAMP"),
    ModelColumn("x", "BLOB", (), "NOCASE"),
    ModelColumn("i", "INTEGER", (), "RTRIM"),
)
ROWS = (
    (1, "a", "a", "a", '"a"', "2024-03-01 10:00:00", b"a", 1),
    (2, "A", "A", "A", '"A"', "2024-03-01 11:00:00", b"A", 2),
    (3, "a ", "a ", "a ", '"a" ', "2024-03-01 10:00:00.5", b"a ", 3),
    (4, "b", "b", "b", '"b"', None, b"b", 4),
    (5, None, None, None, None, "2024-03-01 10:00:00", None, None),
)
VALUES = {
    "b": ("'a'", "'A'", "'a '", "1", "x'61'"),
    "n": ("'a'", "'A'", "'a '", "1", "x'61'"),
    "r": ("'a'", "'A'", "'a '", "1", "x'61'"),
    "j": ("'\"a\"'", "'\"A\"'"),
    "t": ("'2024-03-01 10:00:00'", "'2024-03-01T10:00:00Z'", "'2024-03-01t12:00+02:00'"),
    "x": ("x'61'", "'a'", "'A'"),
    "i": ("1", "'1'", "'1 '", "1.0"),
}
CONDITIONS = (
    "{c} <> {v}",
    "{v} <> {c}",
    "{c} IS NOT {v}",
    "{c} IS DISTINCT FROM {v}",
    "NOT {c} = {v}",
    "{c} NOT IN ({v})",
    "{c} COLLATE NOCASE <> {v}",
    "{c} COLLATE BINARY <> {v}",
    "{c} <> {v} COLLATE RTRIM",
    "{c} <> {v} COLLATE BINARY",
    "{c} IS NOT {v} COLLATE NOCASE",
)


@pytest.fixture
def table(twins: Twins) -> Twins:
    twins.create("t", *COLUMNS)
    marks = ", ".join("?" * len(COLUMNS))
    for row in ROWS:
        twins.write(f"INSERT INTO {{t}} VALUES ({marks})", row)
    return twins


@pytest.mark.parametrize("column", sorted(VALUES))
def test_each_collation_and_spelling(table: Twins, column: str) -> None:
    for value in VALUES[column]:
        for form in CONDITIONS:
            condition = form.format(c=column, v=value)
            for query in (
                f"SELECT id FROM {{t}} WHERE {condition}",
                f"SELECT id FROM {{t}} WHERE {condition} ORDER BY id LIMIT 1 OFFSET 1",
                f"SELECT count(*) FROM {{t}} WHERE {condition} AND id > 0",
                f"SELECT u.id, {{t}}.id FROM {{t}} AS u LEFT JOIN {{t}} ON u.{condition}",
            ):
                table.same(query)
    table.connection.execute("BEGIN")
    table.write("INSERT INTO {t}(b, n, r) VALUES ('c', 'C', 'c')")
    table.same(f"SELECT id FROM {{t}} WHERE {column} <> {VALUES[column][0]}")


def test_delete_and_update_change_those_rows(table: Twins) -> None:
    table.write("UPDATE {t} SET i = 9 WHERE n <> 'a'")
    table.same_rows()
    table.write("DELETE FROM {t} WHERE r IS NOT 'a'")
    table.same_rows()


def test_what_is_no_time_is_still_refused(table: Twins) -> None:
    for op in ("<>", "IS NOT"):
        with pytest.raises(DataTypeError, match=r"column t: 'yesterday' is no timestamp"):
            table.connection.execute(f"SELECT * FROM a_t WHERE t {op} 'yesterday'").fetchall()
