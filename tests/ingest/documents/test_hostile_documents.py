"""Documents that attack: bombs, entities, endless nesting, and bytes changed at random."""

from __future__ import annotations

import io
import random
import time
import zipfile

import pytest

from audiomem_sql.errors import AudioMemError, DamagedFileError, DataTypeError, LimitError
from audiomem_sql.ingest.documents import package
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.registry import readers
from ingest.documents.office_files import MAKERS, changed, zipped
from ingest.documents.test_office import made

KIND_OF = {
    "docx": "word", "pptx": "slides", "xlsx": "sheets", "odt": "opendocument", "ods": "opendocument",
    "odp": "opendocument", "epub": "epub", "pdf": "pdf", "rtf": "rtf",
}  # fmt: skip
#: The part that the text of each kind is in.
PARTS = {
    "docx": "word/document.xml",
    "pptx": "ppt/slides/slide1.xml",
    "xlsx": "xl/worksheets/sheet1.xml",
    "odt": "content.xml",
    "ods": "content.xml",
    "odp": "content.xml",
    "epub": "EPUB/content.opf",
}
#: Changes of each kind of file.
CHANGES = 8


def read(kind: str, data: bytes) -> int:
    """The sections in a file of that kind."""
    content = Content(f"a.{kind}", data=data)
    return sum(len(document.sections) for document in readers()[KIND_OF[kind]].documents(content))


def attempt(kind: str, data: bytes) -> AudioMemError | None:
    """Read a file; the error of this package that says what is wrong with it."""
    try:
        read(kind, data)
    except AudioMemError as error:
        return error
    return None


@pytest.mark.parametrize("kind", MAKERS)
def test_bytes_changed_at_random(kind: str) -> None:
    data = made(kind)
    dice = random.Random(kind)
    for _ in range(CHANGES):
        bad = bytearray(data)
        if dice.random() < 0.3:
            del bad[dice.randrange(len(bad)) :]
        for _ in range(dice.choice((1, 1, 4, 40))):
            if bad:
                bad[dice.randrange(len(bad))] = dice.randrange(256)
        started = time.process_time()
        found = attempt(kind, bytes(bad))
        assert time.process_time() - started < 20
        assert found is None or found.file == f"a.{kind}"


@pytest.mark.parametrize("kind", PARTS)
def test_xml_changed_at_random(kind: str) -> None:
    """What is inside a zip file is guarded by checksums; so its parts are changed before they are packed."""
    with zipfile.ZipFile(io.BytesIO(made(kind))) as archive:
        part = archive.read(PARTS[kind])
    dice = random.Random(kind)
    for _ in range(CHANGES):
        bad = bytearray(part)
        for _ in range(dice.choice((1, 4))):
            at = dice.randrange(len(bad))
            bad[at : at + dice.choice((0, 1, 9))] = dice.choice(
                (b"9", b"<", b"-", b"", b"999999999999", b"\xff")
            )
        found = attempt(kind, changed(made(kind), {PARTS[kind]: bytes(bad)}))
        assert found is None or found.file == f"a.{kind}"


@pytest.mark.parametrize("kind", PARTS)
def test_entities(kind: str) -> None:
    laughs = "".join(f'<!ENTITY l{n} "' + f"&l{n - 1};" * 10 + '">' for n in range(1, 9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY l0 "lol">{laughs}]><x>&l8;</x>'
    with pytest.raises(DamagedFileError, match="declares an entity"):
        read(kind, changed(made(kind), {PARTS[kind]: bomb}))
    outside = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'
    with pytest.raises(DamagedFileError, match="declares an entity"):
        read(kind, changed(made(kind), {PARTS[kind]: outside}))


@pytest.mark.parametrize("kind", PARTS)
def test_elements_inside_elements(kind: str) -> None:
    with pytest.raises(LimitError, match="deep"):
        read(kind, changed(made(kind), {PARTS[kind]: "<p>" * 100_000}))


def test_groups_inside_groups() -> None:
    with pytest.raises(LimitError, match="deep"):
        read("rtf", b"{\\rtf1" + b"{" * 100_000)


@pytest.mark.parametrize("kind", ["docx", "odt", "pptx"])
def test_a_part_that_expands(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "PART_LIMIT", 1 << 20)
    with pytest.raises(LimitError, match=rf"{PARTS[kind]}: it expands to more than 1 MiB"):
        read(kind, changed(made(kind), {PARTS[kind]: "<p>" + " " * (2 << 20) + "</p>"}))


def test_a_tag_without_an_end() -> None:
    with pytest.raises(LimitError, match="one tag is longer"):
        read("docx", changed(made("docx"), {PARTS["docx"]: '<p a="' + "x" * (6 << 20)}))


def test_one_text_in_a_million_cells() -> None:
    """A text that cells share is stored once, and counted wherever it stands."""
    strings = f"<sst><si><t>{'x' * 1_000_000}</t></si></sst>"
    row = "<row>" + '<c t="s"><v>0</v></c>' * 100 + "</row>"
    data = changed(
        made("xlsx"),
        {
            "xl/sharedStrings.xml": strings,
            PARTS["xlsx"]: f"<worksheet><sheetData>{row * 10}</sheetData></worksheet>",
        },
    )
    with pytest.raises(LimitError, match="million characters"):
        read("xlsx", data)


def test_cells_that_are_said_to_be_there_again_and_again() -> None:
    head = '<office xmlns:t="t"><body><table name="S">'
    cell = '<table-cell number-columns-repeated="999999999"><p>x</p></table-cell>'
    row = f'<table-row number-rows-repeated="999999999">{cell}</table-row>'
    sections = read("ods", changed(made("ods"), {"content.xml": f"{head}{row}</table></body></office>"}))
    assert sections == 100


def test_a_zip_file_that_is_no_document() -> None:
    with pytest.raises(DataTypeError, match="an empty zip file"):
        read("docx", zipped({}))
    assert read("docx", zipped({"a.txt": "x", "b.txt": "y"})) == 2
