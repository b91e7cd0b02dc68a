"""DROP TABLE: the file stays, and the log of SQLite says so. Both are told once, and only then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import audiomem_sql as am

SCRIPT = """
import sys, apsw
apsw.config(apsw.SQLITE_CONFIG_LOG, lambda code, text: print(code == apsw.SQLITE_NOTICE, text))
import audiomem_sql
con = apsw.Connection("t.db")
audiomem_sql.register(con)
con.execute("CREATE VIRTUAL TABLE notes USING audiomem('notes.flac', id INTEGER PRIMARY KEY)")
con.execute("INSERT INTO notes VALUES (1)")
con.close()
print("closed")
con = apsw.Connection("t.db")
audiomem_sql.register(con)
con.execute("DROP TABLE notes")
con.close()
"""


def test_the_log_says_that_the_file_stays(tmp_path: Path, door: str) -> None:
    """The environment names the door, so the process has the same."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    closed, said = done.stdout.splitlines()
    assert closed == "closed"
    assert said == (
        f"True audiomem: DROP TABLE notes leaves the file {tmp_path / 'notes.flac'} as it is; "
        "`audiomem drop FILE` deletes it"
    )
    assert am.read_flac(tmp_path / "notes.flac")["id"].tolist() == [1]


def test_the_shell_passes_it_on(tmp_path: Path, door: str) -> None:
    am.write_flac([{"id": 1}], tmp_path / "notes.flac").close()
    command = [sys.executable, "-m", "audiomem_sql", "sql", "notes.flac", "DROP TABLE notes"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert f"leaves the file {tmp_path / 'notes.flac'} as it is" in done.stderr
    assert (tmp_path / "notes.flac").exists()
