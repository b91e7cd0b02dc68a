"""A table as sound, and its damage, as the server tells them."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.serve.problems import Problem
from audiomem_sql.serve.sound import Looks
from audiomem_sql.sound.spectrogram import kinds_of_pages, levels
from audiomem_sql.table.table import Table

from .conftest import serving


@pytest.fixture
def path(tmp_path: Path) -> Path:
    options = {
        "profile": "mobile",
        "modulation": "spectrum",
        "band_plan": "mission",
        "protection": "standard",
    }
    with Table.create(tmp_path / "kb.flac", ["body TEXT"], options) as table:
        table.append([{"body": f"row {number} " * 30} for number in range(300)])
    return tmp_path / "kb.flac"


def test_bands_and_spectrogram(path: Path) -> None:
    with serving(path) as server:
        found = server.client.get("/tables/kb/bands").json()
        assert (found["sample_rate"], found["protection"]) == (44100, "standard")
        assert len(found["bands"]) > 3
        lows = [band["low"] for band in found["bands"]]
        assert lows == sorted(lows)
        assert all(0.9 < band["health"] <= 1 for band in found["bands"] if band["health"] is not None)
        shown = server.client.get("/tables/kb/spectrogram").json()
        steps = np.frombuffer(base64.b64decode(shown["levels"]), np.uint8)
        decibels = steps.reshape(shown["rows"], shown["columns"]) / 255 * 100 - 100
        assert shown["seconds"] == found["seconds"] > 1
        with Table(path) as table:
            expected, _, _ = levels(table.snapshot.segments[0].file.sound)
        assert np.abs(decibels - np.clip(expected, -100, 0)).max() < 0.5
        picture = server.client.get("/tables/kb/spectrogram?format=png")
        assert picture.content.startswith(b"\x89PNG")
        assert picture.headers["content-type"] == "image/png"
        assert server.client.get("/tables/kb/spectrogram?format=gif").status_code == 400


def test_damage_is_found_and_placed(path: Path) -> None:
    with serving(path) as server:
        found = server.client.get("/tables/kb/damage").json()
        assert (found["faults"], found["fault_count"]) == ([], 0)
        assert "damaged" not in dict(found["segments"][0]["pages"])
    good = path.read_bytes()
    content = bytearray(good)
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path.write_bytes(content)
    with Table(path) as table:
        expected = kinds_of_pages(table.snapshot.segments[-1])
    assert "damaged" in expected
    with serving(path) as server:
        found = server.client.get("/tables/kb/damage").json()
        kinds = [kind for kind, count in found["segments"][-1]["pages"] for _ in range(count)]
        assert kinds == expected
        pages = {fault["page"] for fault in found["faults"] if fault["page"] is not None}
        assert len(pages) == kinds.count("damaged")
        assert found["fault_count"] == len(found["faults"])
        assert all(fault["repair"] for fault in found["faults"])
        assert str(path.parent) not in server.client.get("/tables/kb/damage").text
        bands = server.client.get("/tables/kb/bands").json()["bands"]
        assert bands
    path.write_bytes(good)


def test_a_look_is_made_once_at_a_time_and_kept(path: Path) -> None:
    looks, calls = Looks(), []
    with serving(path) as server:
        table = server.service.tables["kb"]

        def look(_: object) -> int:
            calls.append(1)
            with pytest.raises(Problem, match="already"):
                looks.of(table, look)
            return len(calls)

        assert [looks.of(table, look), looks.of(table, look)] == [1, 1]
        with Table(path) as other:
            other.append([{"body": "x"}])
        assert looks.of(table, look) == 2
