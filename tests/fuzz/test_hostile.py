"""Files that lie under right checksums: what opening them takes is in proportion to what there is of them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import msgpack
import pytest

from audiomem_sql.blocks.whole_values import check_whole
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.pages.newest import MOST_LEFT_BEHIND
from audiomem_sql.storage.segment.seal import MAX_EARLIER, Seal
from fuzz.hostile import RELABELS, Base, announced, log_files, page_files, room_for, seal_files, through

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
