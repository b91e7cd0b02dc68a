"""Which files a folder has, in which order, and what is left out by which patterns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.sources import find
from audiomem_sql.ingest.walking import Rules, Walked, walk

from .folders import without_rights


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o755)
    return tmp_path


def put(*names: str, text: str = "text") -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)


def names(top: str = "n", rules: Rules | None = None) -> list[str]:
    return [str(entry.path) for entry in walk(Path(top), rules or Rules(), Walked(), print, print)]


def test_what_is_excluded_is_relative_to_the_folder_that_was_named() -> None:
    put("n/a.txt", "n/b.log", "n/deep/c.log", "n/deep/n/d.txt", "n/skip/e.txt", "n/deep/skip/f.txt")
    assert len(names()) == 6
    assert names(rules=Rules(("*.log", "/skip/"))) == ["n/a.txt", "n/deep/n/d.txt", "n/deep/skip/f.txt"]
    assert names(rules=Rules(("*.log", "!b.log"))) == [
        "n/a.txt", "n/b.log", "n/deep/n/d.txt", "n/deep/skip/f.txt", "n/skip/e.txt",
    ]  # fmt: skip
    assert names(rules=Rules(("deep/skip",))) == [
        "n/a.txt", "n/b.log", "n/deep/c.log", "n/deep/n/d.txt", "n/skip/e.txt",
    ]  # fmt: skip
    with pytest.raises(OptionError, match="--exclude"):
        names(rules=Rules(("!",)))


def test_no_folder_is_visited_twice_and_what_comes_behind_is() -> None:
    put("n/a/x.txt", "n/z/y.txt", "n/z.txt")
    os.symlink("..", "n/a/loop")
    os.symlink("../z", "n/a/z")
    os.symlink("a", "n/b")
    assert names() == ["n/a/x.txt", "n/a/z/y.txt", "n/z.txt"]


def test_a_link_to_nothing_costs_itself() -> None:
    put("n/a.txt", "n/c.txt")
    os.symlink("nothing", "n/b.txt")
    skipped: list[tuple[Path, str]] = []
    faults: list[tuple[Path, str]] = []

    def skip(path: Path, reason: str) -> None:
        skipped.append((path, reason))

    found = walk(Path("n"), Rules(), Walked(), skip, lambda *fault: faults.append(fault))
    assert [str(entry.path) for entry in found] == ["n/a.txt", "n/c.txt"]
    assert skipped == [(Path("n/b.txt"), "a link to nothing")]
    assert faults == []


def test_hidden_files_and_folders() -> None:
    put("n/.a.txt", "n/.git/b.txt", "n/c.txt")
    assert names() == ["n/c.txt"]
    assert names(rules=Rules(hidden=True)) == ["n/.a.txt", "n/.git/b.txt", "n/c.txt"]


def test_ignore_files_of_each_folder_and_those_above_in_a_repository() -> None:
    put(
        "top/repo/n/a.txt",
        "top/repo/n/b.log",
        "top/repo/n/c.tmp",
        "top/repo/n/deep/d.log",
        "top/repo/n/e.bak",
    )
    put("top/.gitignore", text="a.txt\n")  # above the repository
    put("top/repo/.gitignore", text="*.log\n/n/*.bak\n")
    put("top/repo/n/.audiomemignore", text="*.tmp\n")
    put("top/repo/n/deep/.gitignore", text="!d.log\n")
    assert names("top/repo/n") == [f"top/repo/n/{name}" for name in ("a.txt", "b.log", "deep/d.log", "e.bak")]
    (Path("top/repo") / ".git").mkdir()
    assert names("top/repo/n") == ["top/repo/n/a.txt", "top/repo/n/deep/d.log"]
    assert len(names("top/repo/n", Rules(ignore_files=False))) == 5


def test_what_was_seen_on_the_way(here: Path) -> None:
    put("n/a.txt", "n/skip/b.txt", "n/closed/c.txt", "n/d.txt")
    put("n/.gitignore", text="skip\nd.txt\n")
    os.chmod("n/closed", 0)
    walked = Walked()
    faults: list[tuple[str, str]] = []
    with without_rights():
        entries = list(
            walk(Path("n"), Rules(), walked, print, lambda path, why: faults.append((str(path), why)))
        )
    assert [(str(entry.path), entry.resolved) for entry in entries] == [
        ("n/a.txt", str(here / "n" / "a.txt"))
    ]
    assert entries[0].status.st_size == 4
    assert walked.listed == {str(here / "n")}
    assert walked.unlisted == {str(here / "n" / "closed")}
    assert walked.ignored == {str(here / "n" / "skip"), str(here / "n" / "d.txt")}
    assert faults == [("n/closed", "cannot be read (Permission denied)")]
    os.chmod("n/closed", 0o755)


def test_a_line_of_an_ignore_file_that_is_no_pattern_is_told() -> None:
    put("n/a.txt", "n/b.log")
    put("n/.gitignore", text="# words\n!\n*.log\n")
    told: list[tuple[Path, str]] = []
    found = walk(Path("n"), Rules(), Walked(), lambda path, why: told.append((path, why)), print)
    assert [str(entry.path) for entry in found] == ["n/a.txt"]
    assert told == [(Path("n/.gitignore"), "line 2: ! is no pattern")]


def test_an_ignore_file_that_cannot_be_read_leaves_the_other() -> None:
    put("n/a.txt", "n/b.log")
    os.mkdir("n/.gitignore")
    put("n/.audiomemignore", text="*.log\n")
    assert names() == ["n/a.txt"]


def test_what_is_found_is_told_apart(here: Path) -> None:
    put("n/a.txt", "n/b.txt", "x.txt", "other/c.txt")
    os.symlink("/proc/self/mem", "n/denied.txt")
    os.symlink("../other", "n/link")
    faults: list[str] = []
    counts: list[int] = []
    found = find(
        ["n", "x.txt"], None, on_fault=lambda path, why: faults.append(str(path)), on_found=counts.append
    )
    assert [source.label for source in found.sources] == ["n/a.txt", "n/b.txt", "n/link/c.txt", "x.txt"]
    assert faults == ["n/denied.txt"]
    assert counts == [1, 2, 3, 4, 5]
    assert found.tops == [str(here / "n")]
    assert found.linked() == [str(here / "other")]
    assert found.is_below(str(here / "n" / "deep" / "x.txt"))
    assert not found.is_below(str(here / "nn.txt"))
    assert {os.path.basename(each) for each in found.present} == {"a.txt", "b.txt", "c.txt", "mem", "x.txt"}


def test_what_is_gone() -> None:
    put("n/a.txt", "n/deep/b.txt", "n/skip/c.txt", "m/d.txt", "n/left.txt")
    put("n/.gitignore", text="skip\n")
    found = find(["n"], None, Rules(("left.txt",)))
    top = os.path.realpath("n")
    gone = {
        "a.txt": False,  # it is there
        "x.txt": True,
        "deep/x.txt": True,
        "new/deep/x.txt": True,
        "skip/c.txt": True,  # an ignore file names it
        "skip/x.txt": True,
        "left.txt": False,  # left out, and there
        "../m/d.txt": False,  # nobody looked there
        "../m/x.txt": False,
    }
    assert {name: found.is_gone(os.path.normpath(os.path.join(top, name))) for name in gone} == gone
