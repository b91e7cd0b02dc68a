"""Long texts in what looks at whole tables, beside models in plain Python."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.arrays import F32Array, F64Array
from audiomem_sql.errors import LimitError
from audiomem_sql.search.analyses import long_texts
from audiomem_sql.search.embedding.passages import cut
from audiomem_sql.search.models.embedders import HashingEmbedder

WINDOW = 24
COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "plain TEXT", "year INTEGER"]
OPTIONS = {"model": "hashing", "passages": WINDOW, "protection": "none"}
WORDS = [f"{a}{b}" for a in ("ka", "lo", "mi", "nu", "pe", "ra") for b in ("dor", "fin", "gal", "hem")]
#: What codes of few bytes may change of a distance.
ROUGH = 0.02
HASHING = HashingEmbedder()
TAIL = "Glaciers carve valleys slowly downhill."


def text_of(rng: random.Random, sentences: int) -> str:
    made = (" ".join(rng.choices(WORDS, k=rng.randint(3, 9))).capitalize() + ". " for _ in range(sentences))
    return "".join(made).strip()


@cache
def passages_of(text: str) -> tuple[F32Array, F64Array]:
    """The vectors of a text's passages, float32 (m, d), and how much each weighs."""
    spans = cut(text, WINDOW, HASHING).tolist()
    lengths = np.array([end - start for start, end in spans], np.float64)
    return HASHING.embed([text[start:end] for start, end in spans]), lengths / lengths.sum()


def whole_of(text: str) -> F64Array:
    vectors, weights = passages_of(text)
    mean: F64Array = weights @ vectors.astype(np.float64)
    return mean / np.linalg.norm(mean)


def apart(one: str, other: str) -> float:
    """The distance of the nearest two passages."""
    return float(1 - (passages_of(one)[0] @ passages_of(other)[0].T).max())


def alike(one: str, other: str) -> float:
    """How much two texts say the same as wholes."""
    (ours, our_weights), (theirs, their_weights) = passages_of(one), passages_of(other)
    cosines = ours @ theirs.T
    both = our_weights @ cosines.max(axis=1), their_weights @ cosines.max(axis=0)
    return min(float(whole_of(one) @ whole_of(other)), *map(float, both))


def filled(path: Path, texts: dict[int, str | None], *, logged: int = 5) -> am.Table:
    """A table of the texts; the last of them stand in the log, and some rows of the segment are deleted."""
    table = am.Table.create(path, COLUMNS, OPTIONS)
    rows = [{"id": key, "body": text, "plain": text, "year": key % 3} for key, text in texts.items()]
    gone = [{"id": 1000 + key, "body": text_of(random.Random(key), 8), "year": 0} for key in range(4)]
    table.append(rows[: len(rows) - logged] + gone)
    table.vacuum()
    transaction = table.begin()
    for row in gone:
        transaction.delete(int(str(row["id"])))
    for row in rows[len(rows) - logged :]:
        transaction.insert(int(str(row["id"])), tuple(row.values()))
    table.commit()
    return table


@pytest.fixture(scope="module")
def texts() -> dict[int, str | None]:
    rng = random.Random(4)
    made: dict[int, str | None] = {key: text_of(rng, rng.choice([1, 1, 2, 6, 14])) for key in range(40)}
    made[7] = None
    made[20] = f"{text_of(rng, 9)} {TAIL}"  # in the segment
    made[38] = f"{text_of(rng, 9)} {TAIL}"  # in the log
    made[12] = TAIL
    made[13] = " ".join([TAIL] * 40)  # all of whose passages are near
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, texts: dict[int, str | None]) -> Path:
    made = tmp_path_factory.mktemp("long")
    filled(made / "t.flac", texts).close()
    return made


@pytest.fixture
def table(folder: Path) -> Iterator[am.Table]:
    with am.Table(folder / "t.flac") as opened:
        yield opened


# -- the nearest rows
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["body", "plain"])
@pytest.mark.parametrize("k", [1, 4, 100])
def test_the_nearest_passages_count(
    table: am.Table, texts: dict[int, str | None], column: str, k: int
) -> None:
    """Of texts with vectors, and of those that are embedded for the join."""
    lefts = {key: text for key, text in texts.items() if text is not None and (k == 100 or key % 4 == 0)}
    rights = {key: text for key, text in texts.items() if text is not None and key % 3 < 2}
    where = "1" if k == 100 else "id % 4 = 0"
    found = table.knn_join(table, k, column=column, other_column="body", where=where, other_where="year < 2")
    by_left: dict[int, list[tuple[int, float]]] = {}
    for row in found.to_pylist():
        by_left.setdefault(row["left_row_id"], []).append((row["right_row_id"], row["distance"]))
        assert row["place"] == len(by_left[row["left_row_id"]])
    assert list(by_left) == sorted(lefts)
    for key, nearest in by_left.items():
        expected = {other: apart(lefts[key], text) for other, text in rights.items()}
        assert len({other for other, _ in nearest}) == len(nearest) == min(k, len(rights))
        distances = [distance for _, distance in nearest]
        assert distances == sorted(distances)
        assert distances == pytest.approx([expected[other] for other, _ in nearest], abs=ROUGH)
        assert distances == pytest.approx(sorted(expected.values())[:k], abs=ROUGH)


def test_a_tail_alone_is_found(folder: Path) -> None:
    """In Python, SQLite and DuckDB; rows of the segment and of the log, either way round."""
    path = str(folder / "t.flac")
    asked = f"audiomem_knn('{path}', 'body', '{path}', 'body', 4)"
    with am.Table(path) as table:
        pairs = table.knn_join(table, 4, where="id IN (12, 20, 38)")
        rows = list(zip(pairs["left_row_id"].to_pylist(), pairs["right_row_id"].to_pylist(), strict=True))
    near = {key: {right for left, right in rows if left == key} for key in (12, 20, 38)}
    assert near[12] == {12, 13, 20, 38}
    assert {20, 38} < near[20]
    assert {12, 38} < near[38]
    connection = am.connect(path)
    named = asked.replace(path, "t")
    in_sqlite = connection.execute(
        f"SELECT left_row_id, right_row_id FROM {named} WHERE left_row_id IN (12, 20, 38)"
    ).fetchall()
    connection.close()
    assert in_sqlite == rows
    with duckdb.connect() as own:
        am.register_duckdb(own)
        called = asked.replace(", 4)", ", k := 4, left_filter := 'id IN (12, 20, 38)')")
        assert own.execute(f"SELECT left_row_id, right_row_id FROM {called}").fetchall() == rows


def test_in_pieces(table: am.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = table.knn_join(table, 2), table.duplicates(threshold=0.5), table.cluster_rows(k=4)
    monkeypatch.setattr(long_texts, "_ENTRIES", 3)
    monkeypatch.setattr(long_texts, "_HELD", 200)
    found = table.knn_join(table, 2), table.duplicates(threshold=0.5), table.cluster_rows(k=4)
    for one, other in zip(wanted, found, strict=True):
        assert one.column_names == other.column_names
        for name in one.column_names:
            if one[name].type in ("double", "float"):
                assert np.allclose(one[name], other[name], atol=1e-6)
            else:
                assert one[name].equals(other[name])


def test_memory_is_asked_for(table: am.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audiomem_sql.machine.memory.UNASKED_BYTES", 0)
    monkeypatch.setattr("audiomem_sql.machine.memory.available", lambda: 100_000)
    with pytest.raises(LimitError, match="must be held at once"):
        table.duplicates(threshold=0.9)
    with pytest.raises(LimitError, match="must be held at once"):
        table.knn_join(table, 1)


# -- rows as wholes
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("least", [0.4, 0.7, 0.95])
def test_duplicates_are_alike_as_wholes(tmp_path: Path, least: float) -> None:
    rng = random.Random(6)
    first, others = text_of(rng, 3), [text_of(rng, 12) for _ in range(6)]
    made: dict[int, str | None] = {key: f"{first} {text}" for key, text in enumerate(others)}
    made[10] = f"{others[0]} {text_of(rng, 1)}"
    made[11] = f"{first} {others[0]} {text_of(rng, 1)}"
    made[12] = others[3].replace(WORDS[0], WORDS[5])
    made |= {20: first, 21: first + " Ende", 22: None, 23: made[2], 24: made[2]}
    keys = [key for key, text in made.items() if text is not None]
    near = {
        (one, other): alike(made[one] or "", made[other] or "")
        for one in keys
        for other in keys
        if one < other
    }
    groups = {key: {key} for key in keys}
    for (one, other), likeness in near.items():
        assert abs(likeness - least) > 1e-3 or likeness > 0.99, "a pair that rounding decides"
        if likeness >= least and groups[one] is not groups[other]:
            groups[one] |= groups[other]
            for key in groups[one]:
                groups[key] = groups[one]
    expected = {tuple(sorted(group)) for group in groups.values() if len(group) > 1}
    with filled(tmp_path / "t.flac", made, logged=len(made)) as table:
        for _ in range(2):
            rows = table.duplicates(threshold=least).to_pylist()
            by_group: dict[int, list[int]] = {}
            for row in rows:
                by_group.setdefault(row["group_id"], []).append(row["row_id"])
                one, other = sorted((row["row_id"], row["representative"]))
                likeness = 1.0 if one == other or made[one] == made[other] else near[one, other]
                assert row["similarity"] == pytest.approx(likeness, abs=ROUGH)
            assert {tuple(sorted(group)) for group in by_group.values()} == expected
            table.checkpoint()


def test_the_same_beginning_is_no_duplicate(tmp_path: Path) -> None:
    """And the same passages in another order are."""
    rng = random.Random(1)
    head, tails = text_of(rng, 4), [text_of(rng, 12), "\n\n".join(WORDS[::2] * 4)]
    made: dict[int, str | None] = {key: f"{head}\n\n{tail}" for key, tail in enumerate(tails)}
    made[2] = f"{tails[0]}\n\n{head}"
    with filled(tmp_path / "t.flac", made, logged=1) as table:
        assert table.duplicates(threshold=0.9)["row_id"].to_pylist() == [0, 2]


def test_clusters_and_maps_are_of_whole_texts(tmp_path: Path) -> None:
    """A text that begins like one kind and goes on like the other belongs to the other."""
    rng = random.Random(2)
    kinds = [WORDS[:8], WORDS[12:20]]
    made: dict[int, str | None] = {}
    for key in range(24):
        words = [rng.choice(kinds[key % 2]) for _ in range(60)]
        made[key] = " ".join(words[:20] if key % 3 else words)
    head = " ".join(rng.choice(kinds[0]) for _ in range(20))
    made[30] = head + ". " + " ".join(rng.choice(kinds[1]) for _ in range(200))
    made[31] = head + ". " + " ".join(rng.choice(kinds[1]) for _ in range(200))
    with filled(tmp_path / "t.flac", made, logged=3) as table:
        rows = table.cluster_rows(k=2).to_pylist()
        cluster = {row["row_id"]: row["cluster"] for row in rows}
        assert {cluster[key] for key in (30, 31, *range(1, 24, 2))} == {cluster[1]}
        assert {cluster[key] for key in range(0, 24, 2)} == {3 - cluster[1]}
        for number in (1, 2):
            members = [key for key in made if cluster[key] == number]
            centre = np.sum([whole_of(made[key] or "") for key in members], axis=0)
            centre /= np.linalg.norm(centre)
            for row in rows:
                if row["cluster"] == number:
                    away = 1 - float(whole_of(made[row["row_id"]] or "") @ centre)
                    assert row["distance"] == pytest.approx(away, abs=ROUGH)
        found = table.map(k=2)
        places = dict(zip(found.rowids.tolist(), found.places.tolist(), strict=True))
        ours = [np.mean([places[key] for key in range(start, 24, 2)], axis=0) for start in (0, 1)]
        for key in (30, 31):
            away = [float(np.linalg.norm(np.array(places[key]) - middle)) for middle in ours]
            assert away[1] < away[0]
