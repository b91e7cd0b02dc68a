"""Every crash and every failing call of the workloads; run whole by ``make crash``, in part by the suite."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from audiomem_sql.errors import StorageError
from audiomem_sql.table.table import Table
from crash.faulty import GROWING, SYNCS, Disk, FileLayer, Operation, Tree
from crash.workload import STEPS, UNDONE, Model, check, create, small_limits

NAME = "t.flac"


@contextmanager
def quick(*, appended: bool = False) -> Iterator[None]:
    """Small limits, and no waiting for the disk: what is looked at here is in the memory of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        small_limits(patch, appended=appended)
        for name in SYNCS:
            patch.setattr(os, name, lambda handle: None)
        yield


def record(
    folder: Path, which: str, protection: str = "none", modulation: str = "pcm"
) -> tuple[list[Operation], list[str]]:
    """Everything that a workload asks of the disk, with marks.

    They are ("try", model) before a commit and ("done", model) after it.
    """
    rng = random.Random(which)
    with FileLayer(folder) as layer:
        layer.mark(("try", Model()))
        table = create(folder / NAME, protection, modulation)
        model = Model()
        layer.mark(("done", model))
        for number, step in enumerate(STEPS[which]):
            if number % 5 == 4:
                table.close()
                table = Table(folder / NAME)
            model = step(table, model, lambda after: layer.mark(("try", after)), rng)
            layer.mark(("done", model))
        table.close()
    return layer.operations, layer.calls


def check_crash(folder: Path, tree: Tree, allowed: list[Model], *, maybe_none: bool) -> None:
    """The files that a crash left open as one of the states allowed, and can be written to."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path, data in sorted(tree.items()):
        if data is None:
            (folder / path).mkdir()
        else:
            (folder / path).write_bytes(data)
    if maybe_none and NAME not in tree:
        return
    with Table(folder / NAME) as table:
        fitting = [model for model in allowed if model.newest == table.version and agrees(table, model)]
        assert fitting, f"version {table.version}, expected {[model.newest for model in allowed]}"
        after = fitting[0].with_commit(fitting[0].rows | {10_000: (10_000, "after the crash", 1, b"")})
        table.append([{"id": 10_000, "name": "after the crash", "v": 1, "b": b""}])
        check(
            table, after, all_versions=False, torn=True
        )  # a log goes on, torn pages stay until it is folded
    assert os.listdir(folder) == [NAME], "the last writer leaves one file"
    with Table(folder / NAME) as table:
        check(table, after)


def agrees(table: Table, model: Model) -> bool:
    """Whether the table is what the model says."""
    try:
        check(table, model, torn=True)
    except AssertionError:
        return False
    return True


def crash_states(operations: list[Operation], ways: int = 3) -> Iterator[tuple[str, Tree, list[Model], bool]]:
    """The states of the disk after every operation.

    Each is: what happened, what is on the disk, what it may be, whether there may be no table.

    ways: in which changes are left out by chance.
    """
    rng = random.Random(ways)
    disk, seen = Disk(), set()
    done: list[Model] = []
    attempts: list[Model] = []
    for number, operation in enumerate(operations):
        if operation.kind == "mark":
            what, model = operation.data
            if what == "try":
                attempts.append(model)
            else:
                done, attempts = [model], []
        else:
            disk.apply(operation)
        allowed = [*done, *attempts]
        for way, tree in disk.crashes(rng, ways):
            digest = hashlib.sha256(repr(sorted(tree.items())).encode())
            digest.update(repr([(id(model)) for model in allowed]).encode())
            if digest.digest() not in seen:
                seen.add(digest.digest())
                yield (
                    f"after operation {number} ({operation.kind} {operation.path}), {way}",
                    tree,
                    allowed,
                    not done,
                )


def sweep_crashes(
    folder: Path,
    which: str,
    *,
    every: int = 1,
    ways: int = 3,
    protection: str = "none",
    modulation: str = "pcm",
    appended: bool = False,
) -> int:
    """Check each crash of a workload, or one in ``every``; how many were checked."""
    checked = 0
    with quick(appended=appended):
        (folder / "recorded").mkdir()
        operations, _ = record(folder / "recorded", which, protection, modulation)
        for number, (what, tree, allowed, maybe_none) in enumerate(crash_states(operations, ways)):
            if number % every == 0:
                try:
                    check_crash(folder / "left", tree, allowed, maybe_none=maybe_none)
                except Exception as error:
                    raise AssertionError(f"{which}, {what}: {type(error).__name__}: {error}") from error
                checked += 1
    return checked


class Trouble:
    """Lets call number ``at`` fail; with ``lasting`` all of ``names`` after it, too, until :meth:`end`."""

    def __init__(self, at: int, names: tuple[str, ...] | None, *, lasting: bool) -> None:
        self.at, self.names, self.lasting = at, names, lasting
        self.count, self.over = 0, False

    def __call__(self, name: str) -> bool:
        if self.over or (self.names is not None and name not in self.names):
            return False
        self.count += 1
        return self.count > self.at if self.lasting else self.count == self.at + 1

    def end(self) -> None:
        self.over = True


def run_in_trouble(
    folder: Path,
    which: str,
    trouble: Trouble,
    error: int,
    protection: str = "none",
    modulation: str = "pcm",
) -> bool:
    """Run a workload, and return whether a step failed.

    Each step that fails must leave what was there before, and is done again.
    """
    rng = random.Random(which)
    model, failed = Model(), False
    path = folder / NAME
    with FileLayer(folder, trouble, error):
        try:
            table = create(path, protection, modulation)
        except StorageError:
            failed = True
            trouble.end()
            assert not path.exists(), "it failed, and left a table"
            table = create(path, protection, modulation)
        for number, step in enumerate(STEPS[which]):
            if number % 5 == 4:
                table.close()
                table = Table(path)
            attempts: list[Model] = []
            try:
                model = step(table, model, attempts.append, rng)
            except StorageError:
                failed = True
                trouble.end()
                table.rollback()
                with Table(path) as other:
                    if other.version != model.newest and step in UNDONE:
                        model = attempts[0]  # it is the rollback that failed, and said so
                    if other.versions[0].number > model.oldest:
                        model = attempts[0]  # a vacuum that was done when the last of its calls failed
                    check(
                        other, model, torn=protection != "none"
                    )  # a copy of the log may be lost with the disk full
                if number % 2:
                    table.close()
                    table = Table(path)
                model = step(table, model, lambda after: None, rng)
            if number % 3 == 0 or failed:
                check_now(table, model, torn=protection != "none")
        table.close()
    with Table(path) as table:
        check(table, model)
    return failed


def check_now(table: Table, model: Model, *, torn: bool) -> None:
    """The open table and one opened by somebody else. torn: a copy of the log may be behind the others."""
    table.refresh()
    check(table, model, all_versions=False, torn=torn)
    with Table(table.path) as other:
        check(other, model, all_versions=False, torn=torn)


def sweep_failures(
    folder: Path,
    which: str,
    *,
    every: int = 1,
    protection: str = "none",
    modulation: str = "pcm",
    appended: bool = False,
) -> Counter[str]:
    """Let each call fail once, and let the disk be full from each call on; how often which was done."""
    checked: Counter[str] = Counter()
    with quick(appended=appended):
        (folder / "recorded").mkdir()
        _, calls = record(folder / "recorded", which, protection, modulation)
        kinds = [
            ("call that fails", None, errno.EIO, False),
            ("full disk", GROWING, errno.ENOSPC, True),
            ("disk that fails syncs", SYNCS, errno.EIO, True),
        ]
        for kind, names, error, lasting in kinds:
            total = sum(names is None or name in names for name in calls)
            for at in range(0, total, every):
                run = folder / "run"
                shutil.rmtree(run, ignore_errors=True)
                run.mkdir()
                try:
                    trouble = Trouble(at, names, lasting=lasting)
                    run_in_trouble(run, which, trouble, error, protection, modulation)
                except Exception as problem:
                    raise AssertionError(
                        f"{which}, {kind} at {at}: {type(problem).__name__}: {problem}"
                    ) from problem
                checked[kind] += 1
    return checked
