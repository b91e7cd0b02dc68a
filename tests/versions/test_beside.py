"""``deltas=beside``: commits do not touch the table's file; sealed files beside it are one chain with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audiomem_sql.cli.main import run
from audiomem_sql.errors import AudioMemError, DamagedFileError, DamageWarning, OptionError
from audiomem_sql.table.dropping import drop
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import TableFiles

V1 = Path(__file__).parents[1] / "fixtures" / "v1"
COLUMNS = ["id INTEGER PRIMARY KEY", "v TEXT"]


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def rows(table: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_arrow().sort_by("id").to_pylist()
    return found


def history(table: Table) -> list[Any]:
    return [(version, rows(table.checkout(version=version.number))) for version in table.versions]


def make(path: Path, **options: str) -> None:
    """A base with two versions."""
    Table.create(path, COLUMNS, {"profile": "embedded", "deltas": "beside", **options}).close()
    with Table(path) as table:
        table.append([{"v": str(number)} for number in range(50)])


def session(path: Path, text: str) -> None:
    """Three versions more, folded when the table is closed."""
    with Table(path) as table:
        table.append([{"v": text}])
        transaction = table.begin()
        transaction.delete(table.version)
        table.commit()
        table.append([{"v": text + text}], message=text)


@pytest.mark.parametrize("protection", ["none", "standard"])
def test_the_base_is_not_touched(tmp_path: Path, protection: str) -> None:
    path = tmp_path / "t.flac"
    make(path, protection=protection)
    base, status = path.read_bytes(), path.stat()
    assert names(tmp_path) == ["t.flac"]
    with Table(path) as table:
        table.append([{"v": "logged"}])
        assert names(tmp_path) == ["t.flac", "t.flac-wal", "t.flac.d/head"]
        table.append([{"v": "x" * 900} for _ in range(5000)])  # a commit that is a segment of its own
        assert "t.flac.d/00000004.flac" in names(tmp_path)
        assert list(problems(table)) == []
    session(path, "more")
    assert names(tmp_path) == [
        "t.flac", "t.flac.d/00000003.flac", "t.flac.d/00000004.flac", "t.flac.d/00000007.flac",
        "t.flac.d/head",
    ]  # fmt: skip
    assert path.read_bytes() == base
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    with Table(path) as table:
        before = history(table)
        generations = [segment.catalog.seal.generation for segment in table.snapshot.segments]  # type: ignore[union-attr]
        assert generations == sorted(set(generations))
        assert list(problems(table)) == []
        table.backup(tmp_path / "copy.flac")
        with Table(tmp_path / "copy.flac") as copy:
            assert history(copy) == before
        table.merge()
        assert [name for name in names(tmp_path) if ".d" in name] == [
            "t.flac.d/00000007.flac",
            "t.flac.d/head",
        ]
        assert path.read_bytes() == base
        assert history(table) == before
    with Table(path) as table:
        assert history(table) == before
        assert list(problems(table)) == []
        newest = table.snapshot.segments[-1]
        table.vacuum()
        assert names(tmp_path) == ["copy.flac", "t.flac"]
        seal = table.snapshot.segments[0].catalog.seal
        assert seal is not None
        assert seal.before is not None
        assert (seal.before.segment_id, seal.before.digest) == (newest.catalog.segment_id, newest.digest)
        assert history(table) == before
        assert table.options.deltas == "beside"


def test_the_option(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with pytest.raises(OptionError, match="deltas 'above' does not exist"):
        Table.create(path, COLUMNS, {"deltas": "above"})
    make(path)
    session(path, "one")
    with Table(path) as table:
        before = history(table)
        table.transcode({"deltas": "inside"})
        assert "deltas" not in table.options.to_catalog()
        table.append([{"v": "inside"}])
    assert names(tmp_path) == ["t.flac"]
    with Table(path) as table:
        assert history(table)[: len(before)] == before
        table.transcode({"deltas": "beside"})
    session(path, "two")
    assert names(tmp_path) == ["t.flac", "t.flac.d/00000009.flac", "t.flac.d/head"]


Change = Callable[[Path, Path], object]


def remove(*removed: str) -> Change:
    def change(path: Path, other: Path) -> None:
        for name in removed:
            os.unlink(path.parent / name)

    return change


def take_from_other(*taken: str) -> Change:
    def change(path: Path, other: Path) -> None:
        for name in taken:
            shutil.copy(other.parent / name, path.parent / name)

    return change


def rename(name: str, new: str) -> Change:
    def change(path: Path, other: Path) -> None:
        os.rename(path.parent / name, path.parent / new)

    return change


def double(name: str, new: str) -> Change:
    def change(path: Path, other: Path) -> None:
        shutil.copy(path.parent / name, path.parent / new)

    return change


def all_of(*changes: Change) -> Change:
    def change(path: Path, other: Path) -> None:
        for each in changes:
            each(path, other)

    return change


D = "t.flac.d"
HISTORY = "continues segment .* one of them is of another history"


def refused(path: Path, words: str) -> None:
    """Reading, writing and verify say so, and leave every file as it was."""
    before = contents(path.parent)
    with pytest.raises(DamagedFileError, match=words) as error:
        Table(path)
    assert error.value.file
    assert error.value.remedy
    assert run(["verify", str(path)]) == 1
    assert run(["sql", str(path), "INSERT INTO t(v) VALUES ('more')"]) != 0
    assert contents(path.parent) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder)}


@pytest.fixture
def siblings(tmp_path: Path) -> tuple[Path, Path]:
    """Two tables that went on separately, by three sessions each: deltas that end with 5, 8 and 11.

    Beside the first is ``heads``, with its head file after each session.
    """
    path, other = tmp_path / "one" / "t.flac", tmp_path / "two" / "t.flac"
    path.parent.mkdir()
    make(path)
    shutil.copytree(path.parent, other.parent)
    (tmp_path / "heads").mkdir()
    for number in range(3):
        session(path, "one")
        shutil.copy(path.parent / D / "head", tmp_path / "heads" / str(number))
        session(other, "two")
    return path, other


def old_head(number: int) -> Change:
    def change(path: Path, other: Path) -> None:
        shutil.copy(path.parent.parent / "heads" / str(number), path.parent / D / "head")

    return change


@pytest.mark.damages
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (remove(f"{D}/00000005.flac"), "version 3 is missing: the next one is .*00000008"),
        (remove(f"{D}/00000008.flac"), "version 6 is missing: the next one is .*00000011"),
        (remove(f"{D}/00000011.flac"), "newest delta is missing .*: the table ended with version 11"),
        (
            remove(f"{D}/00000011.flac", f"{D}/00000008.flac", f"{D}/00000005.flac"),
            "newest delta is missing .*: the table ended with version 11, .* what is there with version 2",
        ),
        (remove(f"{D}/head"), "d/head: is missing: .*/t.flac has deltas up to version 11, segment"),
        (
            remove(f"{D}/head", f"{D}/00000011.flac"),
            "d/head: is missing: .*/t.flac has deltas up to version 8, segment",
        ),
        (old_head(0), "newest delta is missing or another one: the table ended with version 5, .* 11"),
        (
            all_of(old_head(1), remove(f"{D}/00000011.flac", f"{D}/00000008.flac")),
            "the table ended with version 8, .* what is there with version 5",
        ),
        (take_from_other(f"{D}/00000005.flac"), HISTORY),
        (take_from_other(f"{D}/00000008.flac"), HISTORY),
        (take_from_other(f"{D}/00000011.flac"), HISTORY),
        (take_from_other(f"{D}/00000008.flac", f"{D}/00000011.flac"), HISTORY),
        (take_from_other(f"{D}/00000011.flac", f"{D}/head"), HISTORY),
        (take_from_other(f"{D}/head"), "newest delta is missing or another one"),
        (
            all_of(take_from_other(f"{D}/head"), remove(f"{D}/00000011.flac")),
            "newest delta is missing or another one: the table ended with version 11, .* version 8",
        ),
        (rename(f"{D}/00000005.flac", f"{D}/00000004.flac"), "version 4 is missing: .* ends with version 5"),
        (rename(f"{D}/00000011.flac", f"{D}/00000012.flac"), "version 12 is missing: .* with version 11"),
        (double(f"{D}/00000011.flac", f"{D}/00000012.flac"), "version 12 is missing: .* with version 11"),
        (double("t.flac", f"{D}/00000012.flac"), "version 12 is missing: .* ends with version 2"),
        (lambda path, other: (path.parent / f"{D}/head").write_bytes(b"0" * 96), "head: is damaged"),
        (lambda path, other: os.truncate(path.parent / f"{D}/head", 0), "head: is damaged"),
    ],
)
def test_what_is_missing_or_of_a_sibling_is_told(
    siblings: tuple[Path, Path], change: Change, words: str
) -> None:
    change(*siblings)
    refused(siblings[0], words)


@pytest.mark.damages
@pytest.mark.parametrize(
    "change",
    [
        double(f"{D}/00000008.flac", f"{D}/00000007.flac"),  # within the versions of the delta behind it
        double(f"{D}/00000005.flac", f"{D}/00000002.flac"),  # not above the last version of the file
        old_head(1),  # as a crash leaves it
        double(f"{D}/00000008.flac", f"{D}/of-another-program"),
    ],
)
def test_what_changes_nothing(siblings: tuple[Path, Path], change: Change) -> None:
    path, _ = siblings
    with Table(path) as table:
        before = history(table)
    change(*siblings)
    with Table(path) as table:
        assert history(table) == before
        table.append([{"v": "after"}])
    with Table(path) as table:
        assert history(table)[:-1] == before
    assert [name for name in names(path.parent) if name[-12:-5].isdigit()] == [
        f"{D}/00000005.flac", f"{D}/00000008.flac", f"{D}/00000011.flac", f"{D}/00000012.flac"
    ]  # fmt: skip


@pytest.mark.damages
def test_a_file_without_its_folder_is_the_table_that_it_was(siblings: tuple[Path, Path]) -> None:
    """No commit touches the file: nothing in it can tell. So it is with the whole folder of a sibling."""
    path, other = siblings
    with Table(other) as table:
        expected = history(table)
    shutil.rmtree(path.parent / D)
    with Table(path) as table:
        assert history(table) == expected[:2]
        assert list(problems(table)) == []
    shutil.copytree(other.parent / D, path.parent / D)
    with Table(path) as table:
        assert history(table) == expected


@pytest.mark.damages
@pytest.mark.parametrize("work", ["merge", "vacuum"])
def test_deltas_of_another_generation(siblings: tuple[Path, Path], tmp_path: Path, work: str) -> None:
    path, _ = siblings
    shutil.copytree(path.parent, tmp_path / "old")
    with Table(path) as table:
        getattr(table, work)()
        before = history(table)
    # What was replaced comes back: it is passed over, and the next writer deletes it.
    for name in ("00000005.flac", "00000008.flac"):
        path.with_name(D).mkdir(exist_ok=True)
        shutil.copy(tmp_path / "old" / D / name, path.parent / D / name)
    with Table(path) as table:
        assert history(table) == before
        assert list(problems(table)) == []
    session(path, "more")
    with Table(path) as table:
        assert history(table)[: len(before)] == before
        assert list(problems(table)) == []
    newer = [f"{D}/00000011.flac"] if work == "merge" else []
    assert names(path.parent) == ["t.flac", *newer, f"{D}/00000014.flac", f"{D}/head"]
    shutil.copytree(path.parent, tmp_path / "new")
    # An old head file, and an old base.
    shutil.copy(tmp_path / "old" / D / "head", path.parent / D / "head")
    words = "newest delta is missing or another" if work == "merge" else "head: is of an older state"
    refused(path, words)
    shutil.copy(tmp_path / "new" / D / "head", path.parent / D / "head")
    if work == "merge":
        shutil.copy(tmp_path / "old" / D / "00000011.flac", path.parent / D / "00000011.flac")
    else:
        shutil.copy(tmp_path / "old" / "t.flac", path)
    refused(path, HISTORY if work == "merge" else "version 3 is missing: the next one is .*00000014.flac")


@pytest.mark.damages
def test_deltas_of_a_sibling_beside_a_vacuumed_file(siblings: tuple[Path, Path]) -> None:
    """They are of versions that the file has. They are passed over, and stay; verify names them."""
    path, other = siblings
    with Table(path) as table:
        table.vacuum()
        before = history(table)
    shutil.copytree(other.parent / D, path.parent / D)
    with Table(path) as table:
        assert history(table) == before
        told = list(problems(table))
        assert [os.path.basename(each.file) for each in told] == [
            "00000005.flac",
            "00000008.flac",
            "00000011.flac",
        ]
        assert all("is of another history" in each.what for each in told)
        table.append([{"v": "more"}])
    assert f"{D}/00000011.flac" in names(path.parent)
    with Table(path) as table:
        assert history(table)[:-1] == before


@pytest.mark.damages
def test_a_head_file_of_another_table(siblings: tuple[Path, Path], tmp_path: Path) -> None:
    path, _ = siblings
    (tmp_path / "three").mkdir()
    make(tmp_path / "three" / "t.flac")
    session(tmp_path / "three" / "t.flac", "three")
    shutil.copy(tmp_path / "three" / D / "head", path.parent / D / "head")
    refused(path, "head: is of table .*, but .* is table")
    shutil.rmtree(path.parent / D)
    shutil.copytree(tmp_path / "three" / D, path.parent / D)
    refused(path, "is of table|belongs to another table")


@pytest.mark.damages
def test_a_delta_of_version_1_behind_a_newer_file(tmp_path: Path) -> None:
    """Of two copies of a table of version 1 one was written to, and the other was not."""
    for name in ("versions.flac", "versions.flac.d"):
        source = V1 / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    path = tmp_path / "versions.flac"
    last = TableFiles.at(path).deltas()[-1][1]
    kept = Path(last).read_bytes()
    os.unlink(last)
    with Table(path) as table:
        table.vacuum()
        assert not table.snapshot.needs_upgrade
    os.makedirs(os.path.dirname(last))
    Path(last).write_bytes(kept)
    with pytest.raises(DamagedFileError, match=r"is in format version 1, but .* in a newer one"):
        Table(path)


@pytest.mark.damages
def test_forked_histories(tmp_path: Path) -> None:
    """Two copies go on; deltas and a log of the one come to the other. No state that never was is read."""
    one, two = tmp_path / "one" / "t.flac", tmp_path / "two" / "t.flac"
    one.parent.mkdir()
    make(one)
    shutil.copytree(one.parent, two.parent)
    for text in ("one", "more"):
        with Table(one) as table:
            table.append([{"v": text}])
    with Table(two) as table:
        table.append([{"v": "two"}])
        table.checkpoint()
        table.append([{"v": "logged"}])
        table.append([{"v": "logged, too"}])
        shutil.copytree(two.parent, tmp_path / "log")
    two = tmp_path / "log" / "t.flac"
    states = []
    for path in (one, two):
        with Table(path) as table:
            states += [repr(kept) for _, kept in history(table)]
    for number, taken in enumerate(
        [(f"{D}/00000003.flac",), ("t.flac-wal",), (f"{D}/00000003.flac", "t.flac-wal"), (f"{D}/head",)]
    ):
        shutil.copytree(one.parent, tmp_path / str(number))
        take_from_other(*taken)(tmp_path / str(number) / "t.flac", two)
        refused(tmp_path / str(number) / "t.flac", "of another history|newest delta is missing or another")
        with pytest.warns(DamageWarning), Table(tmp_path / str(number) / "t.flac", salvage=True) as left:
            assert repr(rows(left)) in states or left.snapshot.gaps  # type: ignore[attr-defined]
    shutil.copytree(one.parent, tmp_path / "all")
    take_from_other(f"{D}/00000003.flac", f"{D}/head", "t.flac-wal")(tmp_path / "all" / "t.flac", two)
    refused(tmp_path / "all" / "t.flac", HISTORY)


@pytest.mark.damages
@pytest.mark.parametrize("without", ["log", "head", "head and log"])
def test_without_log_or_head(tmp_path: Path, without: str) -> None:
    """After a kill. A log proves itself by the segment that it continues."""
    (tmp_path / "one").mkdir()
    path, copy = tmp_path / "one" / "t.flac", tmp_path / "two" / "t.flac"
    make(path)
    with Table(path) as table:
        before = history(table)
        table.append([{"v": "logged"}])
        expected = history(table)
        shutil.copytree(path.parent, copy.parent)
        with Table(copy) as killed:
            assert history(killed) == expected
    if "log" in without:
        os.unlink(f"{copy}-wal")
    if "head" in without:
        shutil.rmtree(copy.parent / D)
    if without == "log":
        refused(copy, r"version 3 and those after it are in .*t.flac-wal, which is not here")
        return
    with Table(copy) as table:  # without both: as a file without its folder
        assert history(table) == (before if without == "head and log" else expected)
        table.append([{"v": "next"}])
    with Table(copy) as table:
        assert history(table)[:-1] == (before if without == "head and log" else expected)


@pytest.mark.damages
@pytest.mark.parametrize("first", [True, False])
def test_a_log_of_another_session(tmp_path: Path, first: bool) -> None:
    """Head file and log of two sessions that continue the same segment."""
    (tmp_path / "one").mkdir()
    path = tmp_path / "one" / "t.flac"
    make(path)
    if not first:
        session(path, "one")
    copies = []
    for name in ("a", "b"):
        shutil.copytree(path.parent, tmp_path / name)
        table = Table(tmp_path / name / "t.flac")
        table.append([{"v": name}])
        copies.append(tmp_path / (name + " open") / "t.flac")
        shutil.copytree(tmp_path / name, copies[-1].parent)
        table.close()
    take_from_other("t.flac-wal")(*copies)
    refused(copies[0], "the log is of session .*, but .* goes with session")


@pytest.mark.damages
@pytest.mark.parametrize(
    "change",
    [
        old_head(0),
        remove(f"{D}/head"),
        take_from_other(f"{D}/head"),
        remove(f"{D}/00000011.flac"),
        take_from_other(f"{D}/00000011.flac"),
        lambda path, other: shutil.move(path.parent / D, path.parent / "elsewhere"),
    ],
)
def test_what_is_done_to_the_folder_of_an_open_writer(siblings: tuple[Path, Path], change: Change) -> None:
    """The next commit is refused, and leaves what is there."""
    path, _ = siblings
    with Table(path) as table:
        table.append([{"v": "before"}])
        transaction = table.begin()
        transaction.insert(900, (900, "late"))
        change(*siblings)
        there = contents(path.parent)
        with pytest.raises(AudioMemError, match=r"t\.flac"):
            table.commit()
        found = contents(path.parent)
        assert {name: found[name] for name in found if name != "t.flac-wal"} == {
            name: there[name] for name in there if name != "t.flac-wal"
        }
        with pytest.raises(AudioMemError):
            table.append([{"v": "again"}])


@pytest.mark.parametrize("work", ["merge", "segment", "nothing"])
def test_a_leftover_log_is_known_after_more_work(tmp_path: Path, work: str) -> None:
    """The power failed, and the deletion of the log was lost; a merge or a large commit was not."""
    path = tmp_path / "t.flac"
    make(path)
    session(path, "one")
    with Table(path) as table:
        table.append([{"v": "logged"}])
        shutil.copy(f"{path}-wal", tmp_path / "leftover")
        table.checkpoint()
        if work == "merge":
            table.merge()
        elif work == "segment":
            table.append([{"v": "x" * (1 << 19)}])
        expected = history(table)
    shutil.copy(tmp_path / "leftover", f"{path}-wal")
    with Table(path) as table:
        assert history(table) == expected
        table.append([{"v": "next"}])
        assert history(table)[:-1] == expected
    with Table(path) as table:
        assert history(table)[:-1] == expected
    assert "t.flac-wal" not in names(tmp_path)


def test_sessions_one_after_another_and_at_once(tmp_path: Path) -> None:
    """A commit that is taken back, a checkpoint and another writer change the head file; nobody minds."""
    path = tmp_path / "t.flac"
    make(path)
    with Table(path) as one, Table(path) as two:
        for number in range(4):
            one.append([{"v": "one"}])
            two.begin().insert(500 + number, (500 + number, "x"))
            two.prepare()
            two.rollback()
            two.append([{"v": "two"}])
            one.begin().insert(600 + number, (600 + number, "y" * (1 << 19)))
            one.prepare()
            one.rollback()
            one.append([{"v": "more"}])
            if number % 2:
                two.checkpoint()
        assert len(one) == len(two) == 62
    assert "t.flac-wal" not in names(tmp_path)
    with Table(path) as table:
        assert len(table) == 62
        assert list(problems(table)) == []


def test_what_is_taken_back_leaves_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    make(path)
    with Table(path) as table:
        for size in (10, 1 << 19):
            table.begin().insert(500, (500, "x" * size))
            table.prepare()
            table.rollback()
            assert len(table) == 50
    assert names(tmp_path) == ["t.flac"]
    assert not path.with_name(D).exists()


@pytest.mark.parametrize("protection", ["none", "standard", "archive"])
def test_copies_of_the_head_record(tmp_path: Path, protection: str) -> None:
    """With protection a lost sector costs one of several; verify says so, and repair writes it again."""
    path = tmp_path / "t.flac"
    make(path, protection=protection)
    session(path, "one")
    head = path.parent / D / "head"
    whole = head.read_bytes()
    count = {"none": 1, "standard": 3, "archive": 6}[protection]
    assert len(whole) == 4096 * (count - 1) + 88
    for lost in range(count - 1):
        damaged = bytearray(whole)
        damaged[: 4096 * lost + 1] = bytes(4096 * lost + 1)
        head.write_bytes(damaged)
        with Table(path) as table:
            (told,) = problems(table)
            assert (told.file, told.repair) == (str(head), "file")
            assert f"{lost + 1} of {count} copies" in told.what
            repairs = table.repair()
            assert [repair.file for repair in repairs if repair.changed] == [str(head)]
            assert list(problems(table)) == []
        assert head.read_bytes() == whole


def test_many_small_deltas_are_merged(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    make(path)
    base = path.read_bytes()
    for number in range(34):
        with Table(path) as table:
            table.append([{"v": str(number)}])
    assert len(TableFiles.at(path).deltas()) <= 4 + 2  # of eight and of one
    assert path.read_bytes() == base
    with Table(path) as table:
        assert len(table) == 84
        assert list(problems(table)) == []


@pytest.mark.parametrize("work", ["fold", "merge", "vacuum", "announce", "segment"])
def test_a_kill_between_any_two_steps(tmp_path: Path, work: str) -> None:
    """Whatever step is the last, the next who opens the table finds every version, and goes on."""
    first = tmp_path / "first"
    first.mkdir()
    make(first / "t.flac")
    session(first / "t.flac", "one")
    session(first / "t.flac", "two")
    steps = 0
    while True:
        folder = tmp_path / str(steps)
        shutil.copytree(first, folder)
        path = folder / "t.flac"
        pid = os.fork()
        if pid == 0:
            ended = 1
            try:
                ended = die_after(path, work, steps)
            finally:
                os._exit(ended)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert code in (0, 9)
        with Table(path) as table:
            found = history(table)
            commits = work in ("announce", "fold", "segment")
            assert len(found) in ((8, 9) if commits else (8,))
            if code == 0 and commits:
                assert len(found) == 9
            table.append([{"v": "after"}])
        with Table(path) as table:
            assert history(table)[: len(found)] == found
            assert list(problems(table)) == []
        if code == 0:
            break
        steps += 1
    assert steps > 3


def die_after(path: Path, work: str, steps: int) -> int:
    """Do the work, but end the process before step ``steps`` that changes a name or makes one durable."""
    left = steps

    def counted(call: Any) -> Any:
        def step(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1
            return call(*arguments, **named)

        return step

    table = Table(path)
    if work == "fold":
        table.append([{"v": "logged"}])
    for name in ("replace", "unlink", "rmdir", "link", "fsync", "rename"):
        setattr(os, name, counted(getattr(os, name)))
    if work in ("announce", "segment"):
        table.append([{"v": "logged" if work == "announce" else "x" * (1 << 19)}])
        return 0
    {"fold": table.checkpoint, "merge": table.merge, "vacuum": table.vacuum}[work]()
    return 0


def test_drop_deletes_all_of_it(tmp_path: Path) -> None:
    make(tmp_path / "t.flac")
    session(tmp_path / "t.flac", "one")
    drop(tmp_path / "t.flac")
    assert names(tmp_path) == []
    assert not (tmp_path / "t.flac.d").exists()
