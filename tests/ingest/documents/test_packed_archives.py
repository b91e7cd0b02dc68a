"""Archives of 7-Zip and RAR: members by their own readers, what is encrypted, and what is made to do harm."""

from __future__ import annotations

import io
import lzma
import os
import struct
import subprocess
import sys
import zlib
from datetime import datetime
from pathlib import Path

import py7zr
import pytest
from py7zr.archiveinfo import write_uint64

from audiomem_sql.errors import DamagedFileError, DataTypeError, LimitError
from audiomem_sql.ingest.documents import seven_zip
from audiomem_sql.ingest.documents.content import Content

from .office_files import MAKERS
from .reading import kind_of, read, rows_of_file
from .test_archives import FOUND, MEMBERS


def seven_zipped(members: dict[str, bytes], password: str | None = None, **how: object) -> bytes:
    made = io.BytesIO()
    with py7zr.SevenZipFile(made, "w", password=password, **how) as archive:  # type: ignore[arg-type]
        for name, data in members.items():
            archive.writef(io.BytesIO(data), name)
    return made.getvalue()


def _number(value: int) -> bytes:
    """A number as RAR has it: seven bits a byte, the lowest first."""
    made = b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


def _block(body: bytes, data: bytes = b"") -> bytes:
    head = _number(len(body)) + body
    return struct.pack("<I", zlib.crc32(head)) + head + data


def rarred(members: dict[str, bytes], method: int = 0) -> bytes:
    """A RAR archive of version 5: https://www.rarlab.com/technote.htm. method: 0 is stored."""
    made = b"Rar!\x1a\x07\x01\x00" + _block(_number(1) + _number(0) + _number(0))
    for name, data in members.items():
        raw = name.encode("utf-8", "surrogateescape")
        size = _number(len(data))
        head = _number(2) + _number(2) + size + _number(6) + size + _number(0o100644)
        head += struct.pack("<II", 1714979290, zlib.crc32(data)) + _number(method << 7) + _number(1)
        made += _block(head + _number(len(raw)) + raw, data)
    return made + _block(_number(5) + _number(0) + _number(0))


PACK = {"7z": seven_zipped, "rar": rarred}


@pytest.mark.parametrize("kind", PACK)
@pytest.mark.parametrize("named", [True, False])
def test_members_are_read_by_the_readers_of_their_kinds(tmp_path: Path, kind: str, named: bool) -> None:
    path = tmp_path / (f"a.{kind}" if named else "nameless")
    path.write_bytes(PACK[kind](MEMBERS))
    assert kind_of(path) == kind
    rows, problems = read(path)
    assert [(row["place"], row["body"]) for row in rows] == FOUND
    assert [(error.file, error.what) for error in problems] == [(f"{path}!b.bin", "binary: it has NUL bytes")]
    times = {row["created_at"] for row in rows}
    if kind == "rar":
        assert times == {datetime(2024, 5, 6, 7, 8, 10)}
    else:  # of when it was made, in UTC
        now = datetime.fromtimestamp(path.stat().st_mtime).astimezone().timestamp()
        assert all(abs((when - datetime(1970, 1, 1)).total_seconds() - now) < 60 for when in times)


@pytest.mark.parametrize("kind", PACK)
def test_archives_inside_archives(tmp_path: Path, kind: str) -> None:
    inner = {
        f"inner.{each}": pack({"b.docx": MAKERS["docx"](), "c.txt": b"deep"}) for each, pack in PACK.items()
    }
    path = tmp_path / f"a.{kind}"
    path.write_bytes(PACK[kind](inner | {"last.txt": b"last"}))
    places = [row["place"] for row in rows_of_file(path) if row["body"] in ("deep", "last")]
    assert places == [
        "member=inner.7z&member=c.txt&line=1",
        "member=inner.rar&member=c.txt&line=1",
        "member=last.txt&line=1",
    ]


def test_two_members_of_one_name_and_an_empty_one(tmp_path: Path) -> None:
    made = io.BytesIO()
    with py7zr.SevenZipFile(made, "w") as archive:
        for name, text in (("d.txt", b"one"), ("e.txt", b""), ("d.txt", b"two"), ("z.txt", b"last")):
            archive.writef(io.BytesIO(text), name)
    (tmp_path / "a.7z").write_bytes(made.getvalue())
    assert [row["body"] for row in rows_of_file(tmp_path / "a.7z")] == ["one", "two", "last"]


@pytest.mark.parametrize("kind", PACK)
def test_names_that_lead_out(tmp_path: Path, kind: str) -> None:
    names = ["inside.txt", "../out.txt", "a/../../out.txt", "/abs.txt"]
    (tmp_path / "inner").mkdir()
    path = tmp_path / "inner" / f"a.{kind}"
    if kind == "rar":
        path.write_bytes(rarred(dict.fromkeys(names, b"text")))
    else:  # py7zr writes no such names: others of the same length are changed
        data = seven_zipped(
            dict.fromkeys(["inside.txt", "xx/out.txt", "a/xx/xx/out.txt", "xabs.txt"], b"text")
        )
        path.write_bytes(
            _renamed(data, {"xx/out.txt": names[1], "a/xx/xx/out.txt": names[2], "xabs.txt": names[3]})
        )
    before = sorted(tmp_path.rglob("*"))
    rows, problems = read(path)
    assert sorted(tmp_path.rglob("*")) == before
    assert rows[0]["place"] == "member=inside.txt&line=1"
    if kind == "7z":
        assert len(rows) == 1
        assert [error.what for error in problems] == ["its name leads out of the archive"] * 3
    else:
        assert (len(rows), problems) == (4, [])


def _renamed(data: bytes, names: dict[str, str]) -> bytes:
    """A 7-Zip archive with an unpacked header in which names are others."""
    with py7zr.SevenZipFile(io.BytesIO(data)) as archive:
        header = io.BytesIO()
        archive.header.write(header, 32, encoded=False)
        packed = archive.header.main_streams.packinfo.packpositions[-1]
    changed = header.getvalue()
    for old, new in names.items():
        changed = changed.replace(old.encode("utf-16-le"), new.encode("utf-16-le"))
    return _with_header(data[32 : 32 + packed], changed)


def _with_header(packed: bytes, header: bytes, size: int | None = None) -> bytes:
    start = struct.pack("<QQI", len(packed), size or len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start + packed + header


@pytest.mark.parametrize("header", [False, True])
def test_an_encrypted_7z_is_told(tmp_path: Path, header: bool) -> None:
    path = tmp_path / "a.7z"
    path.write_bytes(seven_zipped({"a.txt": b"secret"}, "pw", header_encryption=header))
    with pytest.raises(DataTypeError, match="it is encrypted"):
        read(path)


@pytest.mark.parametrize("kind", PACK)
def test_cut_and_changed_archives_are_told(tmp_path: Path, kind: str) -> None:
    data = PACK[kind]({"a.txt": b"first " * 50, "b.txt": b"second " * 50})
    path = tmp_path / f"a.{kind}"
    for length in (8, 20, len(data) // 2, len(data) - 20):
        path.write_bytes(data[:length])
        try:
            rows, problems = read(path)
        except DamagedFileError:
            continue
        assert kind == "rar"  # which has no list of members: those before the cut are there
        assert problems or len(rows) < 2 or length > len(data) - 30
    for place in range(0, len(data), 7):
        bad = bytearray(data)
        bad[place] ^= 0x55
        path.write_bytes(bad)
        try:
            read(path)
        except (DamagedFileError, DataTypeError, LimitError):
            continue


def test_a_7z_with_a_fault_keeps_the_members_before_it(tmp_path: Path) -> None:
    stored = [{"id": py7zr.FILTER_COPY}]
    data = bytearray(seven_zipped({"a.txt": b"first", "b.txt": b"second", "c.txt": b"third"}, filters=stored))
    data[data.index(b"second")] ^= 1
    (tmp_path / "a.7z").write_bytes(data)
    rows, problems = read(tmp_path / "a.7z")
    assert [row["body"] for row in rows] == ["first"]
    assert [type(error) for error in problems] == [DamagedFileError]


@pytest.mark.parametrize("kind", PACK)
def test_what_expands_to_too_much_is_not_expanded(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    data = PACK[kind]({"a.txt": b"x" * 1000})
    if kind == "7z":
        data = seven_zipped({f"{n}.txt": bytes(30 << 20) for n in range(4)})
    else:
        size = _number(1000)
        huge = _number(900 << 30)
        head_start = data.index(size + _number(6))
        body = data[head_start - 2 :].replace(size + _number(6) + size, size + _number(6) + huge, 1)
        body = body[: body.index(b"a.txt") + 5]
        data = data[: head_start - 2 - 5]  # the checksum and the length before it
        data += _block(body, b"x" * 1000) + _block(_number(5) + _number(0) + _number(0))
    path.write_bytes(data)
    with pytest.raises(LimitError, match="it expands to"):
        read(path)


def test_a_list_of_members_that_expands(tmp_path: Path) -> None:
    """200 MB of zeros as the list of members of a 7-Zip archive, packed to 30 KB."""
    expanded = 200 << 20
    packed = lzma.compress(bytes(expanded), lzma.FORMAT_ALONE)
    properties, packed = packed[:5], packed[13:]
    header = io.BytesIO()
    header.write(b"\x17\x06")
    for number in (0, 1):
        write_uint64(header, number)
    header.write(b"\x09")
    write_uint64(header, len(packed))
    header.write(b"\0\x07\x0b\1\0\1\x23\3\1\1\5" + properties + b"\x0c")
    write_uint64(header, expanded)
    header.write(b"\0\0")
    (tmp_path / "a.7z").write_bytes(_with_header(packed, header.getvalue()))
    with pytest.raises(LimitError, match="files inside"):
        read(tmp_path / "a.7z")
    (tmp_path / "b.7z").write_bytes(_with_header(b"", b"\1", size=1 << 40))
    with pytest.raises(LimitError, match="files inside"):
        read(tmp_path / "b.7z")


def test_members_of_a_rar_that_no_program_expands(tmp_path: Path) -> None:
    """Without unrar and unar, what is stored is read, and the rest told with what to do."""
    stored = rarred({"a.txt": b"stored"})
    packed = rarred({"b.txt": b"packed", "c.txt": b"packed"}, method=3)
    end = len(_block(_number(5) + _number(0) + _number(0)))
    (tmp_path / "both.rar").write_bytes(stored[:-end] + packed[len(rarred({})) - end :])
    (tmp_path / "packed.rar").write_bytes(packed)
    environment = os.environ | {"PATH": str(tmp_path)}
    command = [sys.executable, "-m", "audiomem_sql", "ingest", "kb.flac", "both.rar", "packed.rar"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "sources: 1 new, 0 changed, 0 unchanged, 2 skipped" in done.stdout
    assert "skipped both.rar: 2 of its 3 members are compressed" in done.stderr
    assert "cannot read packed.rar: 2 of its 2 members are compressed" in done.stderr
    assert done.stderr.count("Install unrar or unar") == 2


def test_damaged_data_of_a_member_is_told(tmp_path: Path) -> None:
    data = bytearray(rarred({"a.txt": b"first", "b.txt": b"second"}))
    data[data.index(b"first")] ^= 1
    (tmp_path / "a.rar").write_bytes(data)
    rows, problems = read(tmp_path / "a.rar")
    assert [row["body"] for row in rows] == ["second"]
    assert [(error.file, type(error)) for error in problems] == [
        (f"{tmp_path}/a.rar!a.txt", DamagedFileError)
    ]


def test_the_limit_of_the_list_is_that_of_zip() -> None:
    assert seven_zip.HEADER_LIMIT == 32 << 20
    with pytest.raises(DamagedFileError, match="the archive cannot be read"):
        list(seven_zip.read(Content("a.7z", data=b"no archive")))
