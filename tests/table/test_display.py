"""What notebooks show: everything escaped, and a picture that is one."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

import audiomem_sql as am
from audiomem_sql.table.display import png
from audiomem_sql.table.table import Table

EVIL = "<script>alert('x')</script>&\"'"


class Tags(HTMLParser):
    """The tags of a text, which must be closed in order, and its words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attributes)))
        if tag not in ("br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data + "\n"


def picture(shown: Tags) -> Image.Image:
    (source,) = [attributes["src"] for tag, attributes in shown.seen if tag == "img"]
    assert source is not None
    return Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,"))))


def test_a_table(tmp_path: Path) -> None:
    with Table.create(
        tmp_path / "notes.flac", ["id INTEGER PRIMARY KEY", "title TEXT NOT NULL"], {"protection": "standard"}
    ) as table:
        titles = (f"title {Random(row).randbytes(60).hex()}" for row in range(2000))
        table.append([{"title": title} for title in titles], message="many")
        table.checkpoint()
        table.tag("first")
        shown = Tags(table._repr_html_())
        assert "2,000 rows, version 3" in shown.words
        assert "title TEXT NOT NULL" in shown.words
        assert "first\n" in shown.words
        assert "many\n" in shown.words
        assert "protection standard" in shown.words
        total = re.search(r"([\d,]+) bytes", shown.words)
        assert total is not None
        sizes = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
        assert int(total[1].replace(",", "")) == sizes
        image = picture(shown)
        assert image.size[0] > 50
        assert len(image.convert("RGB").getcolors(1 << 20) or ()) > 8
        with table.checkout(version=2) as old:
            assert "version 2" in Tags(old._repr_html_()).words


def test_what_the_file_says_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "<b>&.flac"
    with Table.create(path, [f'"{EVIL.replace(chr(34), chr(34) * 2)}" TEXT']) as table:
        table.append([{EVIL: "x"}], message=EVIL)
        table.tag(EVIL)
        shown = Tags(table._repr_html_())
        assert {tag for tag, _ in shown.seen} <= {
            "div",
            "b",
            "br",
            "small",
            "img",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
        assert shown.words.count("<script>") >= 3
        assert [attributes for tag, attributes in shown.seen if tag == "b"] == [{}]


def test_much_is_counted(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", [f"c{number} INTEGER" for number in range(60)]) as table:
        for _ in range(7):
            table.append([{"c0": 1}])
        shown = Tags(table._repr_html_())
        assert "and 20 more columns" in shown.words
        assert "and 3 more versions" in shown.words


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    table = am.write_flac([{"a": 1}], path)
    whole = path.read_bytes()
    path.write_bytes(b"none" + whole[4:])
    assert "<img" not in table._repr_html_()
    path.unlink()
    assert Tags(table._repr_html_()).words.strip() == repr(table)
    path.write_bytes(whole)
    table.close()


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (129, 256)])
def test_png(shape: tuple[int, int]) -> None:
    levels = np.random.default_rng(1).integers(0, 256, shape).astype(np.uint8)
    image = Image.open(io.BytesIO(png(levels)))
    image.load()
    assert image.size == shape[::-1]
    assert (np.asarray(image) == levels).all()


def test_first_rows(tmp_path: Path) -> None:
    columns = ["id INTEGER PRIMARY KEY", "title TEXT", "raw BLOB", "vec FLOAT[6]", "doc JSON"]
    with Table.create(tmp_path / "t.flac", columns) as table:
        table.append(
            [
                {"title": "one\ntwo\u202e", "raw": b"\0\xff", "vec": [1, 2, 3, 4, 5, 6], "doc": {"a": [1]}},
                {"title": "x" * 500, "raw": bytes(500)},
                *[{"title": EVIL}] * 10,
            ]
        )
        lines = str(table).splitlines()
        assert lines[0] == f"<Table {str(tmp_path / 't.flac')!r}: 12 rows, 5 columns, version 2>"
        assert lines[1].split() == ["id", "title", "raw", "vec", "doc"]
        assert re.split("  +", lines[3]) == [
            "1",
            "one two",
            "x'00ff'",
            "[1.0, 2.0, 3.0, 4.0, …]",
            '{"a":[1]}',
        ]
        shown = re.split("  +", lines[4])
        assert shown == ["2", "x" * 59 + "…", "x'" + "0" * 57 + "…", "NULL", "NULL"]
        assert len(lines) == 14
        assert lines[13] == "and 2 more rows"
        assert repr(table) == str(table)
        page = Tags(table._repr_html_())
        assert page.words.count(EVIL) == 8
        assert "and 2 more rows" in page.words
        assert "[1.0, 2.0, 3.0, 4.0, …]" in page.words
        assert max(map(len, page.words.splitlines())) < 200
        with table.checkout(1) as empty:
            assert str(empty).splitlines()[1].split() == ["id", "title", "raw", "vec", "doc"]
            assert len(str(empty).splitlines()) == 3
    assert str(table) == lines[0]  # closed


def test_some_columns_of_many(tmp_path: Path) -> None:
    with Table.create(tmp_path / "t.flac", [f"c{number} INTEGER" for number in range(23)]) as table:
        table.append([{"c0": 7}] * 11)
        assert str(table).splitlines()[-1] == "and 1 more row and 3 more columns"
        assert "c19" in str(table)
        assert "c20" not in str(table)
        assert "and 3 columns not shown" in Tags(table._repr_html_()).words


@pytest.mark.damages
def test_rows_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    with Table.create(path, ["n INTEGER", "body TEXT"], {"protection": "none"}) as table:
        table.append([{"n": number, "body": Random(number).randbytes(300).hex()} for number in range(3000)])
        table.vacuum()
    whole = bytearray(path.read_bytes())
    for start in range(60_000, len(whole) - 60_000, 5000):
        whole[start : start + 2500] = bytes(2500)
    path.write_bytes(whole)
    with Table(path) as table:
        assert str(table) == f"<Table {str(path)!r}: 3000 rows, 2 columns, version 2>"
        assert "The rows cannot be read" in Tags(table._repr_html_()).words
