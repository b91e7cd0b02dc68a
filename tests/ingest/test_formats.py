"""What is no text is known by its content, and UTF-16 by its look."""

from __future__ import annotations

import gzip
import io
import marshal
import pickle
import sqlite3
import sys
import tarfile
import zipfile
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from audiomem_sql.ingest import contents
from audiomem_sql.ingest.contents import binary_reason, plain_utf16
from audiomem_sql.ingest.formats import format_of
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import find_sources


def picture(kind: str) -> bytes:
    import matplotlib.image

    stream = io.BytesIO()
    matplotlib.image.imsave(stream, np.zeros((4, 4)), format=kind)
    return stream.getvalue()


def database() -> bytes:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE t(a)")
        data = connection.serialize()
    connection.close()
    return data


def sound(kind: str) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(100), 8000, format=kind)
    return stream.getvalue()


def archive(kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as zipped:
            zipped.writestr("a", "b")
    else:
        with tarfile.open(fileobj=stream, mode=f"w:{kind}") as tar:
            tar.addfile(tarfile.TarInfo("a"))
    return stream.getvalue()


def array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: picture("png"), "a PNG picture"),
        (lambda: picture("jpg"), "a JPEG picture"),
        (lambda: picture("gif"), "a GIF picture"),
        (lambda: picture("tiff"), "a TIFF picture"),
        (lambda: picture("webp"), "a WebP picture"),
        (lambda: sound("FLAC"), "FLAC audio"),
        (lambda: sound("WAV"), "WAV audio"),
        (lambda: sound("OGG"), "Ogg audio or video"),
        (lambda: sound("AIFF"), "AIFF audio"),
        (database, "a SQLite database"),
        (lambda: archive("zip"), "a ZIP archive"),
        (lambda: archive(""), "a tar archive"),
        (lambda: archive("gz"), "gzip data"),
        (lambda: archive("bz2"), "bzip2 data"),
        (lambda: archive("xz"), "xz data"),
        (array, "a NumPy array"),
        (lambda: pickle.dumps([1, 2], 4), "a Python pickle"),
        (lambda: MAGIC_NUMBER + bytes(12) + marshal.dumps(compile("1", "", "eval")), "Python bytecode"),
        (
            lambda: Path(sys.executable).resolve().read_bytes()[:9000],
            "an executable or library of Linux (ELF)",
        ),
    ],
)
def test_what_tools_write_is_named(make: object, what: str, tmp_path: Path) -> None:
    data = make()  # type: ignore[operator]
    assert format_of(data[: contents.HEAD_SIZE]) == what
    for name in ("noise", "lying.txt"):
        assert binary_reason(data[: contents.HEAD_SIZE], utf8_only=name == "noise") == f"binary: {what}"


@pytest.mark.parametrize(
    "text",
    [
        "BM25 ranks words.",
        "MZ is a name",
        "ID3 tags\n",
        "ORC or elf",
        "BZh",
        "{\\rtf is how it begins",
        "PACKED",
    ],
)
def test_text_may_begin_like_another_format(text: str) -> None:
    for utf8_only in (False, True):
        assert binary_reason(text.encode(), utf8_only=utf8_only) is None


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["a.txt", "a.csv", "README", "a.md.gz"])
def test_utf16_without_a_mark(tmp_path: Path, codec: str, name: str) -> None:
    text = "title,body\nnaïve,“a café” or two\n"
    data = text.encode(codec)
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (source,) = find_sources([tmp_path / name])
    bodies = "".join(row["body"] for row in rows_of(source))
    assert "“a café” or two" in bodies


def test_utf16_is_not_guessed() -> None:
    for data in (
        b"a\0",
        b"abc\0def",
        b"a\0b\0c",
        b"\1\0\2\0\3\0",
        b"a\0\0\0b\0",
        bytes(64),
        "漢字".encode("utf-16-le"),
    ):
        assert plain_utf16(data) is None
    assert plain_utf16("aĀb".encode("utf-16-le")) == "utf-16-le"
    long = ("x" * 5000).encode("utf-16-le")
    assert plain_utf16(long[: contents.HEAD_SIZE]) == "utf-16-le"
    assert plain_utf16(b"a\0b\0" + b"\0\xd8" + b"c\0" * 9) is None  # half of a pair


@given(st.text(alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), min_size=2))
def test_utf16_of_plain_words_is_text(text: str) -> None:
    for codec in ("utf-16-le", "utf-16-be"):
        assert contents.decode(text.encode(codec), "a") == text


@given(st.binary(max_size=80))
def test_what_has_a_format_is_no_valid_text(data: bytes) -> None:
    reason = binary_reason(data, utf8_only=True)
    if reason is None and b"\0" not in data:
        data.decode()
