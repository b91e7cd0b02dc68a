"""Changes of tables: told to who waits, and between servers by a Redis, which may be away."""

from __future__ import annotations

import queue
import time
from pathlib import Path

import pytest

from audiomem_sql.errors import OptionError
from audiomem_sql.serve import changes, live
from audiomem_sql.serve.changes import Changes
from audiomem_sql.serve.served_table import ServedTable
from audiomem_sql.table.table import Table
from tests.remote.tiers.places import free_port, redis_command, running

from .conftest import serving

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


def test_a_fault_ends_no_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Tables that are not here, and what is no error of ours."""
    path = make(tmp_path / "kb.flac")
    table = ServedTable(str(path))
    told: queue.Queue[int] = queue.Queue()
    watched = Changes({"kb": table})
    watched.subscribe("kb", told.put)
    look, faults = table.look, [ZeroDivisionError()]
    table.look = lambda: 1 // 0 if faults and faults.pop() else look()  # type: ignore[method-assign]
    watched._waiting["other"] = [told.put]
    watched.look("other")
    watched.look("kb")
    while faults:
        time.sleep(0.01)
    commit(path)
    watched.look("kb")
    assert told.get(timeout=10) == 2
    assert "a change of kb" in caplog.text
    watched.close()
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


def test_others_are_told_of_what_was_seen_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a message of another server had it looked at first."""
    path = make(tmp_path / "kb.flac")
    monkeypatch.setattr(changes, "POLL", NEVER)
    port = free_port()
    told: list[int] = []
    monkeypatch.setattr(changes.RedisChannel, "tell", lambda self, table, version: told.append(version))
    table = ServedTable(str(path))
    with running(redis_command(port), port):
        watched = Changes({"kb": table}, f"redis://127.0.0.1:{port}/0")
        commit(path)
        watched._see("kb", is_own=False)
        assert told == []
        watched._see("kb", is_own=True)
        watched._see("kb", is_own=True)
        assert told == [2]
        commit(path)
        watched._heard("kb", 3)
        watched._see("kb", is_own=True)
        assert told == [2]  # who told of it knows it
        watched.close()
    table.close()


def test_who_follows_hears_of_commits_by_other_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look is due here, so what comes is told by the other server."""
    path = make(tmp_path / "kb.flac")
    monkeypatch.setattr(changes, "POLL", NEVER)
    monkeypatch.setattr(live, "_POLL", NEVER)
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (
        running(redis_command(port), port),
        serving(path, changes=url) as here,
        serving(path, changes=url) as there,
        there.client.stream(
            "GET", "/tables/kb/changes", params={"after": 1}, headers={"Accept": "text/event-stream"}
        ) as feed,
    ):
        lines = feed.iter_lines()
        for version in (2, 3):
            while not there.service.changes._waiting.get("kb"):
                time.sleep(0.01)
            commit(path)
            here.service.changes.look("kb")
            assert next(line for line in lines if line.startswith("id:")) == f"id: {version}"


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="carried by a Redis"):
        Changes({}, "amqp://localhost")
