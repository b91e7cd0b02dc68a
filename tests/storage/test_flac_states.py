"""Programs that know nothing of tables judge a table's file in every state that a writer leaves it in."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile
from fastcrc import crc16
from fixtures.make_v2_chains import row, thresholds
from judges import check_ffmpeg

from audiomem_sql.audio.flac.false_headers import is_header
from audiomem_sql.errors import DamagedFileError
from audiomem_sql.storage.log import LogRecord
from audiomem_sql.storage.pages import FRONT_BYTES
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "word TEXT", "n INTEGER", "raw BLOB"]
ENCODERS = {
    "flac": ["flac", "-s", "-8", "-f", "-o", "{new}", "{old}"],
    "sox": ["sox", "{old}", "{new}"],
    "ffmpeg": ["ffmpeg", "-v", "error", "-y", "-i", "{old}", "{new}"],
    "ffmpeg copy": ["ffmpeg", "-v", "error", "-y", "-i", "{old}", "-c", "copy", "{new}"],
    "no metadata": ["metaflac", "--remove-all", "--dont-use-padding", "{new}"],
}
OPTIONS = {
    "none": {},
    "archive": {"protection": "archive"},
    "flat": {"modulation": "spectrum"},
}


def output(*command: str) -> str:
    """What a program says; it must not fail."""
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout + done.stderr


def judge(path: Path, *, md5: bool) -> int:
    """All decoders read all samples and have nothing to say; so many samples. md5: whether there is one."""
    output("flac", "-t", "-s", str(path))
    check_ffmpeg(path)
    told = int(output("metaflac", "--show-total-samples", str(path)))
    assert (output("metaflac", "--show-md5sum", str(path)).strip() != "0" * 32) == md5
    if md5:
        output("flac", "-t", "-s", "-w", str(path))
    info = soundfile.info(str(path))
    assert info.frames == told
    assert len(soundfile.read(str(path), dtype="int32")[0]) == told
    raw = subprocess.run(["sox", str(path), "-t", "s16", "-"], capture_output=True, check=True)
    assert raw.stderr == b""
    assert len(raw.stdout) == told * info.channels * 2
    blocks = re.findall(r"type: \d+ \((\w+)\)", output("metaflac", "--list", str(path)))
    assert blocks == ["STREAMINFO", "APPLICATION", "SEEKTABLE", "VORBIS_COMMENT", "PADDING"]
    return told


def ids(path: Path) -> list[int]:
    with TableReader(path) as table:
        return table.to_arrow(["id"]).column(0).to_pylist()


@pytest.fixture(params=[(kind, appended) for kind in OPTIONS for appended in (False, True)], ids=str)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, bool, bool]]:
    """A table with ten rows, closed; whether announcements are appended to it, and whether segments are."""
    kind, appended = request.param
    path = tmp_path / "t.flac"
    with thresholds(appended=appended):
        with Table.create(path, COLUMNS, {"profile": "embedded", **OPTIONS[kind]}) as table:
            table.append([row(n) for n in range(1, 11)])
        pcm = kind != "flat"  # a spectrum is always written anew
        yield path, pcm, pcm and appended


def test_every_state_of_a_chain(made: tuple[Path, bool, bool]) -> None:
    path, announced, appended = made
    frames = [judge(path, md5=True)]
    with Table(path) as table:
        for commit in range(2):
            table.append([row(11 + commit)])
            frames.append(judge(path, md5=not announced))
        assert frames[0] < frames[1] == frames[2]
        table.checkpoint()
        frames.append(judge(path, md5=not appended))
        assert len(table.snapshot.segments) == 2
        table.append([row(13)])
        judge(path, md5=not announced)
        copy = path.with_name("copy.flac")
        table.backup(copy)
        judge(copy, md5=True)
        assert ids(copy) == list(range(1, 14))
    judge(path, md5=not appended)
    assert ids(path) == list(range(1, 14))
    with Table(path) as table:
        assert len(table.snapshot.segments) == 3
        table.merge()
        judge(path, md5=not appended)
        assert len(table.snapshot.segments) == 2
        table.vacuum()
        judge(path, md5=True)
    assert ids(path) == list(range(1, 14))


def test_an_announcement_that_is_taken_back(made: tuple[Path, bool, bool]) -> None:
    path, announced, _ = made
    samples, before = judge(path, md5=True), path.read_bytes()
    for _ in range(2):
        with Table(path) as table:
            session = table._session
            session.enter()
            with session.leaving():
                last = table.snapshot.versions[-1]
                record = LogRecord(last.number + 1, last.time + 1, [(99, tuple(row(99).values()))])
                commit = session.append_to_log(record)
                assert judge(path, md5=not announced) > samples
                commit.take_back()
        assert not path.with_name("t.flac-wal").exists()
        assert judge(path, md5=not announced) == samples
        assert ids(path) == list(range(1, 11))
        assert path.read_bytes()[FRONT_BYTES:] == before[FRONT_BYTES:]
    with Table(path) as table:
        table.append([row(11)])
    assert ids(path) == list(range(1, 12))


def encoded(path: Path, how: str) -> Path:
    """The file as another program writes it."""
    new = path.with_name("new.flac")
    if how == "no metadata":
        shutil.copyfile(path, new)
    subprocess.run(
        [part.format(old=path, new=new) for part in ENCODERS[how]], check=True, capture_output=True
    )
    return new


@pytest.mark.parametrize("how", ENCODERS)
def test_encoded_again(made: tuple[Path, bool, bool], how: str) -> None:
    """Closed it opens with all rows, and can be written to. While a log goes with it, its absence is told."""
    path, _, _ = made
    with Table(path) as table:
        table.append([row(11)])
        table.checkpoint()
        table.append([row(12)])
        opened = encoded(path, how)
        with pytest.raises(
            DamagedFileError, match=r"version 4 and those after it are in .*new\.flac-wal, wh"
        ):
            TableReader(opened)
        log = opened.with_name("new.flac-wal")
        shutil.copyfile(path.with_name("t.flac-wal"), log)
        assert ids(opened) == list(range(1, 13))
        log.unlink()
        opened.unlink()
    closed = encoded(path, how)
    assert ids(closed) == list(range(1, 13))
    with Table(closed) as table:
        table.append([row(13)])
        with pytest.raises(DamagedFileError, match="is not here"):
            TableReader(shutil.copyfile(closed, closed.with_name("copy.flac")))
        closed.with_name("copy.flac").unlink()
    assert ids(closed) == list(range(1, 14))
    output("flac", "-t", "-s", str(closed))


@pytest.mark.damages
def test_the_judge_notices_what_is_wrong(tmp_path: Path) -> None:
    """A frame that is damaged, in the middle or at the end; a false header there is another matter."""
    path = tmp_path / "t.flac"
    with Table.create(path, COLUMNS, {"profile": "embedded"}) as table:
        table.append([{"id": 1, "word": "a", "n": 1, "raw": random.Random(1).randbytes(40_000)}])
        table.checkpoint()
    check_ffmpeg(path)
    whole = path.read_bytes()
    for place in (len(whole) // 2, len(whole) - 4000):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(AssertionError):
            check_ffmpeg(path)
    frame = int.from_bytes(whole[15:18], "big")
    header = next(
        taken
        for code in range(256)
        if is_header(taken := bytes([0xFF, 0xF8, 0x79, 0x18, 0x00, 0x00, 0x10, code]) + bytes(8))
    )
    last = whole[-frame:-4000] + header + whole[16 - 4000 : -2]
    path.write_bytes(whole[:-frame] + last + crc16.umts(last).to_bytes(2, "big"))
    refused = subprocess.run(["ffmpeg", "-v", "error", "-xerror", "-i", path, "-f", "null", "-"], check=False)
    assert refused.returncode
    check_ffmpeg(path)
