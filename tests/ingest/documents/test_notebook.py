"""Notebooks: the cells, under the headings that they have."""

from __future__ import annotations

import json
from typing import Any

import nbformat
import pytest

from audiomem_sql.errors import DamagedFileError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document, Section
from audiomem_sql.ingest.documents.notebook import OUTPUT_LIMIT, read


def document_in(notebook: Any) -> Document:
    text = notebook if isinstance(notebook, str) else json.dumps(notebook)
    (document,) = read(Content("a.ipynb", data=text.encode()))
    return document


def output(kind: str, **fields: Any) -> Any:
    return nbformat.v4.new_output(kind, **fields)


def test_cells() -> None:
    v4 = nbformat.v4
    code = v4.new_code_cell("1 + 1")
    picture = {"image/png": "aGlkZGVu", "text/plain": "<Figure size 640x480 with 1 Axes>"}
    code.outputs = [
        output("stream", name="stdout", text="\x1b[31mred\x1b[0m\n"),
        output("execute_result", data={"text/plain": "2", "text/html": "<b>hidden</b>"}),
        output("display_data", data=picture),
        output("error", ename="ValueError", evalue="no", traceback=["hidden"]),
    ]
    long = v4.new_code_cell("loop()")
    long.outputs = [output("stream", name="stdout", text="x" * 5000)]
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell("# Trip\n\nWords.\n\n## Costs\n"),
            code,
            v4.new_markdown_cell("no heading"),
            v4.new_code_cell(""),
            v4.new_markdown_cell("## Plan\n\nGo."),
            long,
            v4.new_raw_cell("raw"),
        ]
    )
    nbformat.validate(notebook)
    document = document_in(nbformat.writes(notebook))
    assert document == Document(
        "Trip",
        [
            Section("Trip", "Words.", (), "cell=1"),
            Section("Costs", "Costs", ("Trip",), "cell=1"),
            Section("Costs", "1 + 1\n\nred\n2\nValueError: no", ("Trip",), "cell=2"),
            Section("Costs", "no heading", ("Trip",), "cell=3"),
            Section("Plan", "Go.", ("Trip",), "cell=5"),
            Section("Plan", f"loop()\n\n{'x' * OUTPUT_LIMIT} …", ("Trip",), "cell=6"),
            Section("Plan", "raw", ("Trip",), "cell=7"),
        ],
    )


def test_format_3() -> None:
    v3 = nbformat.v3
    cells = [
        v3.new_heading_cell("Trip", level=2),
        v3.new_code_cell("1 + 1", outputs=[v3.new_output("pyout", output_text="2")]),
    ]
    text = nbformat.writes(v3.new_notebook(worksheets=[v3.new_worksheet(cells=cells)]), version=3)
    assert document_in(text).sections == [
        Section("Trip", "Trip", (), "cell=1"),
        Section("Trip", "1 + 1\n\n2", (), "cell=2"),
    ]


def test_titles() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "\n", "a"]},
        {"cell_type": "markdown", "source": "# B"},
    ]
    assert document_in({"cells": cells}).title is None
    assert document_in({"cells": cells[:1]}).title == "A"
    assert document_in({"cells": cells, "metadata": {"title": "T"}}).title == "T"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '"cells"', "{}", '{"cells": 3}', '{"cells":' + "[" * 100_000]
)
def test_what_is_no_notebook(text: str) -> None:
    with pytest.raises(DamagedFileError, match=r"a\.ipynb"):
        document_in(text)


@pytest.mark.parametrize(
    "cell",
    [
        3,
        {},
        {"cell_type": "markdown", "source": 3},
        {"cell_type": "markdown", "source": [3, None]},
        {"cell_type": "heading", "level": "x"},
        {"cell_type": "code", "outputs": 3},
        {
            "cell_type": "code",
            "outputs": [3, {}, {"data": 3}, {"text": {}}, {"evalue": None}, {"data": {"text/plain": 3}}],
        },
    ],
)
def test_cells_that_hold_no_text(cell: Any) -> None:
    assert document_in({"cells": [cell], "metadata": 3}) == Document(None, [])


def test_characters_that_rows_cannot_hold() -> None:
    (section,) = document_in(
        '{"cells": [{"cell_type": "raw", "source": "a\\u0000b\\ud800\\r\\nc"}]}'
    ).sections
    assert section.text == "ab?\nc"
