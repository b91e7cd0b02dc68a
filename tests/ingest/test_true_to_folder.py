"""A table follows a folder: its rows are always those of a fresh ingest of what is there."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.ingest.identity import FILE, Places, is_old
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, Reading, ingest
from audiomem_sql.ingest.sources import Source, find_sources
from audiomem_sql.ingest.walking import Rules
from audiomem_sql.search.models.embedders import HashingEmbedder
from audiomem_sql.table.source_list import source_entries
from audiomem_sql.table.table import Table

from .folders import SEMANTIC, bring, ids, rows, sources, without_rights


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def table(here: Path) -> Iterator[Table]:
    with Table.create(here / "kb.flac", DEFAULT_COLUMNS) as made:
        yield made


def put(name: str | Path, text: str = "text") -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that were embedded."""
    texts: list[str] = []
    embed = HashingEmbedder.embed

    def counted(self: HashingEmbedder, given: list[str], progress: object = None) -> np.ndarray:
        texts.extend(given)
        return embed(self, given, progress)  # type: ignore[arg-type]

    monkeypatch.setattr(HashingEmbedder, "embed", counted)
    return texts


# -- identity ------------------------------------------------------------------------------------------------


def test_one_file_is_one_source_however_it_is_named(
    table: Table, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("docs/a.md", "one text")
    (here / "elsewhere" / "deep").mkdir(parents=True)
    os.symlink(here / "docs", here / "elsewhere" / "link")
    assert bring(table, "docs").new == 1
    for name in (here / "docs", "docs/a.md", "./docs/../docs", "elsewhere/link", "elsewhere/link/a.md"):
        assert bring(table, name).unchanged == 1
    monkeypatch.chdir(here / "elsewhere" / "deep")
    assert bring(table, "../../docs").unchanged == 1
    assert (sources(table), table.version) == (["docs/a.md"], 2)


def test_two_folders_of_one_name_are_two(table: Table, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "AB":
        put(here / name / "docs" / "a.txt", f"text of {name}")
        monkeypatch.chdir(here / name)
        assert bring(table, "docs").new == 1
    assert sources(table) == ["A/docs/a.txt", "B/docs/a.txt"]


def test_files_beside_the_folder_of_the_table_have_absolute_names(here: Path) -> None:
    put("docs/a.txt")
    (here / "tables").mkdir()
    with Table.create(here / "tables" / "kb.flac", DEFAULT_COLUMNS) as table:
        bring(table, "docs")
        assert sources(table) == [str(here / "docs" / "a.txt")]
        places = Places.of(table.path, source_entries(table.snapshot))
        assert places.path_of(sources(table)[0]) == str(here / "docs" / "a.txt")


def test_table_that_is_moved_with_its_folder_or_alone(here: Path) -> None:
    put("one/docs/a.txt", "first")
    put("one/docs/b.txt", "second")
    with Table.create(here / "one" / "kb.flac", DEFAULT_COLUMNS) as table:
        bring(table, "one/docs")
    shutil.move("one", "two")
    put("two/docs/a.txt", "first, and changed")
    with Table(here / "two" / "kb.flac") as table:
        report = bring(table, "two/docs")
        assert (report.changed, report.unchanged, report.new) == (1, 1, 0)
    Path("three").mkdir()
    shutil.move("two/kb.flac", "three/kb.flac")
    put("two/docs/b.txt", "second, and changed")
    with Table(here / "three" / "kb.flac") as table:
        places = Places.of(table.path, source_entries(table.snapshot))
        assert places.path_of("docs/b.txt") == str(here / "two" / "docs" / "b.txt")
        report = bring(table, "two/docs")
        assert (report.renamed, report.changed, report.new, report.pruned) == (1, 1, 0, 0)
        assert sources(table) == [str(here / "two" / "docs" / name) for name in ("a.txt", "b.txt")]


def legacy(table: Table, *given: str) -> None:
    """Ingest files as versions before did: named as they were typed, with digests that say no more."""
    reading = Reading()
    for name in given:
        (found,) = find_sources([name])
        typed = Source(found.path, name, found.size, found.kind)
        table.append(list(reading.rows(typed)), sources={name: reading.digest(typed)[:12] + b"\1\2\3\4"})


@pytest.mark.parametrize("same", [True, False], ids=["unchanged", "changed"])
def test_names_of_before_go_on(here: Path, monkeypatch: pytest.MonkeyPatch, same: bool) -> None:
    put("work/docs/a.txt", "as it was")
    (here / "tables").mkdir()
    monkeypatch.chdir(here / "work")
    with Table.create(here / "tables" / "kb.flac", DEFAULT_COLUMNS) as table:
        legacy(table, "docs/a.txt")
        if not same:
            put("docs/a.txt", "as it is")
        report = bring(table, here / "work" / "docs")
        assert (report.renamed, report.changed, report.new) == (int(same), int(not same), 0)
        assert sources(table) == [str(here / "work" / "docs" / "a.txt")]
        assert len(table) == 1
        assert list(table.sources) == sources(table)
        assert bring(table, "docs").unchanged == 1


def test_names_of_before_that_are_right_stay(table: Table) -> None:
    put("docs/a.txt", "kept")
    legacy(table, "docs/a.txt")
    assert is_old(table.sources["docs/a.txt"])
    assert bring(table, "docs").unchanged == 1
    assert table.sources["docs/a.txt"].endswith(FILE)
    version = table.version
    assert bring(table, "docs").unchanged == 1
    assert table.version == version


def test_names_of_before_are_pruned_only_when_told(table: Table) -> None:
    put("docs/a.txt")
    put("docs/b.txt", "other")
    legacy(table, "docs/a.txt", "docs/b.txt")
    os.unlink("docs/b.txt")
    assert bring(table, "docs").pruned == 0
    assert bring(table, "docs", prune=True).pruned == 1
    assert sources(table) == ["docs/a.txt"]


# -- what is gone --------------------------------------------------------------------------------------------


def test_deleted_file_loses_its_rows_and_may_come_back(table: Table) -> None:
    put("docs/a.txt", "a")
    put("docs/b.txt", "b")
    bring(table, "docs")
    os.unlink("docs/b.txt")
    assert bring(table, "docs", prune=False).pruned == 0
    report = bring(table, "docs")
    assert (report.pruned, report.rows_removed, sources(table)) == (1, 1, ["docs/a.txt"])
    assert list(table.sources) == ["docs/a.txt"]
    put("docs/b.txt", "b")
    assert bring(table, "docs").new == 1
    table.vacuum()
    os.unlink("docs/b.txt")
    bring(table, "docs")
    table.vacuum()
    assert list(table.sources) == ["docs/a.txt"]


def test_only_the_folder_that_was_named_is_pruned(table: Table) -> None:
    for name in ("docs/a.txt", "docs2/a.txt", "other/a.txt", "other/b.txt"):
        put(name, name)
    bring(table, "docs", "docs2", "other")
    given = Source(put("given.txt", "given"), "docs/note.txt", 5, "text")
    ingest(table, [given])
    table.append([{"source": "docs/by hand.txt", "seq": 0, "body": "mine"}])
    shutil.rmtree("docs2")
    os.unlink("other/a.txt")
    assert bring(table, "docs").pruned == 0
    assert bring(table, "other/b.txt").pruned == 0
    assert bring(table, "other").pruned == 1
    assert len(sources(table)) == 5


def test_folder_that_is_empty_or_cannot_be_read_is_not_pruned(here: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="audiomem-folder-"))
    folder.chmod(0o755)
    try:
        for name in ("a.txt", "deep/b.txt", "c.txt"):
            put(folder / name, name)
        with Table.create(here / "kb.flac", DEFAULT_COLUMNS) as table:
            bring(table, folder)
            (folder / "deep").chmod(0)
            (folder / "a.txt").unlink()
            with without_rights():
                faults: list[str] = []
                found = _found(folder, faults)
            assert faults == ["deep"]
            report = ingest(table, found.sources, found=found)
            assert (report.pruned, report.kept) == (0, (1, "a folder could not be read"))
            report = ingest(table, found.sources, found=found, prune=True)
            assert (report.pruned, len(sources(table))) == (1, 2)  # what is in deep is not gone
            (folder / "deep").chmod(0o755)
            shutil.rmtree(folder / "deep")
            (folder / "c.txt").unlink()
            report = bring(table, folder)
            assert (report.pruned, report.kept) == (0, (2, f"{folder} has nothing that can be read"))
            assert bring(table, folder, prune=True).pruned == 2
            assert len(table) == 0
    finally:
        shutil.rmtree(folder)


def _found(folder: Path, faults: list[str]):  # type: ignore[no-untyped-def]
    from audiomem_sql.ingest.sources import find

    return find([folder], None, on_fault=lambda path, reason: faults.append(path.name))


def test_file_that_cannot_be_read_any_more_keeps_its_rows(table: Table) -> None:
    put("docs/a.jsonl", '{"text": "fine"}\n')
    put("docs/b.txt")
    bring(table, "docs")
    Path("docs/a.jsonl").write_bytes(b"\0\1\2")
    assert bring(table, "docs").pruned == 0
    assert sources(table) == ["docs/a.jsonl", "docs/b.txt"]


# -- renames -------------------------------------------------------------------------------------------------


def test_renamed_file_keeps_its_rows_and_vectors(here: Path, embedded: list[str]) -> None:
    for number in range(5):
        put(f"docs/{number}.md", f"# Part\n\nText number {number} is here.\n")
    with Table.create(here / "kb.flac", SEMANTIC, {"model": "hashing"}) as table:
        bring(table, "docs")
        assert len(embedded) == 5
        before, version = ids(table), table.version
        os.rename("docs/1.md", "docs/one.md")
        shutil.move("docs", "notes")
        put("notes/5.md", "A new one.")
        report = bring(table, "notes")
        assert (report.renamed, report.new, report.pruned, report.commits) == (5, 1, 0, 1)
        assert (report.rows_added, report.rows_removed, table.version) == (1, 0, version + 1)
        assert embedded[5:] == ["A new one."]
        assert {text: key for text, key in ids(table).items() if text in before} == before
        assert sources(table) == [f"notes/{name}.md" for name in ("0", "2", "3", "4", "5", "one")]
        assert next(iter(table.search("number 3", k=1).to_pylist()))["source"] == "notes/3.md"
        embedded.clear()
        put("notes/3.md", "# Part\n\nText number 3 is here.\n\n# More\n\nAnd more.\n")
        assert bring(table, "notes").changed == 1
        assert embedded == ["And more."]


def test_copy_is_a_source_of_its_own(here: Path, embedded: list[str]) -> None:
    put("docs/a.md", "The same text.")
    with Table.create(here / "kb.flac", SEMANTIC, {"model": "hashing"}) as table:
        bring(table, "docs")
        put("docs/b.md", "The same text.")
        report = bring(table, "docs")
        assert (report.new, report.renamed, len(table), len(embedded)) == (1, 0, 2, 1)


def test_renamed_rows_keep_columns_of_the_user(here: Path) -> None:
    put("docs/a.txt", "text a")
    with Table.create(here / "kb.flac", [*DEFAULT_COLUMNS, "stars INTEGER DEFAULT 1"]) as table:
        bring(table, "docs")
        table.append(
            [row | {"stars": 5} for row in table.to_arrow().to_pylist()], replace="source = 'docs/a.txt'"
        )
        os.rename("docs/a.txt", "docs/b.txt")
        put("docs/c.txt", "text c")
        report = bring(table, "docs")
        assert (report.renamed, report.new) == (1, 1)
        stars = {row["source"]: row["stars"] for row in table.to_arrow().to_pylist()}
        assert stars == {"docs/b.txt": 5, "docs/c.txt": 1}


def test_rename_while_somebody_else_commits(table: Table, here: Path) -> None:
    put("docs/a.txt", "text a")
    bring(table, "docs")
    os.rename("docs/a.txt", "docs/b.txt")
    overtaken: list[int] = []

    def overtake(count: int) -> None:
        if not overtaken:
            overtaken.append(count)
            with Table(here / "kb.flac") as other:
                (row,) = other.to_arrow().to_pylist()
                other.append([row | {"importance": 0.5}], replace="id = 1")

    assert bring(table, "docs", on_commit=overtake).renamed == 1
    (row,) = table.to_arrow().to_pylist()
    assert (row["source"], row["importance"], row["id"]) == ("docs/b.txt", 0.5, 1)


def test_other_suffix_is_read_again(here: Path, embedded: list[str]) -> None:
    put("docs/a.txt", "Heading\n=======\n\nText below.\n")
    with Table.create(here / "kb.flac", SEMANTIC, {"model": "hashing"}) as table:
        bring(table, "docs")
        os.rename("docs/a.txt", "docs/a.log")
        assert bring(table, "docs").renamed == 1
        assert [(row[0], row[3]) for row in rows(table)] == [("docs/a.log", None)]


# -- what is left out ----------------------------------------------------------------------------------------


def test_ignore_files(table: Table) -> None:
    for name in (
        "a.md", "b.log", "keep.log", "build/x.md",
        "deep/c.md", "deep/d.md", "deep/build/y.md", ".secret/z.md",
    ):  # fmt: skip
        put(f"repo/docs/{name}", name)
    put("repo/.gitignore", "build/\n")
    put("repo/docs/.gitignore", "*.log\n!keep.log\n")
    put("repo/docs/deep/.audiomemignore", "/d.md\n")
    bring(table, "repo/docs")
    build = ["repo/docs/build/x.md", "repo/docs/deep/build/y.md"]
    rest = ["repo/docs/a.md", "repo/docs/deep/c.md", "repo/docs/keep.log"]
    assert sources(table) == sorted(rest + build)  # nothing says that this is a repository
    Path("repo/.git").mkdir()
    assert bring(table, "repo/docs").pruned == 2
    assert sources(table) == rest
    bring(table, "repo/docs", rules=Rules(hidden=True, exclude=("a.md",)))
    assert sources(table) == sorted([*rest, "repo/docs/.secret/z.md", *_dot_files(table)])
    report = bring(table, "repo/docs", rules=Rules(ignore_files=False))
    assert (report.new, report.pruned) == (4, 0)


def _dot_files(table: Table) -> list[str]:
    return [name for name in sources(table) if name.endswith("ignore")]


def test_what_is_excluded_once_is_not_pruned(table: Table) -> None:
    put("docs/a.md", "a")
    put("docs/sub/b.md", "b")
    bring(table, "docs")
    assert bring(table, "docs", rules=Rules(exclude=("sub/",))).pruned == 0
    assert len(sources(table)) == 2


# -- whatever is done ----------------------------------------------------------------------------------------

_WORDS = ("rain", "stone", "river", "lamp", "paper", "cloud")


class _Tree:
    """A folder in which things happen at random."""

    def __init__(self, top: Path, seed: int) -> None:
        self.top = top
        self.random = random.Random(seed)
        top.mkdir()
        # a folder that was moved is known by what did not change in it
        (top / "anchor.md").write_text("# Anchor\n\nAlways here.\n")
        for _ in range(6):
            self.write()

    def _files(self) -> list[Path]:
        return sorted(path for path in self.top.rglob("*") if path.is_file() and path.name[0] not in ".a")

    def _folders(self) -> list[Path]:
        return [self.top, *sorted(path for path in self.top.rglob("*") if path.is_dir())]

    def _text(self) -> str:
        words = self.random.choices(_WORDS, k=self.random.randint(1, 5))
        return "".join(f"# {word}\n\nA {word} and no {self.random.choice(_WORDS)}.\n\n" for word in words)

    def _free(self) -> Path:
        folder = self.random.choice(self._folders())
        if self.random.random() < 0.3:
            folder = folder / f"d{self.random.randint(0, 3)}"
        if folder.is_file():
            return self._free()
        folder.mkdir(exist_ok=True)
        path = folder / f"{self.random.randint(0, 9)}.{self.random.choice(('md', 'txt'))}"
        return self._free() if path.exists() else path

    def write(self) -> None:
        self._free().write_text(self._text())

    def edit(self) -> None:
        if files := self._files():
            self.random.choice(files).write_text(self._text())

    def rename(self) -> None:
        if files := self._files():
            os.rename(self.random.choice(files), self._free())

    def swap(self) -> None:
        if len(files := self._files()) > 1:
            one, other = self.random.sample(files, 2)
            os.rename(one, self.top / ".swap")
            os.rename(other, one)
            os.rename(self.top / ".swap", other)

    def copy(self) -> None:
        if files := self._files():
            shutil.copy(self.random.choice(files), self._free())

    def delete(self) -> None:
        if files := self._files():
            self.random.choice(files).unlink()

    def move_folder(self) -> None:
        folders = [each for each in self._folders() if each != self.top]
        if folders:
            os.rename(self.random.choice(folders), self.top / f"m{self.random.randint(0, 10**6)}")

    def ignore(self) -> None:
        (self.top / ".gitignore").write_text(
            self.random.choice(("*.txt\n", "d1/\n", "[0-4].md\n!1.md\n", ""))
        )

    def move_all(self) -> None:
        moved = self.top.with_name(f"top{self.random.randint(0, 10**6)}")
        os.rename(self.top, moved)
        self.top = moved

    def step(self) -> None:
        """One to four things happen."""
        steps = (
            self.write, self.edit, self.rename, self.swap, self.copy, self.delete, self.move_folder,
            self.ignore, self.move_all,
        )  # fmt: skip
        for action in self.random.choices(steps, k=self.random.randint(1, 4)):
            action()


@pytest.mark.parametrize("seed", range(5))
def test_rows_are_those_of_a_fresh_ingest(here: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    tree = _Tree(here / "top", seed)
    outside = put(here / "outside" / "docs" / "kept.txt", "never touched")
    os.mkdir(here / "cwd")
    with Table.create(here / "kb.flac", SEMANTIC, {"model": "hashing"}) as table:
        bring(table, outside.parent)
        for step in range(6):
            tree.step()
            link = here / "cwd" / f"link{step}"
            os.symlink(tree.top, link)
            monkeypatch.chdir(tree.random.choice((here, here / "cwd", tree.top)))
            way = tree.random.choice((tree.top, link, Path(os.path.relpath(tree.top))))
            before = table.version
            report = bring(table, way, prune=True)
            assert table.version <= before + 1
            fresh_path = here / f"fresh{step}.flac"
            with Table.create(fresh_path, SEMANTIC, {"model": "hashing"}) as fresh:
                bring(fresh, outside.parent, tree.top)
                assert rows(table) == rows(fresh), (seed, step, report)
                assert set(table.sources) == set(fresh.sources)
                assert _vectors(table) == _vectors(fresh)
            again = bring(table, way)
            assert (again.commits, again.new, again.changed, again.renamed, again.pruned) == (0, 0, 0, 0, 0)


def _vectors(table: Table) -> dict[str, bytes]:
    """The vector of each text."""
    schema = table.snapshot.schema
    (vector,) = schema.vectors.values()
    body = schema.index("body")
    stored = (table.snapshot.stored_row(row["id"]) for row in table.to_arrow().to_pylist())
    return {str(row[body]): bytes(row[vector]) for row in stored if row is not None}  # type: ignore[arg-type]


def test_nothing_of_a_commit_that_fails_stays(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    put("docs/a.txt", "a")
    put("docs/b.txt", "b")
    bring(table, "docs")
    before, version = rows(table), table.version
    os.rename("docs/a.txt", "docs/c.txt")
    os.unlink("docs/b.txt")

    def fail(*_: object, **how: object) -> int:
        raise DamagedFileError("no")

    with monkeypatch.context() as patched:
        patched.setattr(Table, "exchange", fail)
        with pytest.raises(DamagedFileError):
            bring(table, "docs")
    assert (rows(table), table.version) == (before, version)
    report = bring(table, "docs")
    assert (report.renamed, report.pruned, report.commits) == (1, 1, 1)
