"""Notes of Obsidian and Logseq: what is said in front matter, links, embeds, outlines and names of files."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.markdown import read
from audiomem_sql.ingest.rows import rows_of
from audiomem_sql.ingest.sources import find_sources


def documents(path: Path) -> list[Document]:
    return list(read(Content(path.name, path)))


def note(folder: Path, name: str, text: str) -> Document:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    (document,) = documents(path)
    return document


@pytest.fixture
def obsidian(tmp_path: Path) -> Path:
    (tmp_path / ".obsidian").mkdir()
    (tmp_path / ".obsidian" / "app.md").write_text("settings")
    return tmp_path


@pytest.fixture
def logseq(tmp_path: Path) -> Path:
    (tmp_path / "logseq").mkdir()
    (tmp_path / "logseq" / "config.edn").write_text("{}")
    return tmp_path


FRONT = """---
title: The kiln
aliases: [oven, "big furnace"]
tags:
  - pottery
  - "fire/high"
date: 2024-03-05
rating: 4
related: "[[Glazes|glazing]]"
empty:
---
# Firing

Slowly.
"""


def test_front_matter_is_searched(tmp_path: Path) -> None:
    found = note(tmp_path, "plain.md", FRONT)
    assert found.title == "The kiln"
    assert found.created_at == datetime(2024, 3, 5)
    first, second = found.sections
    assert first.text.splitlines() == [
        "aliases: oven, big furnace",
        "tags: pottery, fire/high",
        "date: 2024-03-05",
        "rating: 4",
        "related: glazing",
    ]
    assert first.place == "line=1"
    assert (second.heading, second.text) == ("Firing", "Slowly.")


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("---\ntags: [a, b\n---\ntext", "tags: [a, b"),  # no YAML: its words are kept
        ("---\na: &x [1]\nb: *x\n---\ntext", "a: &x [1]\nb: *x"),  # aliases can grow without end
        ("---\ntitle: only\n---\ntext", "text"),
        ("---\n- a\n- b\n---\ntext", "- a\n- b\n---\ntext"),
    ],
)
def test_front_matter_that_is_not_usual(tmp_path: Path, text: str, first: str) -> None:
    found = note(tmp_path, "odd.md", text)
    assert found.sections[0].text.strip("-\n") == first.strip("-\n")


@pytest.mark.parametrize("value", ["!!timestamp soon", "!!int ''", "!!float x", "!!binary é"])
def test_front_matter_whose_tags_do_not_fit(tmp_path: Path, value: str) -> None:
    document = note(tmp_path, "a.md", f"---\nwhen: {value}\n---\nWords.\n")
    assert [section.text for section in document.sections] == [f"when: {value}", "Words."]


def test_what_is_only_in_a_vault(tmp_path: Path) -> None:
    """Elsewhere brackets are somebody's text."""
    assert note(tmp_path, "a.md", "if [[x]] ==y== %%z%% ^b").sections[0].text == "if [[x]] ==y== %%z%% ^b"


def test_obsidian(obsidian: Path) -> None:
    text = (
        "See [[Kiln]], [[Kiln|the oven]], [[Kiln#Firing]], [[Kiln#^b1]] and ![[plan.png|300]].\n"
        "![[Glazes#Celadon]] ==hot== %%not this%% end ^block-1\n"
        "`[[code]]` stays, [link](a.md) stays\n"
        "%% a comment\n"
        "of two lines %% after\n"
        "```sh\n[[ -f x ]] && echo ==y== ^z\n```\n"
        "```compressed-json\nN4KAkARALgngDgUwgLgAQ\n```\n"
    )
    found = note(obsidian, "sub/Pots.md", text)
    assert found.title == "Pots"
    assert found.sections[0].text.split("\n") == [
        "See Kiln, the oven, Kiln > Firing, Kiln and plan.png.",
        "Glazes > Celadon hot  end",
        "`[[code]]` stays, [link](a.md) stays",
        "",
        " after",
        "```sh",
        "[[ -f x ]] && echo ==y== ^z",
        "```",
    ]


@pytest.mark.parametrize(
    ("name", "day"), [("2024-05-01.md", datetime(2024, 5, 1)), ("2024-13-01.md", None), ("x.md", None)]
)
def test_daily_notes(obsidian: Path, name: str, day: datetime | None) -> None:
    assert note(obsidian, f"daily/{name}", "text").created_at == day


def test_the_settings_of_obsidian_are_no_notes(obsidian: Path) -> None:
    note(obsidian, "a.md", "text")
    assert [Path(source.name).name for source in find_sources([obsidian])] == ["a.md"]


def test_logseq(logseq: Path) -> None:
    text = (
        "title:: The kiln\n"
        "tags:: [[pottery]], fire\n"
        "id:: 6612a0e5-1111-2222-3333-444455556666\n"
        "\n"
        "- # Firing\n"
        "  collapsed:: true\n"
        "- Slowly, see [[Glazes]] and ((6612a0e5-1111-2222-3333-444455556666))\n"
        "  duration:: 8 h\n"
        "\t- [why](((6612a0e5-1111-2222-3333-444455556666)))\n"
        "\t\t- cracks\n"
        "- {{query (task TODO)}}\n"
        "- ```py\n"
        "  x[[0]]\n"
        "  ```\n"
    )
    found = note(logseq, "pages/pots___kiln.md", text)
    assert found.title == "The kiln"
    first, second = found.sections
    assert first.text == "tags: pottery, fire"
    assert second.heading == "Firing"
    assert second.text.split("\n") == [
        "Slowly, see Glazes and ",
        "duration: 8 h",
        "- why",
        "\t- cracks",
        "",
        "```py",
        "x[[0]]",
        "```",
    ]
    assert note(logseq, "pages/pots___glaze.md", "- a").title == "pots/glaze"
    assert note(logseq, "journals/2024_05_01.md", "- a").created_at == datetime(2024, 5, 1)


def test_backups_of_logseq_are_no_notes(logseq: Path) -> None:
    old = logseq / "logseq" / "bak" / "pages" / "kiln" / "2024.md"
    old.parent.mkdir(parents=True)
    old.write_text("- old words")
    assert documents(old) == []


def test_rows_of_a_vault(obsidian: Path) -> None:
    note(obsidian, "2024-05-01.md", FRONT.replace("date: 2024-03-05\n", ""))
    (source,) = find_sources([obsidian])
    first, second = rows_of(source)
    assert first["title"] == "The kiln"
    assert first["place"] == "line=1"
    assert "tags: pottery" in first["body"]
    assert first["created_at"] == second["created_at"] == datetime(2024, 5, 1)
