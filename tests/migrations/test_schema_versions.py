"""Tables whose columns change, against a plain model that has the columns and rows of every version."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw
import pytest
from samples import MODULATIONS

from audiomem_sql.columns.column import quote
from audiomem_sql.connections import register
from audiomem_sql.migrations import AddColumn, DropColumn, RenameColumn
from audiomem_sql.table.reader import TableReader
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.upkeep.verify import problems
from audiomem_sql.versions import changes

#: Types of columns that are added, with DEFAULTs and what these are in a row.
DEFAULTS: dict[str, list[tuple[str, Any]]] = {
    "INTEGER": [("", None), (" DEFAULT 7", 7), (" NOT NULL DEFAULT -3", -3)],
    "TEXT": [
        ("", None),
        (" DEFAULT 'it''s'", "it's"),
        (" NOT NULL DEFAULT ''", ""),
        (" COLLATE NOCASE", None),
    ],
    "REAL": [("", None), (" DEFAULT 2", 2.0)],
    "BOOLEAN": [("", None), (" NOT NULL DEFAULT TRUE", True)],
    "BLOB": [("", None), (" DEFAULT x'00ff'", b"\0\xff")],
}
VALUES: dict[str, list[Any]] = {
    "INTEGER": [None, 0, 7, 2**62, -3],
    "TEXT": [None, "it's", "", "IT'S", "x" * 300],
    "REAL": [None, 2.0, -0.5],
    "BOOLEAN": [None, True, False],
    "BLOB": [None, b"", b"\0\xff"],
}


class Model:
    """Columns have ids here too: name and type by id, and rows with values by id."""

    def __init__(self) -> None:
        self.columns: dict[int, tuple[str, str, bool]] = {
            0: ("id", "INTEGER", True),
            1: ("body", "TEXT", False),
        }
        self.initial: dict[int, Any] = {}
        self.rows: dict[int, dict[int, Any]] = {}
        self.versions: dict[int, list[dict[str, Any]]] = {}
        self.names: dict[int, list[str]] = {}
        self.count = 2
        self.keep(1)

    def keep(self, version: int) -> None:
        self.names[version] = [name for name, _, _ in self.columns.values()]
        self.versions[version] = self.seen(self.columns)

    def seen(self, columns: dict[int, tuple[str, str, bool]]) -> list[dict[str, Any]]:
        return [
            {name: row.get(number, self.initial.get(number)) for number, (name, _, _) in columns.items()}
            for _, row in sorted(self.rows.items())
        ]


def value_for(rng: random.Random, kind: str, filled: bool) -> Any:
    return rng.choice([value for value in VALUES[kind] if value is not None or not filled])


def write_rows(table: Table, model: Model, rng: random.Random) -> None:
    transaction = table.begin()
    for _ in range(rng.randint(1, 5)):
        if model.rows and rng.random() < 0.4:
            rowid = rng.choice(sorted(model.rows))
            transaction.delete(rowid)
            del model.rows[rowid]
            if rng.random() < 0.5:
                continue
        else:
            rowid = rng.choice([rowid for rowid in range(1, 60) if rowid not in model.rows])
        row = {
            number: rowid if number == 0 else value_for(rng, kind, filled)
            for number, (_, kind, filled) in model.columns.items()
        }
        transaction.insert(rowid, list(row.values()))
        model.rows[rowid] = row
    if transaction.changed:
        model.keep(table.commit())
    else:
        table.rollback()


def change_columns(table: Table, model: Model, rng: random.Random) -> None:
    names = [name for name, _, _ in model.columns.values()]
    free = [name for name in ("body", "a", "B b", "c", "d", 'e"') if name not in names]
    others = [number for number in model.columns if number]
    what = rng.random()
    if what < 0.5 and free:
        kind = rng.choice(sorted(DEFAULTS))
        clause, initial = rng.choice(DEFAULTS[kind])
        name = rng.choice(free)
        version = table.alter(AddColumn(f"{quote(name)} {kind}{clause}"))
        model.columns[model.count] = (name, kind, "NOT NULL" in clause)
        model.initial[model.count] = initial
        model.count += 1
    elif what < 0.75 and others:
        number = rng.choice(others)
        version = table.alter(DropColumn(model.columns[number][0]))
        del model.columns[number]
    elif others and free:
        number = rng.choice(others)
        name, kind, filled = model.columns[number]
        new = rng.choice(free)
        version = table.alter(RenameColumn(name, new))
        model.columns[number] = (new, kind, filled)
    else:
        return
    model.keep(version)


def in_order(
    table: TableReader, where: str | None = None, parameters: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """The rows by id."""
    return sorted(table.to_arrow(where=where, parameters=parameters).to_pylist(), key=lambda row: row["id"])


def check(table: Table, model: Model, oldest: int) -> None:
    for version, rows in model.versions.items():
        if version < oldest:
            continue
        with table.checkout(version) as old:
            assert list(old.schema.names) == model.names[version]
            assert in_order(old) == rows, version
            for name in model.names[version]:
                wanted = [row for row in rows if row[name] is None]
                assert in_order(old, f"{quote(name)} IS NULL") == wanted
                for value in {row[name] for row in rows if row[name] is not None}:
                    found = in_order(old, f"{quote(name)} = ?", (value,))
                    collated = old.schema[name].collation == "NOCASE"
                    assert found == [
                        row
                        for row in rows
                        if row[name] == value
                        or (collated and row[name] is not None and row[name].lower() == value.lower())
                    ]
    newest = max(model.versions)
    for row in model.versions[newest]:
        found_row = table.get(row["id"])
        assert found_row is not None
        assert {k: bool(v) if isinstance(row[k], bool) else v for k, v in found_row.items()} == row
    recorded = [step.version for step in table.migrations]
    assert [step.number for step in table.migrations] == list(range(1, len(recorded) + 1))


def check_sql(path: Path, model: Model, oldest: int) -> None:
    """The newest columns of every version in SQL: one that was added since has its DEFAULT."""
    connection = apsw.Connection(":memory:")
    register(connection)
    connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}')")
    for version in model.versions:
        if version < oldest:
            continue
        with Table(path, version=version) as old:
            ids = [column.id for column in old.schema.columns]
        rows = []
        for row in model.versions[version]:
            by_id = dict(zip(ids, row.values(), strict=True))
            rows.append(tuple(by_id.get(number, model.initial.get(number)) for number in model.columns))
        assert (
            connection.execute("SELECT * FROM t WHERE version = ? ORDER BY rowid", (version,)).fetchall()
            == rows
        )
    connection.close()


def check_changes(table: Table, model: Model, oldest: int) -> None:
    """Applied to a version, the changes of the next one give that one."""
    for version in range(oldest + 1, max(model.versions) + 1):
        if model.names[version] != model.names[version - 1]:
            assert not changes(table.snapshot, version, version)
            continue
        rows = {row["id"]: row for row in model.versions[version - 1]}
        for change in changes(table.snapshot, version, version):
            row = dict(zip(model.names[version], change.values, strict=True))
            if change.kind in ("delete", "update_preimage"):
                assert rows.pop(change.rowid) == row
            else:
                rows[change.rowid] = row
        assert [rows[rowid] for rowid in sorted(rows)] == model.versions[version]


@pytest.mark.parametrize(
    ("modulation", "seed"), [*(("pcm", seed) for seed in range(10)), ("flat", 10), ("mission", 11)]
)
def test_every_version_has_its_columns(tmp_path: Path, modulation: str, seed: int) -> None:
    rng = random.Random(seed)
    path = tmp_path / "t.flac"
    options = {"profile": "embedded", **MODULATIONS[modulation]}
    table = Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT"], options)
    model, oldest = Model(), 1
    for _ in range(40):
        event = rng.random()
        if event < 0.5:
            write_rows(table, model, rng)
        elif event < 0.75:
            change_columns(table, model, rng)
        elif event < 0.80:
            table.checkpoint()
        elif event < 0.85:
            table.merge()
        elif event < 0.90:
            table.close()
            table = Table(path)
        elif event < 0.95:
            with Table(path) as other:
                change_columns(other, model, rng)
                write_rows(other, model, rng)
            table.refresh()
        else:
            oldest = table.vacuum(retain=Retention(count=rng.choice([None, 1, 8])), level=3)
    check(table, model, oldest)
    check_changes(table, model, oldest)
    table.close()
    check_sql(path, model, oldest)
    with Table(path) as table:
        assert not list(problems(table))
        table.vacuum(level=3)
        check(table, model, oldest)
        check_changes(table, model, oldest)
        assert not list(problems(table))
