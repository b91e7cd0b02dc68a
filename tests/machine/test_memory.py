"""Profile embedded stays below 64 MiB of memory, and what takes much is not loaded before it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.memory import STAGES, measured

LIMIT = 64


def test_embedded_fits() -> None:
    """20,000 rows in twenty commits, a checkpoint, queries and a vacuum, over what a bare Python takes."""
    found = measured("embedded")
    assert list(found) == list(STAGES)
    assert max(peak for peak, _ in found.values()) < LIMIT, found


def test_rows_need_few_modules(tmp_path: Path) -> None:
    """Rows of every type come in and go out without pandas, pyarrow's kernels, OpenSSL and libsndfile."""
    code = f"""
import sys
import apsw, audiomem_sql
con = apsw.Connection(":memory:")
audiomem_sql.register(con)
con.execute('''CREATE VIRTUAL TABLE t USING audiomem('{tmp_path}/t.flac',
  id INTEGER PRIMARY KEY, a TEXT, b REAL, c BLOB, d BOOLEAN, e TIMESTAMP, f FLOAT[2], g JSON,
  profile=embedded)''')
row = ("na\\u00efve", 0.5, b"\\xff", True, "2024-03-01 10:00:00", b"\\0" * 8, "[1]")
con.execute("BEGIN")
for n in range(3000):
    values = n, f"{{n}} {{row[0]}}", n / 7, b"%d" % n, *row[3:6], f'[{{n}}]'
    con.execute("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
con.execute("INSERT INTO t VALUES (5000, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
con.execute("COMMIT")
con.execute("DELETE FROM t WHERE id = 7")
con.execute("INSERT INTO t(t) VALUES ('checkpoint')")
assert con.execute("SELECT a FROM t WHERE id = 8").fetchall() == [("8 na\\u00efve",)]
assert len(con.execute("SELECT * FROM t WHERE b < 100").fetchall()) == 699
con.execute("INSERT INTO t(t) VALUES ('vacuum')")
assert con.execute("SELECT count(*), count(a) FROM t").fetchall() == [(3000, 2999)]
print("imported", *sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules = set(done.stdout.rpartition("imported")[2].split())
    assert not modules & {"pandas", "psutil", "pyarrow.compute", "_hashlib", "soundfile", "scipy"}
