"""Texts of CSV for columns of logical types that are declared, or of the table that is appended to."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

import pytest

from audiomem_sql.errors import DataTypeError
from audiomem_sql.importing import importing

from .conftest import Import, rows, types, write

TYPES = {
    "d": "DATE",
    "c": "DECIMAL(10,2)",
    "w": "DECIMAL(50,1)",
    "t": "TIME",
    "z": "TIMESTAMPTZ",
    "u": "UBIGINT",
    "h": "HUGEINT",
    "e": "ENUM('a', '')",
    "s": 'STRUCT("x" BIGINT)',
}
CSV = (
    "i,d,c,w,t,z,u,h,e,s\n"
    "1,2024-01-01,1.5,-7,10:00:00,2024-01-01 10:00:00+02:00,18446744073709551615,"
    '-170141183460469231731687303715884105728,a,"{""x"": 1}"\n'
    "2,,,,,,,,,\n"
    '3,"","","","","","","","",""\n'
)
FIRST = {
    "i": 1,
    "d": date(2024, 1, 1),
    "c": Decimal("1.50"),
    "w": Decimal("-7.0"),
    "t": time(10),
    "z": datetime(2024, 1, 1, 8, tzinfo=UTC),
    "u": 2**64 - 1,
    "h": Decimal(-(2**127)),
    "e": "a",
    "s": {"x": 1},
}
NONE = dict.fromkeys(TYPES)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_texts_become_values_of_the_types_that_are_said(imported: Import, suffix: str) -> None:
    content = CSV if suffix == "csv" else CSV.replace(",", "\t")
    imported(write(f"a.{suffix}", content), key="i", types=TYPES)
    assert rows() == [FIRST, {"i": 2, **NONE}, {"i": 3, **NONE, "e": ""}]
    assert {name: types()[name] for name in TYPES} == TYPES


@pytest.mark.parametrize("few", [True, False])
def test_texts_are_appended(imported: Import, monkeypatch: pytest.MonkeyPatch, few: bool) -> None:
    monkeypatch.setattr(importing, "_SMALL_BYTES", 1 << 20 if few else 0)
    imported(write("a.csv", CSV), types=TYPES)
    imported(write("b.csv", "i,D,c\n4,2024-02-29,-0.01\n5,,\n"), append=True)
    assert [(row["i"], row["d"], row["c"]) for row in rows()[3:]] == [
        (4, date(2024, 2, 29), Decimal("-0.01")),
        (5, None, None),
    ]


def test_a_text_that_is_none_is_a_bad_line(imported: Import) -> None:
    imported(write("a.csv", CSV), types=TYPES)
    before = rows()
    write("b.csv", "i,d,c\n4,2024-01-01,1\n5,nope,1\n6,2024-01-01,1.5x\n7,2024-01-03,2\n")
    with pytest.raises(DataTypeError, match=r"b\.csv: row 2: 'nope' is no DATE for the column d"):
        imported("b.csv", append=True)
    assert rows() == before
    done = imported("b.csv", append=True, on_bad_line="keep")
    assert (done.rows, done.bad_lines, done.first_bad_line) == (
        2,
        2,
        "b.csv: row 2: 'nope' is no DATE for the column d",
    )
    assert Path("kb.bad.csv").read_text() == "i,d,c\n5,nope,1\n6,2024-01-01,1.5x\n"
    assert [row["d"] for row in rows()[3:]] == [date(2024, 1, 1), date(2024, 1, 3)]
    with pytest.raises(DataTypeError, match=r"b\.csv: row 3: '1.5x' is no DECIMAL\(4,1\) for the column c"):
        imported("b.csv", target="c.flac", types={"c": "DECIMAL(4,1)"})
    assert not Path("c.flac").exists()
