"""The tier in RocksDB: for one process, bounded, and never a wrong block."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.remote.tiers.rocksdb_tier import RocksdbTier
from remote.tiers.places import made, some_blocks


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    tier = made(f"rocksdb:{tmp_path}/cache:20MB")
    blocks = some_blocks(9)
    assert tier.put_many(blocks) == 180_000
    assert tier.get_many([*blocks, bytes(20)]) == blocks
    tier.close()
    tier.close()
    assert tier.info().state == "closed"
    assert tier.get_many(list(blocks)) == {}
    assert tier.put_many(blocks) == 0
    again = made(f"rocksdb:{tmp_path}/cache:20MB")
    assert again.get_many(list(blocks)) == blocks
    again.close()


def test_it_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    tier = made(f"rocksdb:{tmp_path}/cache:4MB")
    blocks = some_blocks(400)
    for key, block in blocks.items():
        tier.put_many({key: block})
    held = tier.info().held
    assert held is not None
    assert held <= 4_000_000
    found = tier.get_many(list(blocks))
    assert 50 < len(found) < 210
    assert set(list(blocks)[-50:]) <= set(found)
    assert tier.counters.now().errors == 0
    tier.close()


def test_a_value_that_is_not_ours_is_removed(tmp_path: Path) -> None:
    tier = made(f"rocksdb:{tmp_path}/cache:4MB")
    assert isinstance(tier, RocksdbTier)
    (key, _), (other, block) = some_blocks(2).items()
    tier.put_many({other: block})
    tier._database[key] = tier._database.get(other)
    assert tier.get_many([key, other]) == {other: block}
    assert tier._database.get(key) is None
    assert tier.counters.now().errors == 1
    tier.close()


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    tier = made(f"rocksdb:{tmp_path}/cache:4MB")
    other = RocksdbTier("rocksdb", f"{tmp_path}/cache", 4_000_000)
    with pytest.raises(StorageError, match=r"in use already, and RocksDB is for one process.*Use disk:"):
        other.open()
    code = (
        "import sys; from audiomem_sql.remote.tiers.rocksdb_tier import RocksdbTier as T; "
        "T('rocksdb', sys.argv[1], 4_000_000).open()"
    )
    command = [sys.executable, "-c", code, f"{tmp_path}/cache"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "is in use already, and RocksDB is for one process" in done.stderr
    tier.close()
    assert subprocess.run(command, check=False).returncode == 0


def test_a_child_of_a_fork_goes_without(tmp_path: Path) -> None:
    """It also ends as usual: to close the database it would need the threads of its parent."""
    code = (
        "import os, sys\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from remote.tiers.places import made, some_blocks\n"
        "tier = made(f'rocksdb:{sys.argv[1]}/cache:4MB')\n"
        "blocks = some_blocks(2)\n"
        "tier.put_many(blocks)\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    assert tier.get_many(list(blocks)) == {}\n"
        "    assert tier.put_many(blocks) == 0\n"
        "    assert tier.info().state == 'left out: of the parent process'\n"
        "    tier.close()\n"
        "    sys.exit()\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "assert tier.get_many(list(blocks)) == blocks\n"
        "tier.close()\n"
    )
    command = [sys.executable, "-c", code, tmp_path, Path(__file__).parents[2]]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be used as a cache"):
        RocksdbTier("rocksdb", f"{tmp_path}/file", 4_000_000).open()
    folder = tmp_path / "cache"
    made(f"rocksdb:{folder}:4MB").close()
    for path in folder.glob("MANIFEST*"):
        os.truncate(path, 9)
    with pytest.raises(StorageError, match=r"cannot be used as a cache.*it holds copies only") as raised:
        RocksdbTier("rocksdb", str(folder), 4_000_000).open()
    assert raised.value.file == str(folder)
