"""A manifest whose folder cannot be flushed behind the rename: the table opens, and has every row of it."""

from __future__ import annotations

from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql.errors import StorageError
from audiomem_sql.machine import durable
from audiomem_sql.table import resharding


def test_a_folder_that_cannot_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kb.shards"
    flushed = durable.fsync_folder

    def fails(path: str) -> None:
        if Path(path) == folder:
            raise OSError(5, "Input/output error")
        flushed(path)

    with am.Table.create(folder, ["id INTEGER PRIMARY KEY"], {"shards": "4"}) as table:
        table.append([{"id": number} for number in range(40)])
        with monkeypatch.context() as patch:
            patch.setattr(durable, "fsync_folder", fails)
            with pytest.raises(StorageError, match="Input/output error"):
                table.append([{"id": number} for number in range(40, 80)])
        assert (len(table), len(table.to_arrow())) == (80, 80)
        table.append([{"id": 100}])
    with am.open(folder) as table:
        assert sorted(table.to_arrow()["id"].to_pylist()) == [*range(80), 100]


def test_new_shards_whose_folder_cannot_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kb.shards"

    def fails(path: str) -> None:
        raise OSError(5, "Input/output error")

    with am.Table.create(folder, ["id INTEGER PRIMARY KEY"], {"shards": "2"}) as table:
        table.append([{"id": number} for number in range(40)])
    with monkeypatch.context() as patch:
        patch.setattr(resharding, "fsync_folder", fails)
        with pytest.raises(StorageError, match="Input/output error") as caught:
            resharding.reshard(folder, 3)
    assert caught.value.file == str(folder)
    resharding.reshard(folder, 3)
    with am.open(folder) as table:
        assert sorted(table.to_arrow()["id"].to_pylist()) == [*range(40)]
