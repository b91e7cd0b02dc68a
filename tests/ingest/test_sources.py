"""Finding files: which, in what order, of what kind, and what is passed over."""

from __future__ import annotations

import gzip
import hashlib
import os
from datetime import datetime
from pathlib import Path

import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.ingest.sources import digest, find_sources, modified


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, content: str | bytes = "text") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.usefixtures("here")
def test_kinds_follow_the_extension() -> None:
    names = {
        "a.TXT": "text", "a.text": "text", "a.rst": "restructuredtext", "a.log": "text", "a.md": "markdown",
        "a.markdown": "markdown", "a.html": "html", "a.htm": "html", "a.xhtml": "html", "a.csv": "csv",
        "a.tsv": "csv", "a.jsonl": "jsonl", "a.ndjson": "jsonl", "a.parquet": "parquet", "README": "text",
        "a.py": "python",
    }  # fmt: skip
    for name in names:
        put(f"d/{name}")
    assert {s.name.removeprefix("d/"): s.kind for s in find_sources(["d"])} == names


@pytest.mark.usefixtures("here")
def test_gzip_takes_the_kind_of_what_is_inside() -> None:
    put("changelog.gz", gzip.compress(b"changes"))
    put("a.md.gz", gzip.compress(b"# changes"))
    put("noise.gz", gzip.compress(bytes(range(256))))
    put("broken.txt.gz", b"not gzip")
    put("rows.parquet.gz", gzip.compress(b"PAR1"))
    skipped: dict[str, str] = {}
    sources = find_sources([Path()], on_skip=lambda path, reason: skipped.update({path.name: reason}))
    assert [(s.name, s.kind) for s in sources] == [("a.md.gz", "markdown"), ("changelog.gz", "text")]
    assert set(skipped) == {"noise.gz", "broken.txt.gz", "rows.parquet.gz"}
    assert "gzip" in skipped["broken.txt.gz"]


@pytest.mark.usefixtures("here")
def test_folders_are_searched_in_order_without_hidden_entries() -> None:
    for name in (
        "docs/z.txt",
        "docs/b/2.md",
        "docs/b/1.md",
        "docs/a.txt",
        "docs/.hidden.md",
        "docs/.git/config",
    ):
        put(name)
    names = [s.name for s in find_sources(["docs/"])]
    assert names == ["docs/a.txt", "docs/b/1.md", "docs/b/2.md", "docs/z.txt"]
    assert [s.name for s in find_sources(["./docs/../docs/b"])] == ["docs/b/1.md", "docs/b/2.md"]


@pytest.mark.usefixtures("here")
def test_a_hidden_file_that_is_named_is_read() -> None:
    put(".notes.md")
    assert [s.name for s in find_sources([".notes.md"])] == [".notes.md"]


@pytest.mark.usefixtures("here")
def test_loops_and_second_ways_to_a_file_are_visited_once() -> None:
    put("docs/a.md")
    os.symlink("..", "docs/loop")
    os.symlink("a.md", "docs/link.md")
    os.symlink("nowhere", "docs/broken.md")
    skipped: list[tuple[str, str]] = []
    sources = find_sources(
        ["docs", "docs/a.md"], on_skip=lambda path, reason: skipped.append((path.name, reason))
    )
    assert [s.name for s in sources] == ["docs/a.md"]
    assert ("broken.md", "a link to nothing") in skipped
    assert ("link.md", "the same file as docs/a.md") in skipped


@pytest.mark.usefixtures("here")
def test_what_is_not_text_is_reported() -> None:
    put("d/photo.dat", b"\xfe\xd8\x00\x10")
    put("d/latin", b"caf\xe9 au lait, and more of it")
    put("d/lying.txt", b"PK\x03\x04\x00\x00")
    put("d/wide.txt", "hello".encode("utf-16"))
    os.mkfifo("d/pipe.txt")
    skipped: dict[str, str] = {}
    sources = find_sources(["d"], on_skip=lambda path, reason: skipped.update({path.name: reason}))
    assert [s.name for s in sources] == ["d/wide.txt"]
    assert skipped["photo.dat"] == "binary: it has NUL bytes"
    assert skipped["lying.txt"] == "binary: a ZIP archive"
    assert skipped["latin"].startswith("not UTF-8")
    assert skipped["pipe.txt"] == "not a regular file"
    assert [s.name for s in find_sources(["d"])] == ["d/wide.txt"]


@pytest.mark.usefixtures("here")
def test_a_character_across_the_end_of_the_sample_is_text() -> None:
    put("README", "x" * 8191 + "é" * 10)
    assert [s.kind for s in find_sources(["README"])] == ["text"]


@pytest.mark.usefixtures("here")
def test_names_that_are_not_utf8_are_escaped() -> None:
    Path("d").mkdir()
    with open(b"d/caf\xe9.txt", "wb") as stream:
        stream.write(b"x")
    assert [s.name for s in find_sources(["d"])] == ["d/caf\\xe9.txt"]


@pytest.mark.usefixtures("here")
def test_missing_and_strange_paths_are_errors() -> None:
    with pytest.raises(StorageError, match="nowhere"):
        find_sources(["nowhere"])
    os.mkfifo("pipe")
    with pytest.raises(StorageError, match="neither a file nor a folder"):
        find_sources(["pipe"])


@pytest.mark.usefixtures("here")
def test_digest_and_time() -> None:
    path = put("a.txt", "hello")
    os.utime(path, ns=(0, 1_700_000_000_123_456_789))
    (source,) = find_sources(["a.txt"])
    assert source.size == 5
    assert digest(source) == hashlib.blake2b(b"hello", digest_size=16).digest()
    assert modified(source) == datetime(2023, 11, 14, 22, 13, 20, 123456)
    path.unlink()
    with pytest.raises(StorageError, match=r"a\.txt"):
        digest(source)
    with pytest.raises(StorageError, match=r"a\.txt"):
        modified(source)
