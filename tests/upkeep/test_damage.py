"""Damage anywhere: the right rows or one of our errors, naming file and page, in bounded memory.

Verify finds all of it.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from fuzz.fuzz_reader import Corpus, one
from samples import arrow, content, create, rows

from audiomem_sql.audio import PROFILES
from audiomem_sql.audio.flac.frames import frame_offset, header_size
from audiomem_sql.audio.flac.metadata import read_metadata
from audiomem_sql.bytes.local_file import LocalFile
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep import compaction
from audiomem_sql.upkeep.verify import problems

pytestmark = pytest.mark.damages
BLOCKS = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(tmp_path_factory.mktemp("corpus"))


@pytest.mark.parametrize("part", range(BLOCKS))
def test_spoiled_files(corpus: Corpus, tmp_path: Path, part: int) -> None:
    """The fuzzer's law for its first few hundred files.

    Every other one is damaged blindly, the rest under right checksums.
    """
    ends: Counter[str] = Counter()
    for seed in range(part * 40, part * 40 + 40):
        ends += one(corpus, seed, tmp_path / "work")
    assert ends["open: read"] > 10
    assert any("DamagedFileError" in end for end in ends)


def offsets(path: Path) -> list[int]:
    """Where the samples of each page are in a file of the embedded profile, and the end of the last."""
    file, profile = LocalFile(path), PROFILES["embedded"]
    start = read_metadata(file, 0).audio_start
    with Table(path) as table:
        count = table.snapshot.segments[-1].file.place.stop
    file.close()
    return [frame_offset(profile, start, n) + header_size(profile, n) + 1 for n in range(count)]


def test_each_cell_lost_alone(tmp_path: Path) -> None:
    """Every cell in turn: verify names it, and a read names it or does not need it."""
    path = tmp_path / "t.flac"
    with create(path, 300) as table:
        expected = {row["id"]: repr(row) for row in content(table)}
        data_cells = table.snapshot.segments[0].file.data_cells()
    assert data_cells is not None
    original, places = path.read_bytes(), offsets(path)
    for page, place in enumerate(places):
        for cell in range(8):
            data = bytearray(original)
            data[place + 32 + 1020 * cell + random.Random(page * 8 + cell).randrange(1020)] ^= 0x10
            path.write_bytes(data)
            with Table(path) as table:
                (problem,) = problems(table)
                assert (problem.page, problem.cells) == (page, (cell,))
                assert str(problem).startswith(f"{path}: page {page}: cell {cell}: CRC-32C mismatch")
                error = read_error(table, expected)
                if error is None:
                    assert page * 8 + cell not in data_cells or cell
                else:
                    assert (error.file, error.place) == (str(path), f"page {page}, cell {cell}")


def read_error(table: Table, expected: dict[int, str]) -> DamagedFileError | None:
    """Read all rows, comparing them with those expected, up to the first error."""
    try:
        for batch in table.scan():
            for row in content(pa.Table.from_batches([batch])):
                assert expected[row["id"]] == repr(row)
    except DamagedFileError as error:
        return error
    return None


def test_the_rest_stays_readable(tmp_path: Path) -> None:
    """One lost block of one column: all other columns, and all other rows, can be read."""
    path = tmp_path / "t.flac"
    with create(path, 3000) as table:
        segment = table.snapshot.segments[0]
        directory = segment.directory(3)
        assert directory is not None
        assert directory.count > 3
        lost, inside = divmod(segment.data_cell + int(directory.offsets[2]) // 1016, 8)
        before, after = int(directory.starts[1]), int(directory.starts[4])
    place = offsets(path)[lost]
    data = bytearray(path.read_bytes())
    data[place + 32 + 1020 * inside + 500] ^= 1
    path.write_bytes(data)
    whole = rows(3000)
    with Table(path) as table:
        ids = table.to_arrow(columns=["id", "n", "vec"]).column("id").to_pylist()
        assert ids == list(range(1, 3001))
        for where, part in ((f"id <= {before}", whole[:before]), (f"id > {after}", whole[after:])):
            titles = table.to_arrow(columns=["title"], where=where).column("title").to_pylist()
            assert titles == [row["title"] for row in part]
        with pytest.raises(DamagedFileError, match=re.escape(f"{path}: page {lost}, cell {inside}: CRC-32C")):
            table.to_arrow(columns=["title"])


def test_verify_lists_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are counted in the file, whichever segment they are of."""
    monkeypatch.setattr(compaction, "SMALL_TABLE_BYTES", 0)
    path = tmp_path / "t.flac"
    with create(path, 400) as table:
        table.checkpoint()
        table.append(arrow(rows(900, 0, 1001)))
        table.checkpoint()
        first, second = (segment.file.place for segment in table.snapshot.segments)
    assert second.first == first.stop > 3
    there = offsets(path)
    data = bytearray(path.read_bytes())
    rng = random.Random(5)
    wanted = sorted({(rng.randrange(1, first.stop), rng.randrange(8)) for _ in range(9)})
    for page, cell in wanted:
        data[there[page] + 32 + 1020 * cell] ^= 0xFF
    data[there[second.first + 1]] ^= 1  # the page header
    data[there[second.first + 2] - 3] ^= 1  # the frame header
    path.write_bytes(data[: there[-2] + 100])
    with Table(path) as table:
        found = list(problems(table))
    cells = [(problem.page, cell) for problem in found for cell in problem.cells]
    assert cells == wanted
    assert [str(problem) for problem in found if not problem.cells] == [
        f"{path}: page {second.first + 1}: 1 copies of the page header are damaged",
        f"{path}: page {second.first + 2}: the FLAC frame around it is damaged",
        f"{path}: page {len(there) - 2} to {len(there) - 1}: missing, the file ends before them",
    ]


def test_the_fuzzer_itself() -> None:
    """As ``make fuzz`` runs it, for a moment: it limits its own memory, and fails if the law is broken."""
    script = Path(__file__).parents[1] / "fuzz" / "fuzz_reader.py"
    done = subprocess.run(
        [sys.executable, "-W", "error", script, "77"],
        env={**os.environ, "AUDIOMEM_FUZZ_SECONDS": "3"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert " 0 broke the law" in done.stdout


@pytest.mark.parametrize("protection", ["none", "standard"])
def test_a_file_that_is_cut_anywhere_is_right_or_names_a_remedy(tmp_path: Path, protection: str) -> None:
    path, rest = tmp_path / "t.flac", tmp_path / "cut.flac"
    values = [{"id": number, "v": f"value {number}"} for number in range(50)]
    options = {"profile": "embedded", "protection": protection}
    with Table.create(path, ["id INTEGER PRIMARY KEY", "v TEXT"], options) as table:
        table.append(values)
    data = path.read_bytes()
    file = LocalFile(path)
    start = read_metadata(file, 0).audio_start
    file.close()
    refused = 0
    for length in (*range(0, len(data), 997), *range(start, start + 300, 20)):
        rest.write_bytes(data[:length])
        try:
            with Table(rest) as cut:
                assert cut.to_arrow().to_pylist() == values
        except AudioMemError as error:
            refused += 1
            assert (error.file, bool(error.what), bool(error.remedy)) == (str(rest), True, True)  # noqa: PT017
    assert refused > 3
