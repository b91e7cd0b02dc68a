"""Bytes in memory, and in a file once they are many."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiomem_sql.machine.spool import Spool


@pytest.mark.parametrize("most", [0, 3, 10, 1000])
def test_it_reads_what_was_written(most: int) -> None:
    spool = Spool(most)
    assert spool.write(b"abcde") == 5
    assert spool.write(b"fghij") == 5
    assert spool.seek(2) == 2
    assert spool.write(b"CD") == 2
    assert spool.read(3) == b"efg"
    spool.seek(0)
    assert spool.read() == b"abCDefghij"
    assert spool.read(5) == b""
    spool.seek(12)
    spool.write(b"z")
    spool.seek(9)
    assert spool.read() == b"j\0\0z"
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.read()


CODE = """
import os, sys
from audiomem_sql.machine.spool import Spool
spool = Spool(8)
spool.write(b"12345678")
few = len(os.listdir("/proc/self/fd"))
spool.write(b"9")
print(len(os.listdir("/proc/self/fd")) - few, "tempfile" in sys.modules, os.listdir(sys.argv[1]))
spool.seek(0)
assert spool.read() == b"123456789"
"""


def said(folder: Path, name: str) -> str:
    environment = os.environ | {"TMPDIR": str(folder / name)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, folder], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout


def test_many_bytes_are_in_a_file_without_a_name(tmp_path: Path) -> None:
    assert said(tmp_path, "") in ("1 False []\n", "1 True []\n")  # not every file system has such files


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert said(tmp_path, "nowhere") == "1 True []\n"
