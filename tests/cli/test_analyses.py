"""duplicates, clusters and map: what is printed for people and for programs, and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audiomem_sql.table.table import Table

from .conftest import Command


@pytest.fixture
def faq(audiomem: Command) -> str:
    """Two subjects, and a text that is there twice."""
    columns = ["id INTEGER PRIMARY KEY", "body TEXT SEMANTIC", "year INTEGER"]
    texts = ["cats sleep on a sofa", "cats purr on a sofa", "reset a password", "reset the new password"]
    with Table.create("faq.flac", columns, {"model": "hashing"}) as table:
        table.append([{"body": text, "year": 2020 + number} for number, text in enumerate(texts)])
        table.tag("four")
        table.append([{"body": "cats sleep on a sofa", "year": 2024}])
    return "faq.flac"


def test_duplicates(audiomem: Command, faq: str) -> None:
    shown = audiomem("duplicates", faq)
    assert shown.code == 0
    assert shown.out.count("cats sleep on a sofa") == 2
    assert "password" not in shown.out
    rows = json.loads(audiomem("duplicates", faq, "--json").out)
    assert [(row["group_id"], row["row_id"], row["representative"]) for row in rows] == [(1, 1, 1), (1, 5, 1)]
    some = json.loads(audiomem("duplicates", faq, "--json", "--threshold", "0.3", "--column", "body").out)
    assert {row["row_id"] for row in some} == {1, 2, 3, 4, 5}
    none = audiomem("duplicates", faq, "--where", "year < 2024")
    assert none.code == 0
    assert "no two rows" in none.err
    assert audiomem("duplicates", faq, "--version", "four", "--json").out.strip() == "[]"


def test_clusters(audiomem: Command, faq: str) -> None:
    shown = audiomem("clusters", faq, "-k", "2")
    assert shown.code == 0
    assert "password" in shown.out
    rows = json.loads(audiomem("clusters", faq, "-k", "2", "--json").out)
    assert [row["size"] for row in rows] == [3, 2]
    assert "sofa" in rows[0]["words"]
    members = json.loads(audiomem("clusters", faq, "-k", "2", "--rows", "--json").out)
    assert [row["cluster"] for row in members] == [1, 1, 2, 2, 1]
    then = audiomem("clusters", faq, "-k", "2", "--json", "--version", "four", "--where", "year > 2020")
    assert sum(row["size"] for row in json.loads(then.out)) == 3


def test_map(audiomem: Command, faq: str) -> None:
    shown = audiomem("map", faq, "-k", "2")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0] == "faq: 5 rows"
    assert set("".join(lines[1:-2])) == {" ", "A", "B"}
    assert lines[-2].startswith("A ")
    assert lines[-1].startswith("B ")
    drawn = audiomem("map", faq, "-o", "faq.png", "--where", "year < 2024", "--column", "body")
    assert (drawn.code, drawn.out) == (0, "faq.png: faq: 4 rows\n")
    assert Path("faq.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["duplicates", "faq.flac", "--threshold", "2"], 2, "a threshold of 2.0 is no similarity"),
        (["duplicates", "faq.flac", "--threshold", "nan"], 2, "a threshold of nan is no similarity"),
        (["duplicates", "faq.flac", "--column", "year"], 1, "column year has no vectors"),
        (["clusters", "faq.flac", "-k", "0"], 1, "k = 0 is no number of clusters"),
        (["clusters", "faq.flac", "--where", "nix > 1"], 1, "nix"),
        (["map", "faq.flac", "-o", "faq.gif"], 2, "no kind of picture"),
        (["map", "faq.flac", "-o", "nowhere/faq.png"], 1, "cannot be written"),
        (["map", "nothing.flac"], 1, "nothing.flac: there is no such file"),
    ],
)
def test_what_is_refused(audiomem: Command, faq: str, arguments: list[str], code: int, what: str) -> None:
    result = audiomem(*arguments)
    assert result.code == code
    assert what in " ".join(result.err.split())
    assert not Path("faq.gif").exists()
