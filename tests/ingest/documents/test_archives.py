"""Archives: members by their own readers, one bad one, and what is made to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from audiomem_sql.errors import DamagedFileError, LimitError
from audiomem_sql.ingest.documents import archives, content

from .office_files import MAKERS
from .reading import read, rows_of_file

MEMBERS = {
    "docs/a.md": b"# A\n\nFirst.",
    "docs/t.jsonl": b'{"text": "row one", "importance": 0.5}\n{"text": "row two"}\n',
    "docs/b.txt.gz": gzip.compress(b"Packed."),
    ".git/config": b"[core]",
    "__MACOSX/docs/._a.md": b"\0\5\x16\7",
    "b.bin": bytes(range(256)),
}
FOUND = [("member=docs/a.md&line=3", "First."), ("member=docs/t.jsonl&line=1", "row one"),
         ("member=docs/t.jsonl&line=2", "row two"), ("member=docs/b.txt.gz&line=1", "Packed.")]  # fmt: skip


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 5, 6, 7, 8, 10)), data, zipfile.ZIP_DEFLATED)
    return path


def tarred(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", encoding="utf-8", errors="surrogateescape") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1714979290
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


PACK: dict[str, Callable[[bytes], bytes]] = {
    "a.tar": lambda data: data,
    "a.tar.gz": gzip.compress,
    "a.tgz": gzip.compress,
    "a.tar.bz2": bz2.compress,
    "a.tar.xz": lzma.compress,
    "a.tar.zst": zstandard.compress,
    "nameless": lzma.compress,
    "tarball": lambda data: data,
}


@pytest.mark.parametrize("name", ["a.zip", "nozip", *PACK])
def test_members_are_read_by_the_readers_of_their_kinds(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name in PACK:
        path.write_bytes(PACK[name](tarred(MEMBERS)))
    else:
        zipped(path, MEMBERS)
    rows, problems = read(path)
    assert [(row["place"], row["body"]) for row in rows] == FOUND
    assert {row["created_at"] for row in rows} == {datetime(2024, 5, 6, 7, 8, 10)}
    assert rows[1]["importance"] == 0.5
    assert [(error.file, error.what) for error in problems] == [(f"{path}!b.bin", "binary: it has NUL bytes")]


@pytest.mark.parametrize("name", ["a.zip", "nameless"])
@pytest.mark.parametrize("first", ["readme.txt", "word/a.txt", "mimetype"])
def test_an_archive_with_documents_inside_is_an_archive(tmp_path: Path, name: str, first: str) -> None:
    path = tmp_path / name
    with zipfile.ZipFile(path, "w") as archive:  # stored, so that names of parts are seen from outside
        archive.writestr(first, "Read me.")
        archive.writestr("b.docx", MAKERS["docx"]())
        archive.writestr("xl/c.txt", "Last.")
    rows = rows_of_file(path)
    members = {row["place"].partition("&")[0].partition("=")[2] for row in rows}
    assert {"b.docx", "xl/c.txt"} <= members
    assert "Read me." in [row["body"] for row in rows]


def test_parquet_and_archives_inside_archives(tmp_path: Path) -> None:
    table = io.BytesIO()
    pq.write_table(pa.table({"text": ["in Parquet"], "title": ["T"]}), table)
    inner = zipped(tmp_path / "inner.zip", {"x.parquet": table.getvalue()}).read_bytes()
    outer = zipped(
        tmp_path / "outer.zip", {"b/inner.zip": inner, "c.tar.gz": gzip.compress(tarred({"d.txt": b"deep"}))}
    )
    assert [(row["place"], row["body"]) for row in rows_of_file(outer)] == [
        ("member=b/inner.zip&member=x.parquet&row=1", "in Parquet"),
        ("member=c.tar.gz&member=d.txt&line=1", "deep"),
    ]


def test_one_compressed_file_is_read_as_itself(tmp_path: Path) -> None:
    (tmp_path / "n.md.zst").write_bytes(zstandard.compress(b"# N\n\nText."))
    [row] = rows_of_file(tmp_path / "n.md.zst")
    assert (row["title"], row["body"], row["place"]) == ("N", "Text.", "member=n.md&line=3")


def test_a_bad_member_does_not_cost_the_others(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "a.zip",
        {"a.txt": b"first " * 99, "b.txt": b"second " * 99, "c.csv": b"x,y\n1,2,3\n", "d.txt": b"last"},
    )
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo("b.txt")
        start = info.header_offset + 30 + len("b.txt")
        data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    rows, problems = read(path)
    assert [row["body"][:5] for row in rows] == ["first", "last"]
    assert [error.file for error in problems] == [f"{path}!b.txt", f"{path}!c.csv"]
    assert isinstance(problems[0], DamagedFileError)


def test_encrypted_members_are_told(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"a.txt": b"open", "b.txt": b"secret"})
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\1\2")
    data[at + 8] |= 1
    path.write_bytes(data)
    rows, problems = read(path)
    assert [row["body"] for row in rows] == ["open"]
    assert [(error.file, error.what) for error in problems] == [(f"{path}!b.txt", "it is encrypted")]


@pytest.mark.parametrize("cut", [700, 1300, 1500])
def test_a_cut_tar_has_the_members_before_the_cut(tmp_path: Path, cut: int) -> None:
    data = tarred({"a.txt": b"first", "b.txt": b"second" * 100, "c.txt": b"third"})
    (tmp_path / "a.tar").write_bytes(data[:cut])
    rows, problems = read(tmp_path / "a.tar")
    assert [row["body"][:6] for row in rows] == ["first"]
    assert problems
    damaged = bytearray(data)
    damaged[1024 + 100] ^= 0xFF  # the header of the second member
    (tmp_path / "b.tar").write_bytes(damaged)
    rows, problems = read(tmp_path / "b.tar")
    assert [row["body"] for row in rows] == ["first"]
    assert "bad checksum" in problems[0].what


def test_names_do_no_harm(tmp_path: Path) -> None:
    names = [
        "../../etc/passwd",
        "/abs.txt",
        "C:\\x\\y.txt",
        "a/../../b.txt",
        "n\udcff.txt",
        "l" * 200 + ".txt",
        "a\nb.txt",
    ]
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.tar").write_bytes(tarred(dict.fromkeys(names, b"text")))
    before = sorted(tmp_path.rglob("*"))
    rows = rows_of_file(tmp_path / "inner" / "a.tar")
    assert len(rows) == len(names)
    assert rows[0]["place"] == "member=../../etc/passwd&line=1"
    assert rows[4]["place"] == "member=n%5Cxff.txt&line=1"
    assert rows[6]["place"] == "member=a%0Ab.txt&line=1"
    assert sorted(tmp_path.rglob("*")) == before


def test_names_of_a_zip_that_are_utf8_without_saying_so(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"ae.txt": b"text"})
    path.write_bytes(path.read_bytes().replace(b"ae.txt", "ä.txt".encode()))
    assert rows_of_file(path)[0]["place"] == "member=%C3%A4.txt&line=1"
    path.write_bytes(path.read_bytes().replace("ä.txt".encode(), b"a\x84.txt"))
    assert rows_of_file(path)[0]["place"] == "member=a%C3%A4.txt&line=1"  # code page 437


def test_links_and_devices_are_passed_over(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind, target in (
            ("x", tarfile.SYMTYPE, "y"),
            ("y", tarfile.LNKTYPE, "x"),
            ("d", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(f"{name}.txt")
            info.type, info.linkname = kind, f"{target}.txt"
            archive.addfile(info)
    assert rows_of_file(tmp_path / "a.tar") == []


# --- bombs


def test_zeros_without_end_stop_at_once(tmp_path: Path) -> None:
    info = tarfile.TarInfo("zeros.txt")
    info.size = 10 << 30
    head = tarred({"a.txt": b"before"})[:1024] + info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(head + bytes(1 << 22), 1))
    rows, problems = read(tmp_path / "a.tar.gz")
    assert [row["body"] for row in rows] == ["before"]
    assert [type(error).__name__ for error in problems] == ["DataTypeError", "LimitError"]
    info.name = "text.txt"
    head = tarred({"a.txt": b"before"})[:1024] + info.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "b.tar.xz").write_bytes(lzma.compress(head + b"x" * (1 << 22), preset=0))
    rows, problems = read(tmp_path / "b.tar.xz")
    assert [row["body"] for row in rows] == ["before"]
    assert "10,240 MiB" in problems[0].what


def test_zips_of_zips_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = zipped(tmp_path / "0.zip", {"zero.txt": b"a" * (1 << 20)}).read_bytes()
    for level in range(1, 4):
        data = zipped(tmp_path / f"{level}.zip", {f"{n}.zip": data for n in range(16)}).read_bytes()
    sizes: list[int] = []
    real = content.Budget.spend

    def spend(self: content.Budget, size: int, name: str) -> None:
        if not sizes:
            self.left_bytes = 8 << 20
        sizes.append(size)
        real(self, size, name)

    monkeypatch.setattr(content.Budget, "spend", spend)
    rows, problems = read(tmp_path / "3.zip")
    assert sum(sizes) < 10 << 20
    assert problems
    assert isinstance(problems[-1], LimitError)
    assert len(rows) > 1


def test_a_zip_with_itself_inside_ends(tmp_path: Path) -> None:
    data = b"the innermost"
    name = "a.txt"
    for level in range(9):
        data = zipped(tmp_path / "a.zip", {name: data, f"{level}.txt": b"here"}).read_bytes()
        name = "a.zip"
    rows, problems = read(tmp_path / "a.zip")
    assert len(rows) == content.DEPTH_LIMIT
    assert [type(error) for error in problems] == [LimitError]


def test_more_members_than_can_be_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "a.zip", {f"{n}.txt": b"text" for n in range(50)})
    monkeypatch.setattr(archives, "DIRECTORY_LIMIT", 1000)
    with pytest.raises(LimitError, match="files inside"):
        read(path)


def test_long_headers_of_a_tar_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a.tar").write_bytes(
        tarred({"a.txt": b"first"})[:1024] + info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)
    )
    rows, problems = read(tmp_path / "a.tar")
    assert [row["body"] for row in rows] == ["first"]
    assert "a header of" in problems[0].what


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"not a zip")
    with pytest.raises(DamagedFileError, match="the archive cannot be read"):
        read(tmp_path / "a.zip")


@pytest.mark.parametrize(
    ("time", "created_at"),
    [
        ((1980, 1, 1, 0, 0, 0), None),  # what zip files say that know none
        ((1980, 1, 1, 0, 0, 2), datetime(1980, 1, 1, 0, 0, 2)),
        ((2107, 12, 31, 23, 59, 58), datetime(2107, 12, 31, 23, 59, 58)),
    ],
)
def test_times_of_members(tmp_path: Path, time: tuple[int, ...], created_at: datetime | None) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.txt", time), b"words")  # type: ignore[arg-type]
    (row,) = rows_of_file(tmp_path / "a.zip")
    if created_at is None:
        assert row["created_at"] is None or row["created_at"].year > 1980
    else:
        assert row["created_at"] == created_at


@pytest.mark.parametrize("before", [0, 1, 4000, 1 << 17])
def test_a_list_of_members_that_is_too_long_is_not_read(before: int) -> None:
    """Wherever the end of the list stands, and however its size is said."""
    for size, is_refused in ((archives.DIRECTORY_LIMIT, False), (archives.DIRECTORY_LIMIT + 1, True)):
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, 0, 0)
        # as zip files of more than 4 GiB have it
        wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, 0)
        wide += struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 0xFFFFFFFF, 0, 0)
        for tail in (end, wide):
            expected = pytest.raises(LimitError, match="files inside") if is_refused else nullcontext()
            with expected, io.BytesIO(bytes(before) + tail) as stream:
                archives._check_directory(stream, "a.zip")
