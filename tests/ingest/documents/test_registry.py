"""The frame that readers stand in: which reader a file gets, what it may cost, and what its errors become."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from audiomem_sql.errors import DamagedFileError, LimitError, MissingExtraError, OptionError
from audiomem_sql.ingest.chunking import chunk
from audiomem_sql.ingest.documents import content as contents
from audiomem_sql.ingest.documents import reader as reader_module
from audiomem_sql.ingest.documents import registry
from audiomem_sql.ingest.documents.content import Budget, Content
from audiomem_sql.ingest.documents.document import Document, Part, Section, assemble, place_of
from audiomem_sql.ingest.documents.reader import function_of
from audiomem_sql.ingest.documents.registry import Reader, reader_of, readers
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import find_sources

ROOT = Path(__file__).parents[3]


def package(folder: Path, module: str, code: str, points: str) -> None:
    """A distribution in ``folder`` with a module and entry points, as pip leaves it."""
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path, of packages that are seen at once."""
    caches = (registry.readers, registry._by_suffix, registry._by_name, registry._recognising, function_of)
    monkeypatch.syspath_prepend(str(tmp_path))
    for cache in caches:
        cache.cache_clear()
    yield tmp_path
    for cache in caches:
        cache.cache_clear()


CODE = """
from audiomem_sql.ingest.documents.document import Document, Section
from audiomem_sql.ingest.documents.registry import Reader


def read(content):
    yield Document("shouted", [Section(None, content.text().upper())])


LOUD = Reader(
    "loud", (".loud", ".md"), "prose_loud_reader:read", names=("shout",), starts=(b"LOUD",), version=3
)
WRONG = read
"""


def test_a_reader_of_another_package(site: Path) -> None:
    package(site, "prose_loud_reader", CODE, "[audiomem_sql.readers]\nx = prose_loud_reader:LOUD\n")
    for name, content in {
        "a.loud": "hi",
        "a.md": "hi",
        "Shout": "hi",
        "noise": "LOUD hi",
        "b.txt": "LOUD hi",
    }.items():
        (site / name).write_text(content)
    names = ["a.loud", "a.md", "Shout", "noise", "b.txt"]
    sources = find_sources([site / name for name in names])
    assert [source.kind for source in sources] == ["loud", "loud", "loud", "loud", "text"]
    assert [row["body"] for source in sources for row in rows_of(source)] == [
        "HI",
        "HI",
        "HI",
        "LOUD HI",
        "LOUD hi",
    ]
    assert readers()["loud"].how() == ("loud", 3)


def test_an_entry_point_that_is_no_reader(site: Path) -> None:
    package(site, "prose_loud_reader", CODE, "[audiomem_sql.readers]\nwrong = prose_loud_reader:WRONG\n")
    with pytest.raises(OptionError, match=r"wrong .* is no Reader.*prose_loud_reader:WRONG"):
        readers()


def check_session(session: str, folder: Path) -> None:
    """Run the commands behind ``$``; the lines below each are in what it prints."""
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "COLUMNS": "100"}
    shown = ""
    for line in session.splitlines():
        if line.startswith("$ audiomem "):
            done = subprocess.run(
                [sys.executable, "-m", "audiomem_sql", *shlex.split(line)[2:]],
                capture_output=True,
                text=True,
                cwd=folder,
                env=environment,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            shown = done.stdout + done.stderr
        else:
            assert line in shown.splitlines()


def test_the_page_about_broken_lines(tmp_path: Path) -> None:
    (session,) = code_blocks("## What cannot be read")
    (tmp_path / "prices.csv").write_text("title,body\npear,sweet\nplum,blue,sour\nfig,ripe\n")
    check_session(session, tmp_path)


def test_the_page_about_readers_of_your_own(site: Path) -> None:
    code, project, session = code_blocks("## Readers of your own")
    points = tomllib.loads(project)["project"]["entry-points"][registry.ENTRY_POINTS]
    lines = "".join(f"{name} = {value}\n" for name, value in points.items())
    package(site, "todo_reader", code, f"[{registry.ENTRY_POINTS}]\n{lines}")
    (site / "home.todo").write_text("[ ] feed the cat\n[x] water the plants\nnotes\n")
    check_session(session, site)


def code_blocks(heading: str) -> list[str]:
    """The blocks in a section of docs/INGEST.md."""
    section = (ROOT / "docs/INGEST.md").read_text().partition(f"{heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)


# --- which reader


def test_a_suffix_against_first_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = Reader("picture", (".pic",), "m:f", starts=(b"\x89PIC",), is_text=False)
    sound = Reader("sound", (".snd",), "m:f", starts=(b"SND\0",), is_text=False)
    known = {reader.kind: reader for reader in (picture, sound, readers()["text"])}
    monkeypatch.setattr(registry, "readers", lambda: known)
    monkeypatch.setattr(
        registry, "_by_suffix", lambda: {".pic": picture, ".snd": sound, ".txt": known["text"]}
    )
    monkeypatch.setattr(registry, "_by_name", dict)
    monkeypatch.setattr(registry, "_recognising", dict)
    kinds = {
        ("a.pic", ".pic", b"\x89PIC..."): "picture",
        ("a.pic", ".pic", b"SND\0..."): "sound",  # a name that lies
        ("a.pic", ".pic", b"neither"): "picture",  # which says what is wrong with it
        ("a", "", b"SND\0"): "sound",
        ("a.txt", ".txt", b"SND\0"): "text",  # not looked for in what says that it is text
    }
    for (name, suffix, start), kind in kinds.items():
        reader = reader_of(name, suffix, start)
        assert reader is not None
        assert reader.kind == kind
    assert reader_of("a", "", b"words") is None


def test_our_own_list() -> None:
    suffixes = [suffix for reader in readers().values() for suffix in reader.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
    for reader in readers().values():
        assert callable(function_of(reader.read))
        assert all(name == name.lower() for name in reader.names)


# --- what errors of readers become


def broken(content: Content) -> Iterator[Document]:
    yield Document("first", [Section(None, "read")])
    raise {"own": MissingExtraError("no package"), "other": ValueError("a\n  b")}[content.text()]


def test_errors_of_a_reader_name_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "function_of", lambda name: broken)
    documents = Reader("x-ray", (".x",), "m:f").documents(Content("a.x", data=b"other"))
    assert next(documents).title == "first"
    with pytest.raises(
        DamagedFileError, match=r"^a\.x: this x-ray file cannot be read \(ValueError: a b\)\. "
    ) as caught:
        next(documents)
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(MissingExtraError, match=r"^a\.x: no package"):
        list(Reader("x-ray", (".x",), "m:f").documents(Content("a.x", data=b"own")))


# --- things inside things


def test_what_is_inside_is_counted() -> None:
    outer = Content("a.zip", budget=Budget(10, 3))
    inner = outer.inside("docs/b.TXT", b"12345")
    assert (inner.name, inner.suffix, inner.path, inner.depth) == ("a.zip!docs/b.TXT", ".txt", None, 1)
    assert inner.read() == inner.open().read() == b"12345"
    assert inner.inside("c", b"12345").depth == 2
    with pytest.raises(LimitError, match=r"a\.zip.*expands"):
        outer.inside("d", b"1")
    many = Content("a.zip", budget=Budget(10, 1))
    many.inside("b", b"")
    with pytest.raises(LimitError, match=r"a\.zip.*files inside"):
        many.inside("c", b"")


def test_things_inside_things_have_a_depth() -> None:
    content = Content("a")
    for _ in range(contents.DEPTH_LIMIT):
        content = content.inside("b", b"")
    with pytest.raises(LimitError, match=r"a!b!b!b!b!b.*deep"):
        content.inside("b", b"")


# --- places


def test_places_of_chunks() -> None:
    words = "Some words here. " * 4
    document = Document(
        None,
        [
            Section(None, f"{words}\n\n{words}", line=7),
            Section("h", words, place=place_of(page=3)),
            Section("h", words),
        ],
        place_of(member="docs/a b.md"),
    )
    assert [piece.place for piece in chunk(document, size=80)] == [
        "member=docs/a b.md&line=7",
        "member=docs/a b.md&line=9",
        "member=docs/a b.md&page=3",
        "member=docs/a b.md",
    ]
    assert next(chunk(Document(None, [Section(None, "x")]))).place is None
    assert place_of(sheet="A&B=C#%", row=2) == "sheet=A%26B%3DC%23%25&row=2"


def test_lines_of_assembled_parts() -> None:
    long = "word " * 100
    document = assemble(
        [
            Part(1, "a", "", None, 3),
            Part(1, "b", "text", None, 9),
            Part(1, long, "text", None, 12),
            Part(1, long, "", None, 15),
        ]
    )
    assert [(section.line, section.text[:4]) for section in document.sections] == [
        (3, "a"),
        (9, "text"),
        (None, "word"),
        (15, "word"),
    ]


def test_a_qualified_name_takes_the_place_of_the_one_above() -> None:
    section = Section("A.m", "x", ("A",))
    assert next(chunk(Document(None, [section]))).title == "A.m"
    assert next(chunk(Document("A", [section]))).title == "A: A.m"
    assert next(chunk(Document(None, [Section("Am", "x", ("A",))]))).title == "A: Am"
    assert next(chunk(Document("T", [Section("A::b::c", "x", ("A", "A::b"))]))).title == "T: A::b::c"
