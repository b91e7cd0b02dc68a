"""Rows that are found by a key come in the order that is asked for, and behind the OFFSET."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

import audiomem_sql as am

ROWS = 6000


@pytest.fixture
def con(door: str, tmp_path: Path) -> apsw.Connection:
    """The table t, in two segments, and native n."""
    rows = [{"id": n, "x": n % 50, "s": f"s{n % 70}"} for n in range(ROWS)]
    am.write_flac(rows[: ROWS // 2], tmp_path / "t.flac", primary_key="id").close()
    am.write_flac(rows[ROWS // 2 :], tmp_path / "t.flac", if_exists="append").close()
    con = am.connect(tmp_path / "t.flac")
    con.execute("CREATE TABLE n(id INTEGER PRIMARY KEY, x INTEGER, s TEXT) STRICT")
    con.execute("INSERT INTO n SELECT id, x, s FROM t")
    return con


@pytest.mark.parametrize(
    "where",
    ["x = 3", "x IN (3)", "x IN (3, 2, 99)", "s = 's7'", "s = 'S7' COLLATE NOCASE", "id = 7", "id IN (9, 4)",
     "x = 3 AND s = 's3'", "x IS 3", "id = 99999", "x = 999"],
)  # fmt: skip
@pytest.mark.parametrize("committed", [True, False])
def test_order_and_offset(con: apsw.Connection, where: str, committed: bool) -> None:
    """From the first time, where a scan finds them, to the tenth, where an index does."""
    if not committed:
        con.execute("BEGIN")
        for name in "tn":
            con.execute(f"INSERT INTO {name} VALUES ({ROWS + 5}, 3, 's7'), (-5, 3, 's7')")
            con.execute(f"DELETE FROM {name} WHERE id = 53")
    for _ in range(5):
        for rest in (
            "ORDER BY id",
            "ORDER BY id DESC",
            "ORDER BY id LIMIT 2 OFFSET 1",
            "ORDER BY id DESC LIMIT 3 OFFSET 2",
            "ORDER BY rowid DESC LIMIT 1",
            "ORDER BY s DESC, id LIMIT 3 OFFSET 2",
            "ORDER BY id LIMIT 5 OFFSET 100000",
        ):
            both = [
                con.execute(f"SELECT id, x, s FROM {name} WHERE {where} {rest}").fetchall() for name in "tn"
            ]
            assert both[0] == both[1], (where, rest)
        for rest in ("LIMIT 2 OFFSET 1", "LIMIT -1 OFFSET 4", "LIMIT 3"):
            both = [
                con.execute(f"SELECT count(*) FROM (SELECT 1 FROM {name} WHERE {where} {rest})").get
                for name in "tn"
            ]
            assert both[0] == both[1], (where, rest)
