"""The collation that results take from an INTEGER PRIMARY KEY: in SQLite's own tables the rowid has none."""

from __future__ import annotations

import pytest
from model import ModelColumn, Twins

from audiomem_sql import open as open_table

#: A key, and one that is not the rowid although it is declared alike.
KEYS = (
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",), "NOCASE"),
    ModelColumn("id", "INTEGER", ("PRIMARY KEY DESC",), "NOCASE"),
    ModelColumn("id", "INTEGER", ("UNIQUE",), "NOCASE"),
    ModelColumn("id", "INTEGER", ("PRIMARY KEY",), "RTRIM"),
)
#: How many texts of 'a', 'A', 'a ' and 'b' differ.
COUNTS = (
    "SELECT count(*) FROM (SELECT id FROM {t} UNION SELECT b FROM {u})",
    "SELECT count(*) FROM (SELECT id FROM {t} UNION SELECT n COLLATE BINARY FROM {u})",
    "SELECT count(*) FROM (SELECT id FROM {t} UNION ALL SELECT b FROM {u}) WHERE id = 'A'",
    "SELECT count(DISTINCT id) FROM (SELECT id FROM {t} UNION ALL SELECT b FROM {u})",
    "SELECT count(*) FROM (SELECT id FROM {t} UNION ALL SELECT b FROM {u} LIMIT 99) GROUP BY id",
    "SELECT count(*) FROM (SELECT id FROM {t} EXCEPT SELECT b FROM {u})",
    "SELECT count(*) FROM (SELECT id COLLATE NOCASE FROM {t} UNION SELECT n FROM {u})",
    "SELECT count(*) FROM (SELECT n FROM {u} UNION SELECT id FROM {t})",
    "WITH r(v) AS (SELECT id FROM {t} UNION ALL SELECT b FROM {u}) SELECT count(*) FROM r v JOIN r w ON v.v = w.v",
    "WITH RECURSIVE r(v, d) AS (SELECT id, 0 FROM {t} UNION SELECT b, d + 1 FROM r JOIN {u} ON r.v < b WHERE d < 3) "
    "SELECT d, count(*) FROM r GROUP BY d",
)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_result_is_compared_with_the_collation_that_sqlite_gives_it(twins: Twins, key: ModelColumn) -> None:
    twins.create("t", key)
    twins.create("u", ModelColumn("b", "TEXT"), ModelColumn("n", "TEXT", (), "NOCASE"))
    for number in (1, 2):
        twins.write("INSERT INTO {t} VALUES (?)", (number,))
    for text in ("a", "A", "a ", "b", "a\0b", "a\0 "):
        twins.write("INSERT INTO {u} VALUES (?, ?)", (text, text))
    for sql in COUNTS:
        twins.same(sql)
    different = twins.connection.execute(COUNTS[0].replace("{t}", "a_t").replace("{u}", "a_u")).get
    assert different == (8 if key.is_rowid else 6)
    with open_table(twins.path("t")) as table:
        assert f"COLLATE {key.collation}" in table.schema.columns[0].sql()


def test_a_union_that_begins_with_a_rowid_compares_byte_by_byte(twins: Twins) -> None:
    """As documented: with SQLite's own table it takes the collation of the next SELECT."""
    twins.create("t", ModelColumn("id", "INTEGER", ("PRIMARY KEY",)))
    twins.create("u", ModelColumn("n", "TEXT", (), "NOCASE"))
    twins.write("INSERT INTO {t} VALUES (1)")
    twins.write("INSERT INTO {u} VALUES ('a'), ('A')")
    sql = "SELECT count(*) FROM (SELECT id FROM {t} UNION SELECT n FROM {u})"
    assert [twins.connection.execute(text).get for text in twins.sides(sql)] == [2, 3]
    for first in ("id COLLATE NOCASE", "rowid", "id COLLATE BINARY"):
        twins.same(sql.replace("id", first))
