"""The two sides: a connection with native STRICT tables, and one with ours. Names are the same on both."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.search import FoundRow
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

from .known import known
from .steps import Bindings, Difference, Step, Tally

#: A folder in memory, where there is one: no call waits for a disk.
MEMORY = next((folder for folder in ("/dev/shm",) if os.access(folder, os.W_OK)), None)

Rows = list[tuple[Any, ...]]
_NAMES_ROWID = re.compile(r"^(INSERT|REPLACE).*?\(rowid\b")


def _marked(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Values with their types. Reals are compared digit by digit: -0.0 is not 0.0.

    apsw shows an object where the hidden column called like the table holds NULL.
    """
    values = (None if isinstance(value, FoundRow) else value for value in row)
    return tuple(
        (type(value).__name__, repr(value) if isinstance(value, float) else value) for value in values
    )


class Sides:
    """Runs steps on both sides and compares.

    Parameters
    ----------
    extension : bool
        Whether ours is the table of the loadable extension, or the one in Python.
    """

    def __init__(self, extension: bool, tally: Tally | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="difference", dir=MEMORY))
        self.extension = extension
        self.tally = tally or Tally()
        self.steps: list[Step] = []
        self.native = self._connect("native.sqlite")
        self.ours = self._connect("ours.sqlite")
        self.found: dict[str, Rows] = {}

    def _connect(self, name: str) -> apsw.Connection:
        connection = apsw.Connection(str(self.folder / name))
        connection.execute("PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AUDIOMEM_EXTENSION", "on" if self.extension else "off")
            register(connection)
        return connection

    def __enter__(self) -> Sides:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.native.close()
            self.ours.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- one step

    def step(self, step: Step) -> bool:
        """Tell both sides, and compare what they answer. Whether it succeeded.

        Raises
        ------
        Difference
            If it is none that is documented.
        """
        self.steps.append(step)
        self.tally.kinds[step.kind] += 1
        if step.ours == "reconnect":
            self.ours.close()
            self.ours = self._connect("ours.sqlite")
            self.same_rows(step)
            return True
        ours = self._run(self.ours, step.ours, step.bindings)
        if step.refused:
            self._refused(step, ours)
            return False
        rule = known(step, ours, self.extension)
        if rule:
            self.tally.rules[rule] += 1
            if step.rows and " OR FAIL" not in step.ours:  # which leaves what it did before
                self.same_rows(step)
            return False
        if step.native is None:
            if isinstance(ours, Exception):
                raise Difference(f"{step}\n-- fails: {ours!r}")
        elif self._same(step, ours) and step.kind == "trigger":
            self.tally.rules["rows before a wrong type"] += 1
            return False
        if step.rows:
            self.same_rows(step)
        return not isinstance(ours, Exception)

    def _run(self, connection: apsw.Connection, sql: str, bindings: Bindings) -> Rows | Exception:
        try:
            return connection.execute(sql.replace("{folder}", str(self.folder)), bindings or None).fetchall()
        except Exception as error:
            return error

    def _refused(self, step: Step, ours: Rows | Exception) -> None:
        if not isinstance(ours, Exception) or not re.search(step.refused, str(ours)):
            raise Difference(f"{step}\n-- has to say {step.refused!r}\n-- audiomem: {_shown(ours)}")
        self.tally.rules[step.rule] += 1
        if step.rows:
            self.same_rows(step)

    def _same(self, step: Step, ours: Rows | Exception) -> bool:
        """Compare the answers. Whether both refuse a value for its type."""
        bindings = step.bindings if step.native_bindings is None else step.native_bindings
        native = self._run(self.native, step.native or "", bindings)
        if isinstance(native, Exception):
            self.tally.failed[step.kind] += 1
        if not _alike(native, ours, step.ordered):
            plan = self._run(self.ours, f"EXPLAIN QUERY PLAN {step.ours}", step.bindings)
            plan = "\n".join(row[3] for row in plan) if isinstance(plan, list) else plan
            raise Difference(
                f"{step}\n-- native:\n{_shown(native)}\n-- audiomem:\n{_shown(ours)}\n-- plan:\n{plan}"
            )
        if self.native.in_transaction != self.ours.in_transaction:
            raise Difference(
                f"{step}\n-- in a transaction: native {self.native.in_transaction}, ours {self.ours.in_transaction}"
            )
        if step.counted and not isinstance(native, Exception):
            counts = self.native.changes(), self.ours.changes()
            if counts[0] != counts[1]:
                raise Difference(f"{step}\n-- changes(): native {counts[0]}, ours {counts[1]}")
            by_apsw = not self.extension and _NAMES_ROWID.search(step.ours)
            if by_apsw:
                self.tally.rules["last_insert_rowid()"] += 1
            elif step.ours.startswith("INSERT") and counts[0]:
                last = self.native.last_insert_rowid(), self.ours.last_insert_rowid()
                if last[0] != last[1]:
                    raise Difference(f"{step}\n-- last_insert_rowid(): native {last[0]}, ours {last[1]}")
        return isinstance(native, Exception) and _about_types(native)

    def same_rows(self, step: Step) -> None:
        """What has rows has the same on both sides."""
        for name in step.rows:
            sql = (
                f"SELECT * FROM {name}"
                if name.startswith(("v", "w", "s", "y"))
                else f"SELECT rowid, * FROM {name}"
            )
            native, ours = self._run(self.native, sql, {}), self._run(self.ours, sql, {})
            self.tally.compared_rows += 1
            if not _alike(native, ours, False):
                if known(step, ours, self.extension):
                    continue
                raise Difference(
                    f"after {step}\n{sql}\n-- native:\n{_shown(native)}\n-- audiomem:\n{_shown(ours)}"
                )
            if isinstance(native, list):
                self.found[name] = native

    def verify(self) -> None:
        """Every file is sound."""
        found = self.ours.execute("PRAGMA integrity_check").get
        if found != "ok":
            raise Difference(f"PRAGMA integrity_check: {found}")
        for path in sorted(self.folder.glob("*.flac")):
            with Table(path) as table:
                faults = list(problems(table))
            if faults:
                raise Difference(f"{path.name}: {faults}")


def _alike(native: Rows | Exception, ours: Rows | Exception, ordered: bool) -> bool:
    if isinstance(native, Exception) or isinstance(ours, Exception):
        if not (isinstance(native, Exception) and isinstance(ours, Exception)):
            return False
        if isinstance(native, apsw.ConstraintError) and not _about_types(native):
            same = _each_once(str(ours)) == _each_once(str(native))
            return same and isinstance(ours, apsw.ConstraintError)
        return True
    if repr(native) == repr(ours):  # which tells 1 from 1.0, and 0.0 from -0.0
        return True
    if len(native) != len(ours):
        return False
    expected, found = list(map(_marked, native)), list(map(_marked, ours))
    return expected == found or (not ordered and Counter(expected) == Counter(found))


def _each_once(message: str) -> str:
    """With each column of a key once."""
    head, colon, names = message.partition("UNIQUE constraint failed: ")
    return head + colon + ", ".join(dict.fromkeys(names.split(", ")))


def _about_types(error: Exception) -> bool:
    return "datatype" in str(error) or "cannot store" in str(error)


def _shown(found: Rows | Exception) -> str:
    if isinstance(found, Exception):
        return f"{type(found).__name__}: {found}"
    return "\n".join(map(repr, found)) or "(no rows)"
