"""Globs and lists through the loadable extension: what ``FROM '…'`` takes, and files that come and go."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import soundfile

import audiomem_sql as am

#: SQLite has no part in this.
DOORS = ("extension",)


def test_a_glob_as_a_table(loaded: Any) -> None:
    for number in (2, 10, 1):
        am.write_flac([{"n": number}], f"t{number}.flac").close()
    soundfile.write("song.flac", np.zeros((4800, 2)), 48000)
    os.mkdir("folder.flac")
    assert loaded.execute("FROM '*.flac'").fetchall() == [(1,), (10,), (2,)]
    assert loaded.execute("SELECT count(*) FROM 't?.flac'").fetchone() == (2,)
    with pytest.raises(duckdb.Error, match="song"):
        loaded.execute("FROM 'song*.flac'")  # music alone is left to DuckDB
    am.write_flac([{"n": 7}], "t[1].flac").close()
    assert loaded.execute("FROM 't[1].flac'").fetchall() == [(7,)]


def test_a_prepared_statement_reads_the_files_that_it_found(loaded: Any) -> None:
    am.write_flac([{"n": 1}], "a.flac").close()
    loaded.execute("PREPARE p AS SELECT list(n ORDER BY n) FROM '*.flac'")
    with am.open("a.flac") as table:
        table.append([{"n": 5}])
    assert loaded.execute("EXECUTE p").fetchone() == ([1, 5],)


def test_filters_and_names_of_many_files(loaded: Any) -> None:
    for number in range(3):
        am.write_flac([{"n": i, "s": f"{number}"} for i in range(5000)], f"t{number}.flac").close()
    query = "SELECT filename, count(*), min(s) FROM audiomem_scan('*.flac', filename := true, filter := 'n < 10') GROUP BY 1 ORDER BY 1"
    assert loaded.execute(query).fetchall() == [(f"t{number}.flac", 10, str(number)) for number in range(3)]
    assert loaded.execute("SELECT count(DISTINCT s), sum(n) FROM '*.flac' WHERE n > 4990").fetchone() == (
        3,
        3 * sum(range(4991, 5000)),
    )


def test_a_file_that_is_gone(loaded: Any) -> None:
    for name in ("a.flac", "b.flac"):
        am.write_flac([{"n": 1}], name).close()
    assert loaded.execute("SELECT count(*) FROM '*.flac'").fetchone() == (2,)
    Path("b.flac").unlink()
    assert loaded.execute("SELECT count(*) FROM '*.flac'").fetchone() == (1,)
