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
