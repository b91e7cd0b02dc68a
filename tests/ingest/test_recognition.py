"""Sources of a table whose files are called otherwise by now: after a move, or as somebody typed them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import psutil
import pytest

from audiomem_sql.ingest.identity import FILE, GIVEN, Places
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, PARALLEL_BYTES
from audiomem_sql.ingest.recognition import Recognition, same_rows
from audiomem_sql.ingest.report import Pending, Report
from audiomem_sql.ingest.sources import Source, find
from audiomem_sql.table.source_list import source_entries
from audiomem_sql.table.table import Table

from .folders import SEMANTIC, bring, ids, sources

OLD = bytes(range(16))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(name: str, text: str = "text") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def digest(text: bytes, end: bytes = FILE) -> bytes:
    return text.ljust(12, b".") + end


def known(names: dict[str, bytes], *paths: str, folder: str | None = None) -> Recognition:
    places = Places(folder or os.getcwd())
    return Recognition(names, places, find(paths, places.folder).sources)


def source(path: str, name: str | None = None, kind: str = "text", origin: bytes = FILE) -> Source:
    return Source(Path(path), name or path, 4, kind, origin, path)


def test_a_table_that_comes_above_its_files_knows_them_by_their_paths(here: Path) -> None:
    put("work/docs/a.txt", "as it was")
    Path("tables").mkdir()
    with Table.create("tables/kb.flac", DEFAULT_COLUMNS) as table:
        bring(table, "work/docs")
        assert sources(table) == [str(here / "work/docs/a.txt")]
    shutil.move("tables/kb.flac", "kb.flac")
    put("work/docs/a.txt", "as it is")
    with Table("kb.flac") as table:
        report = bring(table, "work/docs")
        assert (report.changed, report.new, report.pruned) == (1, 0, 0)
        assert sources(table) == ["work/docs/a.txt"]


def test_where_the_table_was_is_noted_once() -> None:
    put("docs/a.txt")
    with Table.create("kb.flac", DEFAULT_COLUMNS) as table:
        bring(table, "docs")
        note = Places(os.getcwd()).note()
        entries = source_entries(table.snapshot)
        assert note in entries
        assert entries[note] == bytes(16)
        assert Places.of("kb.flac", entries) == Places(os.getcwd())


def test_moved_files_are_known_by_content_if_theirs_are_gone() -> None:
    put("docs/here.txt")
    names = {"docs/here.txt": digest(b"same"), "docs/gone.txt": digest(b"same"), "kept": digest(b"x", GIVEN)}
    recognition = known(names, "docs")
    new = source("docs/new.txt")
    assert recognition.moved_from(new, digest(b"same")) == "docs/gone.txt"
    assert recognition.moved_from(new, digest(b"other")) is None
    assert recognition.moved_from(new, digest(b"x")) is None  # a text that was given is no file
    assert recognition.moved_from(source("p", origin=GIVEN), digest(b"same")) is None
    assert recognition.same_as(digest(b"same")) == "docs/here.txt"
    assert recognition.same_as(digest(b"other")) is None
    recognition.take("docs/gone.txt", new)
    assert recognition.moved_from(new, digest(b"same")) is None


def test_names_as_they_were_typed() -> None:
    put("docs/a.txt")
    (found,) = find(["docs"], os.getcwd()).sources
    typed = Source(found.path, "/elsewhere/docs/a.txt", 4, "text", FILE, "docs/a.txt")
    recognition = Recognition({"docs/a.txt": OLD}, Places(os.getcwd()), [typed])
    assert recognition.earlier_name(typed) == "docs/a.txt"
    assert Recognition({"docs/a.txt": OLD}, Places(os.getcwd()), [found]).earlier_name(found) is None
    assert recognition.earlier_name(source("docs/a.txt", origin=GIVEN)) is None


def test_a_folder_that_was_moved_takes_what_changed_along() -> None:
    with Table.create("kb.flac", DEFAULT_COLUMNS) as table:
        for name in "abc":
            put(f"old/deep/{name}.txt", f"text of {name}")
        bring(table, "old")
        before = ids(table)
        os.rename("old", "new")
        put("new/deep/c.txt", "changed")
        told: list[str] = []
        report = bring(table, "new", on_source=lambda source: told.append(source.name))
        assert (report.renamed, report.changed, report.new, report.pruned) == (2, 1, 0, 0)
        assert sorted(told) == [f"new/deep/{name}.txt" for name in "abc"]
        assert {body: key for body, key in ids(table).items() if body in before} == {
            body: before[body] for body in ("text of a", "text of b")
        }
        os.remove("new/deep/a.txt")
        assert bring(table, "new").pruned == 1


@pytest.mark.parametrize(("kept", "pruned"), [(2, 0), (3, 3)])
def test_a_folder_counts_as_moved_if_half_of_its_files_are_there(kept: int, pruned: int) -> None:
    with Table.create("kb.flac", DEFAULT_COLUMNS) as table:
        for number in range(6):
            put(f"old/{number}.txt", f"text {number}")
        bring(table, "old")
        os.rename("old", "new")
        for number in range(kept, 6):
            os.remove(f"new/{number}.txt")
        report = bring(table, "new")
        assert (report.renamed, report.pruned, len(table.sources)) == (kept, pruned, 6 - pruned)


def test_rows_that_do_not_depend_on_the_name() -> None:
    assert same_rows("a.md", source("b.md", kind="markdown"))
    assert not same_rows("a.md", source("b.txt", kind="markdown"))
    assert not same_rows("a.py", source("b.py", kind="python"))


def test_old_names_are_gone_only_if_asked_for() -> None:
    put("docs/here.txt")
    names = {
        "docs/old.txt": OLD,
        "docs/unknown": OLD,
        "docs/new.txt": digest(b"n"),
        "docs/here.txt": digest(b"h"),
    }
    found = find(["docs"], os.getcwd())
    recognition = Recognition(names, Places(os.getcwd()), found.sources)
    assert recognition.gone(found, explicit=False) == ["docs/new.txt"]
    assert recognition.gone(found, explicit=True) == ["docs/new.txt", "docs/old.txt"]


def test_what_is_there_under_an_earlier_folder_is_not_gone(here: Path) -> None:
    put("one/docs/a.txt")
    put("two/docs/b.txt")
    found = find(["two/docs"], str(here / "two"))
    places = Places(str(here / "two"), (str(here / "one"),))
    recognition = Recognition({"docs/a.txt": digest(b"a")}, places, found.sources)
    assert recognition.gone(found, explicit=True) == []
    os.remove("one/docs/a.txt")
    assert recognition.gone(found, explicit=True) == ["docs/a.txt"]


@pytest.mark.parametrize("is_copy", [False, True])
def test_files_that_came_along_with_the_table_are_not_those_of_its_earlier_folder(
    here: Path, is_copy: bool
) -> None:
    """Unless the files are there, too: then the table was copied, and its files were not moved."""
    put("two/docs/a.txt")
    put("one/docs/b.txt")
    if is_copy:
        put("one/docs/a.txt")
    names = {"docs/a.txt": digest(b"a"), "docs/b.txt": digest(b"b")}
    other = source(str(here / "one/docs/b.txt"))
    found = find(["two/docs"], str(here / "two")).sources
    recognition = Recognition(names, Places(str(here / "two"), (str(here / "one"),)), [*found, other])
    assert recognition.earlier_name(other) == ("docs/b.txt" if is_copy else None)


def test_doubts() -> None:
    put("docs/a.txt")
    found = find(["docs"], os.getcwd())
    recognition = known({"docs/b.txt": digest(b"b")}, "docs")
    assert recognition.doubt(["docs/b.txt"], found) is None
    os.remove("docs/a.txt")
    found = find(["docs"], os.getcwd())
    assert (
        recognition.doubt(["docs/b.txt"], found) == f"{os.path.realpath('docs')} has nothing that can be read"
    )
    assert recognition.doubt(["elsewhere/b.txt"], found) is None
    found.walked.unlisted.add("/anywhere")
    assert recognition.doubt([], found) == "a folder could not be read"


# -- what is pending, and what was done ----------------------------------------------------------------------


def test_what_somebody_else_changed_is_left_out() -> None:
    pending = Pending(
        {"new/a": digest(b"a"), "new/b": digest(b"b")},
        {"old/a": "new/a", "old/b": "new/b"},
        notes={"m": digest(b"m"), "n": digest(b"n"), "other": b"note"},
        renamed=2,
    )
    now = {"old/a": digest(b"a"), "old/b": digest(b"changed"), "m": digest(b"m", OLD[:4]), "n": digest(b"x")}
    assert pending.leave_out_changed(now, ["m", "n", "p"]) == {"new/b"}
    assert (pending.moved, list(pending.digests), pending.renamed) == ({"old/a": "new/a"}, ["new/a"], 1)
    assert sorted(pending.notes) == ["m", "other"]
    moved, rest = pending.split()
    assert (moved.moved, moved.renamed, rest.moved, rest.renamed) == ({"old/a": "new/a"}, 1, {}, 0)
    assert list(rest.digests) == []
    assert rest.notes == pending.notes


@pytest.mark.parametrize(
    ("pending", "message"),
    [
        (Pending({"a": OLD}), "ingest: 1 source"),
        (Pending({"a": OLD, "b": OLD}, pruned=["c"]), "ingest: 2 sources, 1 pruned"),
        (Pending(notes={"a": OLD}), "ingest: names"),
    ],
)
def test_messages(pending: Pending, message: str) -> None:
    assert pending.message() == message
    assert pending
    assert not Pending()


def test_sources_that_could_be_read() -> None:
    assert Report(new=1, changed=2, renamed=4, unchanged=8, pruned=16, dropped=32).read == 15


# -- vectors, and processes ----------------------------------------------------------------------------------


def test_vectors_of_long_texts_are_kept_when_they_move(monkeypatch: pytest.MonkeyPatch) -> None:
    from audiomem_sql.search.models.embedders import HashingEmbedder

    columns = [name.replace("title TEXT", "title TEXT SEMANTIC") for name in SEMANTIC]
    put("docs/a.md", "# A title of its own\n\n" + "Some words of a text, and more. " * 20)
    put("docs/b.md", "# Another\n\nshort")
    with Table.create("kb.flac", columns, {"model": "hashing", "passages": "on"}) as table:
        bring(table, "docs")
        before = {row["title"]: row for row in table.search("words", k=5, column="body").to_pylist()}
        embed = HashingEmbedder.embed

        def refused(self: HashingEmbedder, given: list[str], progress: object = None) -> object:
            assert not given
            return embed(self, given, progress)  # type: ignore[arg-type]

        monkeypatch.setattr(HashingEmbedder, "embed", refused)
        os.rename("docs/a.md", "docs/z.md")
        assert bring(table, "docs").renamed == 1
        monkeypatch.undo()
        after = {row["title"]: row for row in table.search("words", k=5, column="body").to_pylist()}
        assert {title: row["distance"] for title, row in before.items()} == {
            title: row["distance"] for title, row in after.items()
        }


def test_one_process_reads_here() -> None:
    for number in range(3):
        put(f"docs/{number}.txt", f"text {number} " * (PARALLEL_BYTES // 16))
    children: list[list[int]] = []

    def look(_: object) -> None:
        children.append(sorted(child.pid for child in psutil.Process().children()))

    look(None)  # those that other tests have left
    with Table.create("kb.flac", DEFAULT_COLUMNS) as table:
        bring(table, "docs", on_source=look, processes=1)
    assert children == [children[0]] * 4
