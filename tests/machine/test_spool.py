"""Bytes in memory, and in a file once they are many."""

from __future__ import annotations

import subprocess
import sys

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


def test_few_bytes_need_no_file() -> None:
    code = (
        "import sys; from audiomem_sql.machine.spool import Spool; before = 'tempfile' in sys.modules\n"
        "spool = Spool(8); spool.write(b'12345678'); few = 'tempfile' in sys.modules\n"
        "spool.write(b'9'); print(before, few, 'tempfile' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]
