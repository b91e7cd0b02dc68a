"""Files that lie under right checksums: what opening them takes is in proportion to what there is of them."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import msgpack
import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql
from audiomem_sql.blocks.compression import Decompressor
from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.scan.scanner import MOST_BYTES, _Work
from audiomem_sql.storage.pages import PagedFile
from audiomem_sql.storage.pages.newest import MOST_LEFT_BEHIND
from audiomem_sql.storage.segment.seal import MAX_EARLIER, Seal
from audiomem_sql.table.rows import Rows
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import _shared_rowid, problems
from audiomem_sql.versions import SegmentView, base_file
from fuzz.hostile import RELABELS, Base, announced, log_files, page_files, room_for, seal_files, through
from fuzz.huge import huge_files

pytestmark = pytest.mark.damages


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return Base.make(tmp_path_factory.mktemp("hostile"), "none")


@pytest.mark.parametrize("name", RELABELS)
def test_page_headers(base: Base, tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.flac"
    dict(page_files(base))[name](path)
    _, work = through("open", path)
    most_bytes, most_pages = room_for(path)
    assert work.bytes <= most_bytes
    assert work.pages <= most_pages


@pytest.mark.parametrize(
    ("count", "end"), [(MOST_LEFT_BEHIND + 1, "DamagedFileError"), (3000, "DamagedFileError")]
)
def test_announcements(base: Base, tmp_path: Path, count: int, end: str) -> None:
    base.write(tmp_path / "t.flac", announced(base, count))
    found, work = through("open", tmp_path / "t.flac")
    assert found == "DamagedFileError"
    assert work.pages <= 6 * (MOST_LEFT_BEHIND + 10)


def test_salvage_reads_the_pages_in_front_a_few_times(base: Base, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    dict(page_files(base))["whole single pages"](path)
    _, work = through("salvage", path)
    assert work.pages < 30 * 310


def test_seals_and_logs(base: Base, tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    cases = dict(seal_files(base)) | dict(log_files(base))
    for name in ("one place", "beyond", "many pages", "log: a huge quantum", "log: copies, a huge quantum"):
        Path(f"{path}-wal").unlink(missing_ok=True)
        cases[name](path)
        found, work = through("open", path)
        assert found == "DamagedFileError", name
        assert work.bytes <= room_for(path)[0]


def test_a_seal_of_too_many_segments() -> None:
    content = Seal(1).pack() | {"earlier": [None] * (MAX_EARLIER + 1)}
    with pytest.raises(DamagedFileError, match="more segments"):
        Seal.unpack(content)


def test_lists_that_claim_more_than_there_is() -> None:
    claims = (b"\xdd" + (1 << 20).to_bytes(4, "big")) * 1000
    tracemalloc.start()
    with pytest.raises((ValueError, msgpack.UnpackException)):
        check_whole(claims)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    check_whole(msgpack.packb(list(range(5000))))


# -- small files that say that they have very much -----------------------------------------------------------


NOT_SEALED = "the data is not that which the segment was sealed with"


@pytest.fixture(scope="module")
def huge() -> dict[str, Callable[[Path], None]]:
    return dict(huge_files("none"))


@pytest.mark.damages
def test_rows_without_end(huge: dict[str, Callable[[Path], None]], tmp_path: Path) -> None:
    """2⁴⁸ rows, of which nothing is stored: they are counted, found, and given a batch at a time."""
    path = tmp_path / "t.flac"
    huge["281474976710656 rows"](path)
    rows = 1 << 48
    with Table(path) as table:
        assert len(table) == rows
        tracemalloc.start()
        assert sum(batch.num_rows for batch in islice(table.scan(), 20)) < 1 << 21
        assert next(table.scan(where="id > 5", limit=1)).column(0).to_pylist() == [6]
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
        tracemalloc.stop()
        assert table.get(rows) == {"id": rows}
        for whole in (table.to_arrow, table.to_pandas, table.vacuum):
            with pytest.raises(LimitError, match=r"t\.flac: [\d,]+ bytes must be held at once"):
                whole()
        assert [problem.what for problem in problems(table)] == [NOT_SEALED]
    connection = audiomem_sql.connect(path)
    for query, answer in (
        ("SELECT id FROM t LIMIT 2", [(1,), (2,)]),
        ("SELECT id FROM t ORDER BY id DESC LIMIT 2", [(rows,), (rows - 1,)]),
        ("SELECT max(id) FROM t", [(rows,)]),
        ("SELECT count(*) FROM t WHERE id BETWEEN 100000 AND 300000", [(200001,)]),
    ):
        assert connection.execute(query).fetchall() == answer
    connection.execute("DELETE FROM t WHERE id = 2")
    assert connection.execute("SELECT id FROM t LIMIT 2").fetchall() == [(1,), (3,)]
    connection.close()
    with Table(path) as table:
        table.append([{"id": rows + 1}])
        assert len(table) == rows
        assert [problem.what for problem in problems(table)] == [NOT_SEALED]


@pytest.mark.damages
def test_rows_without_end_that_are_there_twice(
    huge: dict[str, Callable[[Path], None]], tmp_path: Path
) -> None:
    path = tmp_path / "t.flac"
    huge["281474976710656 rows"](path)
    earlier = SegmentView(Table(path).snapshot.segments[0], np.empty(0, np.int64))
    huge["8589934592 rows"](path)
    later = SegmentView(Table(path).snapshot.segments[0], np.arange(100))
    assert _shared_rowid(earlier, later) == 101
    with Table.create(tmp_path / "few.flac", ["id INTEGER PRIMARY KEY"]) as few:
        few.append([{"id": number} for number in (-5, 7, 1 << 50)])
        few.checkpoint()
        stored = SegmentView(few.snapshot.segments[-1], np.empty(0, np.int64))
        assert _shared_rowid(stored, earlier) == _shared_rowid(earlier, stored) == 7
        assert _shared_rowid(stored, later) is None  # it is deleted there


def test_a_column_of_which_every_row_has_the_default(
    huge: dict[str, Callable[[Path], None]], tmp_path: Path
) -> None:
    path = tmp_path / "t.flac"
    huge["281474976710656 rows with a default"](path)
    with Table(path) as table, pytest.raises(LimitError, match=r"t\.flac: "):
        next(table.scan())


@pytest.mark.damages
@pytest.mark.parametrize("name", ["rows of nothing", "wide rows"])
def test_memory(huge: dict[str, Callable[[Path], None]], tmp_path: Path, name: str) -> None:
    """What a scan holds is in proportion to a batch, not to what a file says."""
    path = tmp_path / "t.flac"
    huge[name](path)
    pa.default_memory_pool().release_unused()
    before = pa.total_allocated_bytes()
    most = 0
    with Table(path, cache=BlockCache(0)) as table:
        for batch in islice(table.scan(), 5):
            most = max(most, pa.total_allocated_bytes() - before)
            assert batch.nbytes <= MOST_BYTES
    assert most < 3 * MOST_BYTES


def test_syncs_cost_in_proportion(base: Base, tmp_path: Path) -> None:
    """Frame headers without frames: the bytes that are read are a few times the file, whatever its size."""
    path = tmp_path / "t.flac"
    audio = base.path.read_bytes()
    head = audio[: audio.index(b"\xff\xf8")]
    for count in (10_000, 80_000):
        path.write_bytes(head + b"\xff\xf8\xca\x1c\x00+" * count)
        found, work = through("open", path)
        assert found == "DamagedFileError"
        assert work.bytes <= 4 * path.stat().st_size + (1 << 20)


def test_a_memory_error_is_an_error_of_ours(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever bytes are decoded: there is no way to run out of memory in a test but to say so."""

    def fails(*_: object, **__: object) -> None:
        raise MemoryError

    for owner, name, use in (
        (Decompressor, "decompress", lambda table: list(table.scan())),
        (PagedFile, "read", lambda table: list(table.scan())),
        (_Work, "_run", lambda table: list(table.scan())),
        (pa, "Table", lambda table: table.to_arrow()),
    ):
        table = Table(base.path, cache=BlockCache(0))
        if owner is pa:
            monkeypatch.setattr(Rows, "scan", fails)
        else:
            monkeypatch.setattr(owner, name, fails)
        with pytest.raises(LimitError, match=r"none\.flac: there is not enough memory"):
            use(table)
        monkeypatch.undo()
        table.close()
    monkeypatch.setattr(base_file, "open_table_file", fails)
    with pytest.raises(LimitError, match=r"none\.flac: there is not enough memory"):
        Table(base.path)


def test_a_file_that_cannot_be_read_is_looked_at_once(base: Base, tmp_path: Path) -> None:
    """Where there is neither a log nor a delta, nothing can have changed in between."""
    path = tmp_path / "t.flac"
    dict(seal_files(base))["beyond"](path)
    _, once = through("open", path)
    Path(f"{path}-wal").write_bytes(b"")
    _, again = through("open", path)
    assert again.bytes >= 3 * (once.bytes - 1000)
