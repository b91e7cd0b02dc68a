"""Changes of tables: told to who waits, and between servers by a Redis, which may be away."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from audiomem_sql.errors import OptionError
from audiomem_sql.serve import changes
from audiomem_sql.serve.changes import Changes
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.table.table import Table
from tests.remote.tiers.places import free_port, redis_command, running

NEVER = 3600.0


def make(path: Path) -> Path:
    Table.create(path, ["id INTEGER"]).close()
    return path


def commit(path: Path) -> None:
    with Table(path) as table:
        table.append([{"id": 1}])


def test_who_waits_is_told_of_what_others_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path / "kb.flac")
    monkeypatch.setattr(changes, "POLL", 0.05)
    table = ServedTable(str(path))
    told: queue.Queue[int] = queue.Queue()
    watched = Changes({"kb": table})
    end = watched.subscribe("kb", told.put)
    watched.subscribe("kb", lambda version: 1 / 0)  # keeps nobody else from being told
    commit(path)
    assert told.get(timeout=10) == 2
    end()
    commit(path)
    watched.close()
    assert told.empty()
    table.close()


def test_servers_tell_each_other_by_redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No look of their own is due here: what is heard came by Redis, until it is away."""
    path = make(tmp_path / "kb.flac")
    monkeypatch.setattr(changes, "POLL", NEVER)
    monkeypatch.setattr(changes, "_TIMEOUT", 0.4)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    one, two = ServedTable(str(path)), ServedTable(str(path))
    told: queue.Queue[int] = queue.Queue()
    with running(redis_command(port), port):
        here, there = Changes({"kb": one}, url), Changes({"kb": two}, url)
        there.subscribe("kb", told.put)
        for version in (2, 3):
            commit(path)
            here.look("kb")
            assert told.get(timeout=10) == version
    commit(path)
    here.look("kb")  # nobody hears
    here.look("kb")
    with running(redis_command(port), port):
        assert told.get(timeout=10) == 4  # looked for when it is back
        commit(path)
        here.look("kb")
        assert told.get(timeout=10) == 5
    commit(path)
    there.look("kb")  # without Redis, who waits here is told all the same
    assert told.get(timeout=10) == 6
    for each in (here, there, one, two):
        each.close()


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="carried by a Redis"):
        Changes({}, "amqp://localhost")
