"""What matters most is in the most reliable bands, and outlives what takes the others away."""

from __future__ import annotations

import random
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st
from samples import same

from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.storage.segment.data_spool import DataSpool, Stratum
from audiomem_sql.storage.segment.importance import importance_column, stretches
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.verify import problems

MISSION = {"modulation": "spectrum", "band_plan": "mission"}
BROADCAST = {**MISSION, "robustness": "broadcast"}
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT", "importance REAL"]


def rows(count: int = 3000, run: int = 500) -> list[dict[str, Any]]:
    """Runs of rows that matter most, least, and ordinarily."""
    rng = random.Random(5)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 10))) for _ in range(3000)]
    weights = [1.0, 0.0, 0.5, None, 0.1, 0.74]
    return [
        {
            "id": n,
            "body": " ".join(rng.choices(words, k=40)),
            "importance": weights[(n - 1) // run % len(weights)],
        }
        for n in range(1, count + 1)
    ]


def matters(row: dict[str, Any]) -> bool:
    return (row["importance"] or 0) >= 0.75


@given(
    st.lists(
        st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=400
    ),
    st.integers(1, 20_000),
)
def test_no_row_is_in_a_lesser_stratum_than_its_own(importance: list[float | None], least: int) -> None:
    values = pa.array(importance, pa.float64())
    found = list(stretches(values, [values], least))
    assert [start for _, start, _ in found] == [0, *(stop for _, _, stop in found[:-1])]
    assert found[-1][2] == len(importance)
    for stratum, start, stop in found:
        for value in importance[start:stop]:
            own = Stratum.ORDINARY if value is None or 0.25 <= value < 0.75 else Stratum.MINOR
            assert stratum <= (Stratum.IMPORTANT if (value or 0) >= 0.75 else own)


def test_long_runs_are_put_apart() -> None:
    values = pa.array([1.0] * 500 + [0.5] * 500 + [0.0] * 500)
    body = pa.array(["x" * 1000] * 1500)
    assert [stratum.name for stratum, _, _ in stretches(values, [values, body], 65_536)] == [
        "IMPORTANT",
        "ORDINARY",
        "MINOR",
    ]


def test_which_column_says_it() -> None:
    assert importance_column(parse_columns(["a TEXT", "Importance REAL"])) == 1
    assert importance_column(parse_columns(["importance INTEGER"])) == 0
    assert importance_column(parse_columns(["importance TEXT"])) is None
    assert importance_column(parse_columns(["a REAL"])) is None


@given(st.lists(st.tuples(st.sampled_from(Stratum), st.binary(max_size=40))), st.booleans(), st.data())
def test_strata_follow_each_other(
    pieces: list[tuple[Stratum, bytes]], divided: bool, data: st.DataObject
) -> None:
    with closing(DataSpool(64, divided=divided)) as spool:
        places = []
        for stratum, piece in pieces:
            places.append(spool.place(stratum))
            spool.append(piece, stratum)
        ordered = sorted(pieces, key=lambda each: each[0] if divided else 0)
        whole = b"".join(piece for _, piece in ordered)
        assert spool.length == len(whole)
        spool.seek(0)
        assert spool.read(len(whole) + 5) == whole
        for place, (_, piece) in zip(places, pieces, strict=True):
            spool.seek(spool.final(place))
            assert spool.read(len(piece)) == piece
        assert spool.finals(np.array(places, np.int64)).tolist() == [spool.final(place) for place in places]
        at = data.draw(st.integers(0, len(whole)))
        spool.seek(at)
        assert spool.read(7) + spool.read(9) == whole[at : at + 16]


@pytest.mark.parametrize("options", [MISSION, BROADCAST], ids=["exact", "broadcast"])
@pytest.mark.parametrize("protection", ["none", "standard"])
def test_what_comes_first_in_the_file(tmp_path: Path, options: dict[str, str], protection: str) -> None:
    """Structure, then rows by importance, then the indexes; everything is read as it was written."""
    truth = rows()
    columns = ["id INTEGER PRIMARY KEY", "body TEXT INDEXED", "importance REAL", "number INTEGER UNIQUE"]
    given_ = [{**row, "number": 7919 * row["id"] % 3001} for row in truth]
    with Table.create(tmp_path / "t.flac", columns, {"protection": protection, **options}) as table:
        table.append(given_)
        table.checkpoint()
        assert same(table.to_arrow().to_pylist(), given_)
        segment = table.snapshot.segments[0]
        assert segment.file.by_bands
        blocks = segment.entry(1).blocks
        strata: dict[str, list[int]] = {"most": [], "least": [], "other": []}
        for number, offset in enumerate(blocks.offsets.tolist()):
            held = [row["importance"] for row in truth[blocks.starts[number] : blocks.starts[number + 1]]]
            if any((value or 0) >= 0.75 for value in held):
                strata["most"].append(offset)
            elif all(value is not None and value < 0.25 for value in held):
                strata["least"].append(offset)
            else:
                strata["other"].append(offset)
        bloom = segment.entry(3).bloom
        words = segment.catalog.keywords[1]
        assert bloom is not None
        assert bloom.offset < min(strata["most"])
        assert max(strata["most"]) < min(strata["other"])
        assert max(strata["other"]) < min(strata["least"])
        assert max(strata["least"]) < min(words.header.offset, words.pieces.offset)
        assert not list(problems(table))


@pytest.mark.damages
@pytest.mark.parametrize("protection", ["none", "archive"])
def test_a_low_pass_costs_no_row_that_matters(tmp_path: Path, protection: str) -> None:
    """Above 8 kHz nothing is left: the catalog and important rows are there, the others are lost."""
    made, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    truth = rows()
    with Table.create(made, COLUMNS, {"profile": "desktop", "protection": protection, **BROADCAST}) as table:
        table.append(truth)
        table.checkpoint()
    subprocess.run(["sox", "-D", made, heard, "sinc", "-8200"], check=True)
    expected = {row["id"]: row for row in truth}
    with pytest.warns(Warning, match="are left out"), Table(heard, on_damage="skip") as table:
        found = table.to_arrow().to_pylist()
    assert all(same([row], [expected[row["id"]]]) for row in found)
    assert {row["id"] for row in truth if matters(row)} <= {row["id"] for row in found}
    assert len(found) < len(truth) / 2


def test_files_of_both_orders_are_one_table(tmp_path: Path) -> None:
    """A table from before cells were filled by bands is written anew with its first commit."""
    shutil.copy(Path(__file__).parents[2] / "fixtures" / "spectrum" / "mission.flac", tmp_path / "t.flac")
    with Table(tmp_path / "t.flac") as table:
        before = table.to_arrow().to_pylist()
        table.append([{"id": 1000 + n, "body": "new " * 50, "x": n} for n in range(500)])
        table.checkpoint()
        assert [segment.file.by_bands for segment in table.snapshot.segments] == [True]
        table.transcode({"protection": "archive"})
        assert [segment.file.by_bands for segment in table.snapshot.segments] == [True]
        assert table.to_arrow().to_pylist()[: len(before)] == before
        assert not list(problems(table))


def test_vectors_come_last(tmp_path: Path) -> None:
    with Table.create(
        tmp_path / "t.flac", ["body TEXT SEMANTIC", "importance REAL"], {"model": "hashing", **MISSION}
    ) as table:
        table.append([{"body": row["body"], "importance": 0.0} for row in rows(400)])
        table.checkpoint()
        segment = table.snapshot.segments[0]
        (index,) = segment.catalog.vectors.values()
        assert min(each.offset for each in index.lists) > segment.entry(0).blocks.offsets.max()
        assert len(table.search(rows(1)[0]["body"], k=3)) == 3


@pytest.mark.damages
def test_what_the_code_of_a_band_corrects_is_not_said_to_be_lost(tmp_path: Path) -> None:
    made, heard = tmp_path / "t.flac", tmp_path / "heard.flac"
    truth = rows(300)
    with Table.create(made, COLUMNS, {"profile": "desktop", **BROADCAST}) as table:
        table.append(truth)
        table.checkpoint()
    sound, rate = soundfile.read(made)
    noise = np.random.default_rng(3).normal(0, 0.01, sound.shape)
    soundfile.write(heard, sound + noise, rate, subtype="PCM_24")
    with Table(heard) as table:
        assert same(table.to_arrow().to_pylist(), truth)
        found = list(problems(table))
        assert found
        assert {problem.repair for problem in found} <= {"band", "file"}
        assert "corrected by the code of their frequency band" in found[0].what
        table.vacuum()
        assert not list(problems(table))
        assert same(table.to_arrow().to_pylist(), truth)


@pytest.mark.parametrize("protection", ["none", "standard"])
def test_a_table_without_rows(tmp_path: Path, protection: str) -> None:
    """A copy of the catalog begins where the data would."""
    with Table.create(tmp_path / "t.flac", COLUMNS, {"protection": protection, **MISSION}) as table:
        assert not list(problems(table))
    with Table(tmp_path / "t.flac") as table:
        assert len(table) == 0
        table.append(rows(3))
        table.vacuum()
        assert len(table) == 3
