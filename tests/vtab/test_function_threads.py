"""Functions of the extension in a thread that has called nothing of it before."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sqlite3, threading, apsw
import audiomem_sql

def ask(connection, sql):
    found = []
    thread = threading.Thread(target=lambda: found.append(connection.execute(sql).fetchall()))
    thread.start()
    thread.join()
    return found

STATEMENTS = {
    "SELECT decimal_add('1.50', '2')": [("3.50",)],
    "SELECT decimal_sum(x) FROM (SELECT '1.5' AS x UNION ALL SELECT '2')": [("3.5",)],
    "SELECT decimal_sum(x) OVER (ORDER BY x ROWS 1 PRECEDING) FROM (SELECT '1' AS x UNION ALL SELECT '2' "
    "UNION ALL SELECT '3')": [("1",), ("3",), ("5",)],
}
one = apsw.Connection(":memory:")
audiomem_sql.load(one)
other = sqlite3.connect(":memory:", check_same_thread=False)
connections = [one]
if hasattr(other, "enable_load_extension"):
    audiomem_sql.load(other)
    connections.append(other)
for connection in connections:
    for sql, expected in STATEMENTS.items():
        assert ask(connection, sql) == [expected], (connection, sql)
print("all", len(connections))
"""


def test_a_thread_whose_first_call_is_a_function() -> None:
    ran = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("all")
