"""Reader processes and a writer at the same time: nobody sees half a commit, or an older one than before."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

import audiomem_sql
from audiomem_sql.errors import BusyError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention

SECONDS = float(os.environ.get("AUDIOMEM_CONCURRENCY_SECONDS", "8"))
#: Row 1 counts the commits; the other rows' v add up to 0, and their n to the counter.
COLUMNS = ["id INTEGER PRIMARY KEY", "v INTEGER", "n INTEGER", "text TEXT"]
HEAD = f"""
import sys, time
import apsw
import audiomem_sql
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.errors import BusyError
from audiomem_sql.table.table import Table
from audiomem_sql.writing import log_limits
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
path = sys.argv[1]
"""
WRITER = """
import random
log_limits.CHECKPOINT_COMMITS = 60
rng = random.Random(7)
table = Table(path)
print("ready", flush=True)
end, commits = time.monotonic() + float(sys.argv[2]), table.get(1)["v"]
while time.monotonic() < end:
    event = rng.random()
    if event < 0.02:
        table.checkpoint()
    elif event < 0.03:
        table.merge()
    elif event < 0.045:
        table.vacuum(retain=Retention(count=rng.choice([1, 20])), level=1)
    count = 3000 if event > 0.98 else rng.randrange(1, 6)
    commits += 1
    first = 10_000 * commits
    transaction = table.begin()
    transaction.update(1, 1, (1, commits, 0, None))
    transaction.insert(first, (first, count, 1, "sum"))
    for rowid in range(first + 1, first + 1 + count):
        transaction.insert(rowid, (rowid, -1, 0, "part of " + str(commits) if count < 9 else "x" * 100))
    if commits > 40:
        old = 10_000 * (commits - 40)
        if transaction.contains(old):
            for rowid in range(old, old + 1 + table.get(old)["v"]):
                transaction.delete(rowid)
            transaction.insert(old, (old, 0, 1, "emptied"))
    table.commit()
print("done", commits, flush=True)
table.close()
"""
READER = """
kind = sys.argv[3]
query = "SELECT sum(CASE WHEN id = 1 THEN v END), sum(CASE WHEN id > 1 THEN v END), sum(n), count(*) FROM t"
if kind == "sql":
    connection = audiomem_sql.connect(path)
    def look():
        return connection.execute(query).fetchall()[0][:3]
elif kind == "new":
    def look():
        with Table(path) as table:
            return sums(table)
else:
    table = Table(path)
    def look():
        table.refresh()
        return sums(table)
def sums(table):
    data = table.to_arrow(["id", "v", "n"])
    assert data.num_rows == len(table)
    columns = {name: data.column(name).to_pylist() for name in data.column_names}
    at = columns["id"].index(1)
    assert len(set(columns["id"])) == len(columns["id"])
    return columns["v"][at], sum(columns["v"]) - columns["v"][at], sum(columns["n"])
print("ready", flush=True)
end, seen, looks, changes = time.monotonic() + float(sys.argv[2]), 0, 0, 0
while time.monotonic() < end:
    commits, rest, counted = look()
    assert (rest, counted) == (0, commits), (commits, rest, counted)
    assert commits >= seen, (commits, seen)
    looks, changes, seen = looks + 1, changes + (commits > seen), commits
print("done", looks, changes, flush=True)
"""
HOLDER = """
connection = audiomem_sql.connect(path)
cursor = connection.execute("SELECT id FROM t")
found = [next(cursor)[0]]
snapshot = Table(path)
print("open", flush=True)
sys.stdin.readline()
found += [row[0] for row in cursor]
print(len(found), sum(found), len(snapshot.to_arrow(["id"])), flush=True)
snapshot.refresh()
print(connection.execute("SELECT count(*) FROM t").fetchall()[0][0], len(snapshot), flush=True)
"""


@contextmanager
def process(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Another process, killed at the end if it is still there."""
    running = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", HEAD + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with running:
        try:
            yield running
        finally:
            running.kill()


def line(running: subprocess.Popen[str]) -> str:
    """The next line that a process prints."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


def start(path: Path) -> None:
    with Table.create(path, COLUMNS, {"profile": "embedded"}) as table:
        table.append([{"id": 1, "v": 0, "n": 0, "text": None}])


def test_readers_and_a_writer(tmp_path: Path) -> None:
    """Every reader sees the sums of one commit, and never of an older one than before."""
    path = tmp_path / "t.flac"
    start(path)
    kinds = ["sql", "python", "new", "sql", "python", "new", "sql", "python"][: 8 if SECONDS > 10 else 4]
    with process(WRITER, path, SECONDS) as writer:
        assert line(writer) == "ready"
        readers = [
            process(READER, path, max(SECONDS - 1, 1), kind, tmp_path / f"{n}.db")
            for n, kind in enumerate(kinds)
        ]
        running = [reader.__enter__() for reader in readers]
        try:
            for reader in running:
                assert line(reader) == "ready"
            for reader in running:
                done, looks, changes = line(reader).split()
                assert done == "done"
                assert int(looks) >= int(changes) > 3
            done, commits = line(writer).split()
            assert done == "done"
            assert writer.wait() == 0
        finally:
            for reader in readers:
                reader.__exit__(None, None, None)
    with Table(path) as table:
        assert table.get(1) == {"id": 1, "v": int(commits), "n": 0, "text": None}


HOLD = """
table = Table(path)
table.begin()
print("locked", flush=True)
sys.stdin.readline()
table.rollback()
print("free", flush=True)
sys.stdin.readline()
"""


def test_a_second_writer_waits(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    start(path)
    start(tmp_path / "other.flac")
    with (
        process(HOLD, path) as holder,
        Table(path, busy_timeout=0.2) as table,
        Table(tmp_path / "other.flac") as other,
    ):
        assert line(holder) == "locked"
        other.begin()  # that this process writes to another table says nothing
        before = time.monotonic()
        with pytest.raises(BusyError, match="another process is writing"):
            table.append([{"v": 1}])
        assert time.monotonic() - before >= 0.2
        table.busy_timeout = 60
        assert holder.stdin is not None
        holder.stdin.write("\n")
        holder.stdin.flush()
        table.append([{"v": 1}])
        assert line(holder) == "free"


def test_a_second_writer_in_sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(Table.__init__.__kwdefaults__, "busy_timeout", 0.1)
    path = tmp_path / "t.flac"
    start(path)
    connection = audiomem_sql.connect(path)
    with process(HOLD, path) as holder:
        assert line(holder) == "locked"
        with pytest.raises(apsw.BusyError):
            connection.execute("INSERT INTO t(v) VALUES (1)")
        holder.kill()
        holder.wait()
        connection.execute("INSERT INTO t(v) VALUES (1)")
    assert connection.execute("SELECT count(*) FROM t").fetchall() == [(2,)]
    connection.close()


def test_the_lock_of_a_killed_writer_is_free_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    start(path)
    with process(HOLD, path) as holder, Table(path, busy_timeout=0) as table:
        assert line(holder) == "locked"
        with pytest.raises(BusyError):
            table.append([{"v": 1}])
        holder.kill()
        holder.wait()
        table.append([{"v": 1}])


def test_a_snapshot_outlives_a_vacuum(tmp_path: Path) -> None:
    """An open cursor and an open table of another process go on with what they have."""
    path = tmp_path / "t.flac"
    with Table.create(path, COLUMNS, {"profile": "embedded"}) as table:
        for first in (1, 5001):
            table.append([{"id": rowid, "v": 0, "n": 0, "text": "x"} for rowid in range(first, first + 5000)])
        table.append([{"id": 20_000, "v": 0, "n": 0, "text": "in the log"}])
        with process(HOLDER, path) as holder:
            assert line(holder) == "open"
            table.append([], replace="id <= ?", parameters=[9000])
            table.vacuum(retain=Retention(count=1), level=1)
            table.append([{"id": 30_000, "v": 0, "n": 0, "text": "after"}])
            assert not (tmp_path / "t.flac.d").exists()
            assert holder.stdin is not None
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert line(holder) == f"10001 {10_000 * 10_001 // 2 + 20_000} 10001"
            assert line(holder) == "1002 1002"


def test_the_lock_follows_the_base(tmp_path: Path) -> None:
    """What replaces the base in the middle of a transaction is locked before it is there, until the end."""
    path = tmp_path / "t.flac"
    with Table.create(path, COLUMNS) as table, Table(path, busy_timeout=0) as other:
        tried = []

        def progress(done: int, total: int) -> None:
            with pytest.raises(BusyError):
                other.append([{"v": 0}])
            tried.append(done)

        table.append([{"v": number, "n": 0, "text": "x"} for number in range(5000)], progress=progress)
        table.append([{"v": 1}])
        table.vacuum(level=1, progress=progress)
        assert tried
        table.begin()
        inode = path.stat().st_ino
        table._session.checkpoint()
        with pytest.raises(BusyError):
            other.append([{"v": 0}])
        table.rollback()
        other.append([{"v": 0}])
        assert path.stat().st_ino == inode
        assert len(other) == 5002


def test_a_base_without_rows_is_replaced_under_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, COLUMNS) as table, Table(path, busy_timeout=0) as other:
        table.append([{"v": 1}])
        inode = path.stat().st_ino
        table.begin()
        table._session.checkpoint()
        assert path.stat().st_ino != inode
        with pytest.raises(BusyError):
            other.append([{"v": 2}])
        table.rollback()
        other.append([{"v": 2}])
        assert len(other) == 2


def test_a_fork_does_not_have_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    start(path)
    code = """
import os
table = Table(path, busy_timeout=0)
table.append([{"v": 1}])
table.begin()
child = os.fork()
if child == 0:
    try:
        table.append([{"v": 2}])
    except BusyError:
        os._exit(7)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
try:
    Table(path, busy_timeout=0).append([{"v": 3}])
except BusyError:
    print("still locked", flush=True)
table.rollback()
table.append([{"v": 4}])
table.close()
"""
    with process(code, path) as parent:
        assert line(parent) == "still locked"
        assert parent.wait() == 0


def test_who_waits_for_its_own_process_is_told(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    start(path)
    words = r"t\.flac: another connection or table object of this process is writing, for 0\.05 s by now\. End its"
    with Table(path) as first, Table(path, busy_timeout=0.05) as second:
        first.begin()
        with pytest.raises(BusyError, match=words):
            second.append([{"v": 1}])
        first.rollback()
        second.append([{"v": 1}])
        first.append([{"v": 2}])
