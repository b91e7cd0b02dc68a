"""search: what is printed for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiomem_sql.table.table import Table

from .conftest import Command


@pytest.fixture
def man(audiomem: Command) -> str:
    """Three rows, searched by meaning and by words, with values that JSON has no type for."""
    columns = (
        "id INTEGER PRIMARY KEY",
        "body TEXT SEMANTIC INDEXED",
        "seen TIMESTAMP",
        "data BLOB",
        "done BOOLEAN",
    )
    assert audiomem("create", "man.flac", *columns, "--option", "model=hashing").code == 0
    change = """INSERT INTO man(body, seen, data, done) VALUES
      ('disks are full', '2024-03-01 10:00:00', x'00ff', 1), ('cats sleep', NULL, NULL, 0),
       ('full moon', NULL, x'', NULL)"""
    assert audiomem("sql", "man.flac", change).code == 0
    return "man.flac"


def test_json_has_the_values_of_sql(audiomem: Command, man: str) -> None:
    results = json.loads(audiomem("search", man, "semantic: disks are full", "-k", "1", "--json").out)
    sql = json.loads(audiomem("sql", man, "SELECT * FROM man WHERE id = 1", "--json").out)
    assert results[0].pop("distance") == pytest.approx(0, abs=1e-3)
    assert results == sql


def test_rows_found_by_words_have_no_distance(audiomem: Command, man: str) -> None:
    shown = audiomem("search", man, "keyword: full")
    assert shown.code == 0
    assert shown.out.count("words") == 2
    assert "cats" not in shown.out
    results = json.loads(audiomem("search", man, "keyword: full", "--json").out)
    assert sorted((row["id"], row["distance"]) for row in results) == [(1, None), (3, None)]


def test_the_tokenizer_of_a_column(audiomem: Command) -> None:
    made = audiomem("create", "t.flac", "id INTEGER PRIMARY KEY", "body TEXT INDEXED(tokenize='trigram')")
    assert "body TEXT INDEXED(tokenize='trigram')" in made.out
    wrong = audiomem("create", "u.flac", "body TEXT INDEXED(tokenize='trigrams')")
    assert wrong.code == 2
    assert "there is no tokenizer trigrams. Did you mean trigram?" in " ".join(wrong.err.split())


def test_a_word_that_is_misspelt(audiomem: Command) -> None:
    with Table.create("t.flac", ["body TEXT INDEXED"]) as table:
        table.append([{"body": "Reset a password"}, {"body": "Passwords expire"}])
    assert "did you mean password?" in audiomem("search", "t.flac", "pasword").err
    assert "nothing was found" in audiomem("search", "t.flac", "zebra").err
    assert "did you mean" not in audiomem("search", "t.flac", "zebra").err


def test_nothing_found(audiomem: Command, man: str) -> None:
    nothing = audiomem("search", man, "keyword: unicorn")
    assert (nothing.code, nothing.out) == (0, "")
    assert "nothing was found" in nothing.err
    assert json.loads(audiomem("search", man, "keyword: unicorn", "--json").out) == []


def test_conditions_and_versions(audiomem: Command, man: str) -> None:
    assert audiomem("tag", man, "before").code == 0
    assert audiomem("sql", man, "DELETE FROM man WHERE id = 1").code == 0
    old = audiomem("search", man, "full", "--version", "before", "--where", "done", "--json")
    assert [row["id"] for row in json.loads(old.out)] == [1]
    now = audiomem("search", man, "full", "--where", "id < 3", "--json")
    assert [row["id"] for row in json.loads(now.out)] == [2]
    any_sql = "substr(body, 1, 1) = 'f' AND id % 2 = 1"
    odd = audiomem("search", man, "disks", "--where", any_sql, "--json")
    assert [row["id"] for row in json.loads(odd.out)] == [3]
    assert "no such function: foo" in audiomem("search", man, "full", "--where", "foo(id)").err


def test_the_summary_of_an_ingest_has_the_sizes_of_what_is_left(audiomem: Command, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Frames\n\nA frame is a page.\n")
    facts = json.loads(audiomem("ingest", "kb.flac", "a.md", "--json").out)
    assert facts["value_bytes"] > 0
    assert facts["file_bytes"] == (tmp_path / "kb.flac").stat().st_size


def test_a_column_called_distance(audiomem: Command) -> None:
    """What the search adds has the other name, as in SQL."""
    columns = ("id INTEGER PRIMARY KEY", "Distance REAL", "rank INTEGER", "body TEXT SEMANTIC")
    assert audiomem("create", "own.flac", *columns, "--option", "model=hashing").code == 0
    rows = "INSERT INTO own VALUES (1, 7.5, 3, 'disks are full'), (2, 8.5, 4, 'cats sleep')"
    assert audiomem("sql", "own.flac", rows).code == 0
    (found,) = json.loads(audiomem("search", "own.flac", "disks are full", "-k", "1", "--json").out)
    assert found.pop("audiomem_distance") == pytest.approx(0, abs=1e-3)
    assert found == {"id": 1, "Distance": 7.5, "rank": 3, "body": "disks are full"}
    shown = audiomem("search", "own.flac", "cats sleep", "-k", "1").out
    assert "0.000" in shown
    assert "Distance=8.5" in shown


def test_how_it_ranks(audiomem: Command, man: str) -> None:
    with Table(man) as table:
        rows = table.explain("full disks", fusion="rrf", weight=0.3).to_pylist()
        wanted = table.search("full disks", fusion="rrf", weight=0.3)["id"].to_pylist()
    ranking = ["--ranking", "fusion=rrf, weight=0.3", "--json"]
    found = json.loads(audiomem("search", man, "full disks", *ranking).out)
    assert [row["id"] for row in found] == wanted
    assert json.loads(audiomem("search", man, "full disks", "--explain", *ranking).out) == rows


def test_weights_of_columns(audiomem: Command) -> None:
    with Table.create("two.flac", ["title TEXT INDEXED", "body TEXT INDEXED", "vec FLOAT[2]"]) as table:
        table.append(
            [
                {"title": "disk", "body": "a page of text", "vec": [0.0, 1.0]},
                {"title": "page", "body": "a disk of data", "vec": [1.0, 0.0]},
                *[{"title": "other", "body": "text", "vec": [1.0, 1.0]}] * 3,
            ]
        )
        wanted = table.explain("disk", column_weights={"title": 10}).to_pylist()
    for title, *more in (
        ("disk", "title=10", "--vector", "[1, 1]", "--weight", "vec=0"),
        ("page", "Body=10"),
    ):
        found = audiomem("search", "two.flac", "disk", "--json", "--weight", *more).out
        assert json.loads(found)[0]["title"] == title
    said = ["--ranking", 'column_weights={"title": 10}', "--explain", "--json"]
    explained = audiomem("search", "two.flac", "disk", *said).out
    assert json.loads(explained) == wanted
    explained = audiomem("search", "two.flac", "disk", "--weight", "title=10", "--explain", "--json").out
    assert json.loads(explained) == wanted
    for more, message in (
        (["--weight", "titel=2"], "titel"),
        (["--weight", "title=-2"], "the weight -2.0 of title is no number from 0"),
        (["--weight", "title=1", "--weight", "title=2"], "title has two weights"),
        ([*said[:2], "--weight", "title=2"], "weights of columns are said twice"),
    ):
        refused = audiomem("search", "two.flac", "disk", *more)
        assert refused.code in (1, 2)
        assert refused.out == ""
        assert message in " ".join(refused.err.split())


def test_explain_for_people(audiomem: Command, man: str) -> None:
    with Table(man) as table:
        [row] = table.explain("full full disks", 1).to_pylist()
    lines = audiomem("search", man, "full full disks", "-k", "1", "--explain").out.splitlines()
    assert lines[0] == f"  1. {row['key']}  score {row['score']:.4f}"
    mean, deviation = row["meaning_mean"], row["meaning_deviation"]
    assert (
        lines[1].split()
        == (
            f"meaning 1: 0.65 × {row['meaning_part']:.4f} cosine {row['cosine']:.4f} "
            f"(mean {mean:.4f}, deviation {deviation:.4f})"
        ).split()
    )
    assert (
        lines[2].strip().startswith(f"words 1: 0.35 × {row['words_part']:.4f}  bm25 {row['bm25']:.4f} (mean")
    )
    words = json.loads(row["words"])
    assert [line.split(":")[0].strip() for line in lines[3:]] == [word["word"] for word in words]
    assert lines[3].strip() == (
        f"full: 2 × idf {words[0]['idf']:.4f} × tf {words[0]['tf']:.4f} = {words[0]['score']:.4f}"
    )
    alone = audiomem("search", man, "keyword: disks", "--explain").out.splitlines()
    assert alone[1].strip().startswith("words 1: 1.00 × ")
    assert not any("meaning" in line for line in alone)
    beyond = audiomem("search", man, "disks", "--explain", "--ranking", "fusion=rrf").out
    assert "words beyond: 1.00 × 0.0000" in beyond


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        ("fusion=rff", "there is no fusion 'rff'. Did you mean rrf"),
        ("weight=nan", "weight = 'nan' is no share of meaning"),
        ("rerank=all-MiniLM-L6-v2", "is no cross-encoder"),
        ("best", "'best' is not an option"),
    ],
)
def test_rankings_that_there_are_not(audiomem: Command, man: str, ranking: str, message: str) -> None:
    for more in ([], ["--explain"]):
        refused = audiomem("search", man, "full", "--ranking", ranking, *more)
        assert refused.code == 2 or refused.code == 1
        assert message in " ".join(refused.err.split())
        assert refused.out == ""
