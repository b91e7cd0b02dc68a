"""Near-duplicates are the connected components of all pairs above the threshold."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import audiomem_sql as am
from audiomem_sql.arrays import F32Array
from audiomem_sql.errors import AudioMemError, OptionError, QueryError, StorageError
from audiomem_sql.machine.limits import Limits
from audiomem_sql.search.analyses import directions
from audiomem_sql.search.analyses import near_duplicates as module

WIDTH = 16


def components(vectors: F32Array, least: float) -> list[list[int]]:
    """The groups of two or more, the largest first, by a walk over all pairs."""
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1)[:, None]
    near = unit @ unit.T >= least
    seen: set[int] = set()
    groups = []
    for first in range(len(vectors)):
        if first in seen:
            continue
        group, waiting = {first}, [first]
        while waiting:
            for other in np.flatnonzero(near[waiting.pop()]).tolist():
                if other not in group:
                    group.add(other)
                    waiting.append(other)
        seen |= group
        if len(group) > 1:
            groups.append(sorted(group))
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def drawn(count: int, spread: float, seed: int = 3) -> F32Array:
    """Around a third as many points."""
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((count // 3, WIDTH))
    made = points[rng.integers(0, len(points), count)] + spread * rng.standard_normal((count, WIDTH))
    return (made * rng.uniform(0.5, 20, (count, 1))).astype(np.float32)


def table_of(path: Path, vectors: F32Array, definition: str = "") -> am.Table:
    table = am.Table.create(path, ["id INTEGER PRIMARY KEY", f"vec FLOAT[{vectors.shape[1]}] {definition}"])
    rows = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    table.append(pa.table({"id": range(len(vectors)), "vec": rows}))
    return table


def groups_of(found: pa.Table) -> list[list[int]]:
    groups: dict[int, list[int]] = {}
    for group, row in zip(found["group_id"].to_pylist(), found["row_id"].to_pylist(), strict=True):
        groups.setdefault(group, []).append(row)
    assert list(groups) == list(range(1, len(groups) + 1))
    return list(groups.values())


@pytest.mark.parametrize("definition", ["", "INDEXED", "INDEXED(metric=l2)"])
@pytest.mark.parametrize("least", [0.5, 0.9, 0.99])
def test_groups_are_the_components(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, definition: str, least: float
) -> None:
    monkeypatch.setattr(module, "_BLOCK", 50)
    vectors = drawn(400, 0.25)
    vectors[300] = vectors[7]
    with table_of(tmp_path / "t.flac", vectors, definition) as table:
        found = table.duplicates(threshold=least)
        expected = components(vectors, least)
        assert groups_of(found) == expected
        assert expected or least == 0.5
        for row in found.to_pylist():
            one, other = vectors[row["row_id"]], vectors[row["representative"]]
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            assert row["similarity"] == pytest.approx(cosine, abs=2e-6)
            assert row["similarity"] <= 1
        for group in expected:
            of_group = [row for row in found.to_pylist() if row["row_id"] in group]
            middle = {row["representative"] for row in of_group}
            assert len(middle) == 1
            assert middle <= set(group)


def test_a_pair_at_the_threshold(tmp_path: Path) -> None:
    """The cosine of both is the threshold to the last bit, which products of float32 do not tell."""
    least = float(np.float32(0.6))
    vectors = np.array([[1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    with table_of(tmp_path / "t.flac", vectors) as table:
        assert groups_of(table.duplicates(threshold=least)) == [[0, 1]]
        assert table.duplicates(threshold=np.nextafter(least, 1)).num_rows == 0


def test_vectors_that_only_seem_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_mixing", np.zeros)
    vectors = drawn(60, 0.2)
    with table_of(tmp_path / "t.flac", vectors) as table:
        assert groups_of(table.duplicates(threshold=0.95)) == components(vectors, 0.95)


def test_the_middle_of_a_large_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 16)
    angles = np.radians(np.concatenate([np.linspace(0, 20, 40), np.linspace(20, 60, 10)]))
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1)[:, None]
    with table_of(tmp_path / "t.flac", vectors) as table:
        found = table.duplicates(threshold=0.99)
    assert set(found["representative"].to_pylist()) == {int(np.argmax(unit @ unit.mean(axis=0)))}
    assert found.num_rows == 50


def test_the_first_of_two_stands_for_both() -> None:
    """Both are equally near their mean, however sums are rounded."""
    for vector in drawn(60, 0.3):
        unit = vector / np.linalg.norm(vector)
        place, similarities = module._middle(np.stack([unit, unit[::-1]]), np.arange(2))
        assert place == 0
        assert similarities[0] == 1


def test_the_representative_is_in_the_middle(tmp_path: Path) -> None:
    angles = np.radians([0, 10, 20, 90, 180, 180, 180])
    vectors = np.column_stack([np.cos(angles), np.sin(angles)]).astype(np.float32)
    with table_of(tmp_path / "t.flac", vectors) as table:
        found = table.duplicates(threshold=0.98).to_pylist()
        assert [row["representative"] for row in found] == [1, 1, 1, 4, 4, 4]
        assert [row["similarity"] for row in found][3:] == [1.0, 1.0, 1.0]
        assert table.duplicates(threshold=1).to_pydict()["row_id"] == [4, 5, 6]
        assert table.duplicates(threshold=0.98, where="id <> 1").to_pydict()["row_id"] == [4, 5, 6]


@pytest.mark.parametrize("least", [0.9, 0.97])
def test_through_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float) -> None:
    """Of many rows only those in near lists are compared: no pair is made up, and hardly one is missed."""
    monkeypatch.setattr(module, "COMPARED_IN_FULL", 100)
    monkeypatch.setattr(module, "_LIST_ROWS", 40)
    vectors = drawn(1500, 0.12)
    with table_of(tmp_path / "t.flac", vectors) as table:
        found = groups_of(table.duplicates(threshold=least))
        assert found == groups_of(table.duplicates(threshold=least))
    expected = components(vectors, least)
    of_row = {row: number for number, group in enumerate(expected) for row in group}
    assert all(len({of_row[row] for row in group}) == 1 for group in found)
    assert sum(map(len, found)) >= 0.98 * sum(map(len, expected))


@pytest.mark.parametrize("in_full", [module.COMPARED_IN_FULL, 100])
def test_a_temporary_file_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_full: int
) -> None:
    """Vectors beyond the limit of the profile are in a file; rows may be read in any order."""
    monkeypatch.setattr(module, "COMPARED_IN_FULL", in_full)
    monkeypatch.setattr(module, "_LIST_ROWS", 60)
    monkeypatch.setattr(module, "_BLOCK", 70)
    vectors = drawn(900, 0.12)
    vectors[500:540] = vectors[20]  # a group larger than a block, of rows that are equal
    vectors[600:660] = vectors[30]
    vectors[3] = 0
    vectors = np.concatenate([vectors[-50:], vectors])
    with table_of(tmp_path / "t.flac", vectors[50:]) as table:
        table.checkpoint()  # rows below 0 are in the log, and read last
        table.append([{"id": row - 50, "vec": vectors[row].tolist()} for row in range(50)])
        kept = table.duplicates(threshold=0.9)
        monkeypatch.setattr(directions, "limits_of", lambda profile: Limits(vector_bytes=1000))
        assert table.duplicates(threshold=0.9).equals(kept)
        assert table.duplicates(threshold=1).num_rows >= 100
    if in_full > len(vectors):
        there = np.delete(np.arange(len(vectors)), 53)
        expected = [(there[group] - 50).tolist() for group in components(vectors[there], 0.9)]
        assert groups_of(kept) == expected


def test_no_room_for_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "limits_of", lambda profile: Limits(vector_bytes=1000))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with table_of(tmp_path / "t.flac", drawn(90, 0.2)) as table:
        with pytest.raises(StorageError, match=r"t\.flac: the vectors cannot be kept .* TMPDIR"):
            table.duplicates()
        monkeypatch.setattr(tempfile, "tempdir", None)
        assert table.duplicates(threshold=0.9).num_rows > 0


def test_equal_texts(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "name TEXT"]
    texts = ["one two three", "four five six", "one two three", None, "", "", "one two three four", "zzz"]
    with am.Table.create(tmp_path / "t.flac", columns, {"model": "hashing"}) as table:
        table.append([{"body": text, "name": "ab"[i % 2] * (i // 4)} for i, text in enumerate(texts)])
        table.append([{"body": "zzz", "name": None}])  # in a segment of its own, or the log
        found = table.duplicates()
        assert groups_of(found) == [[1, 3], [5, 6], [8, 9]]
        assert set(found["similarity"].to_pylist()) == {1.0}
        assert groups_of(table.duplicates("body", 0.6)) == [[1, 3, 7], [5, 6], [8, 9]]
        assert groups_of(table.duplicates("name")) == [[1, 2, 3, 4], [5, 7], [6, 8]]
        assert groups_of(table.duplicates("name", where="id > 5")) == [[6, 8]]
        assert table.checkout(version=2).duplicates().num_rows == 4
        with pytest.raises(QueryError, match="column id has no vectors"):
            table.duplicates("id")


def test_bits_are_no_numbers(tmp_path: Path) -> None:
    with am.Table.create(tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "bits BIT[8]"]) as table:
        table.append([{"bits": b"\x01"}, {"bits": b"\x03"}, {"bits": b"\x01"}])
        for analysis in (table.duplicates, table.clusters, table.map):
            with pytest.raises(QueryError, match="column bits has bits"):
                analysis("bits")
            with pytest.raises(QueryError, match="no column has vectors"):
                analysis()
        assert table.search(vector=b"\x01", column="bits")["distance"].to_pylist() == [0, 0, 1]


def test_equal_texts_whose_vectors_were_rounded_differently(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    texts = [" ".join(f"word{number}" for number in rng.integers(0, 200, 12)) for _ in range(300)]
    with am.Table.create(
        tmp_path / "t.flac", ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC"], {"model": "hashing"}
    ) as table:
        table.append([{"body": text} for text in texts])
        table.vacuum()
        table.append([{"body": text} for text in texts[:20]])
        assert groups_of(table.duplicates(threshold=1)) == [[row, row + 300] for row in range(1, 21)]


def test_vectors_of_zeros_and_none(tmp_path: Path) -> None:
    vectors = np.zeros((4, 3), np.float32)
    with table_of(tmp_path / "t.flac", vectors) as table:
        assert table.duplicates().num_rows == 0
        table.append([{"id": 9, "vec": None}])
        assert table.duplicates(where="id = 9").num_rows == 0


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan"), float("inf"), "0.9", True])
def test_no_threshold(tmp_path: Path, threshold: object) -> None:
    with table_of(tmp_path / "t.flac", drawn(9, 1)) as table:
        with pytest.raises(OptionError, match=r"t\.flac: a threshold of"):
            table.duplicates(threshold=threshold)  # type: ignore[arg-type]
        with pytest.raises(AudioMemError, match="no column nix"):
            table.duplicates("nix")
