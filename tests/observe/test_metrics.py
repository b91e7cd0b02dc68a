"""What is counted, by what the program did."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import audiomem_sql as am
from audiomem_sql import observe
from audiomem_sql.errors import BusyError, OptionError
from audiomem_sql.observe.observer import MOST_TABLES, OTHER, Observer
from audiomem_sql.table.table import Table

from .conftest import filled, value, values

pytestmark = pytest.mark.usefixtures("observing")


def stages(table: str = "kb") -> dict[str, float]:
    found = values("stage_duration_seconds_count", table=table)
    return {dict(labels)["stage"]: count for labels, count in found.items()}


def test_stages_of_a_table(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    assert stages() | {"open": 1, "commit": 1} == stages()
    assert "search" not in stages()
    with Table(path) as table:
        assert table.search("word", k=3).num_rows == 3
        assert len(table.to_arrow(where="b >= 290")) == 10
        table.vacuum()
    found = stages()
    assert (found["open"], found["commit"], found["search"], found["vacuum"]) == (2, 1, 1, 1)
    assert found["query"] == 2
    assert found["scan"] >= 1
    assert found["read"] >= found["query"]
    assert found["decode"] >= 2
    assert value("stage_duration_seconds_count", stage="plan") >= 1
    assert 0 < value("stage_duration_seconds_sum", stage="read", table="kb") < 60
    in_minute = value("stage_duration_seconds_bucket", stage="read", table="kb", le="60.0")
    assert in_minute == found["read"]


def test_sql_is_a_query_and_commits_once(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    connection = am.connect(path)
    before = stages()
    assert connection.execute("SELECT a FROM kb WHERE id = 7").fetchall() == [("word 0",)]
    assert len(connection.execute("SELECT a FROM kb WHERE b < 100").fetchall()) == 100
    after = stages()
    assert after["query"] - before.get("query", 0) == 2
    assert after["commit"] == before["commit"] == 1
    connection.execute("INSERT INTO kb VALUES (1000, 'x', 1)")
    connection.execute("DELETE FROM kb WHERE id < 2")
    connection.close()
    assert stages()["commit"] == 3
    assert value("rows_written_total", table="kb", change="insert") == 301
    assert value("rows_written_total", table="kb", change="delete") == 2


def test_errors_count_once_by_class(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    with Table(path) as table, pytest.raises(am.AudioMemError):
        table.append([{"id": 1, "a": "again", "b": 0}])
    connection = am.connect(path)
    with pytest.raises(Exception, match="UNIQUE"):
        connection.execute("INSERT INTO kb VALUES (1, 'x', 1)")
    connection.close()
    assert value("errors_total", error="ConstraintError") == 2
    assert value("errors_total") == 2


def test_gauges_are_of_open_tables(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    assert values("table_rows") == {}
    with Table(path) as table:
        table.append([{"id": 5000, "a": "log", "b": 1}])
        assert value("table_rows", table="kb") == 301
        assert value("table_version", table="kb") == table.version
        assert value("log_bytes", table="kb") == (tmp_path / "kb.flac-wal").stat().st_size
        assert value("compression_ratio", table="kb") > 0
        assert value("version_timestamp_seconds") == pytest.approx(table.versions[-1].time / 1e6)
        total = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert value("table_bytes") == total
    assert values("table_rows") == {}


def test_caches(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    with Table(path) as table:
        list(table.scan(where="b = 7"))
        before = value("cache_hits_total", tier="blocks"), value("cache_misses_total", tier="blocks")
        list(table.scan(where="b = 7"))
        assert 0 < value("cache_bytes") <= value("cache_capacity_bytes")
    assert value("cache_hits_total", tier="blocks") > before[0]
    assert value("cache_misses_total", tier="blocks") == before[1]


@pytest.mark.damages
def test_corrections_and_health(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac", 2000, protection="standard")
    data = bytearray(path.read_bytes())
    for at in range(9000, len(data), 200):
        data[at] ^= 0xFF
    path.write_bytes(data)
    with Table(path) as table:
        table.to_arrow()
        for page in range(table.snapshot.segments[0].file.own_pages):
            table.snapshot.segments[0].file.payload_of_page(page)
        corrections = table.snapshot.segments[0].file.corrections
        found = value("ecc_corrections_total", severity="corrected")
        assert found == corrections.inner + corrections.outer > 0
        assert value("ecc_corrections_total", severity="lost") == 0
        assert 0 < value("frequency_health", band="whole", profile="desktop") < 1


def test_bands_of_a_spectrum(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac", 20, modulation="spectrum", band_plan="mission")
    with Table(path) as table:
        table.to_arrow()
        found = values("frequency_health", profile="desktop")
        bands = {dict(labels)["band"] for labels in found}
    assert {"critical", "reliable"} <= bands
    assert min(found.values()) > 0.9


def test_lock_waits(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    with Table(path) as one, Table(path, busy_timeout=0.05) as other:
        one.begin()
        with pytest.raises(BusyError):
            other.append([{"id": 9000, "a": "", "b": 0}])
        one.rollback()
    assert value("lock_wait_seconds_count", table="kb", kind="process") == 1
    assert value("lock_wait_seconds_sum", table="kb") >= 0.05


def test_labels_are_bounded() -> None:
    observer = Observer(None, None)
    names = [observer.table_label(f"/data/{number}.flac") for number in range(MOST_TABLES + 5)]
    assert names == [*map(str, range(MOST_TABLES)), *[OTHER] * 5]
    assert observer.table_label("/data/3.flac") == "3"
    assert observer.table_label("s3://user:secret@bucket/3.flac?key=secret") == "3"
    assert observer.table_label() == OTHER


def test_threads_count_all(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    before = stages()["open"]

    def read() -> None:
        with Table(path) as table:
            table.to_arrow()

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stages()["open"] == before + 4


def test_a_scan_that_is_left_counts(tmp_path: Path) -> None:
    path = filled(tmp_path / "kb.flac")
    with Table(path) as table:
        batches = table.scan()
        next(batches)
        assert "query" not in stages()
        del batches
        assert stages()["query"] == 1


def test_served_at_a_port(tmp_path: Path) -> None:
    import urllib.request

    observe.start(port=0)
    filled(tmp_path / "kb.flac")
    with urllib.request.urlopen(f"http://127.0.0.1:{observe.port()}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    assert 'audio_memory_rows_written_total{change="insert",table="kb"} 300.0' in text
    observe.stop()
    with pytest.raises(OptionError, match="nothing is counted"):
        observe.metrics_text()
    assert observe.port() is None
