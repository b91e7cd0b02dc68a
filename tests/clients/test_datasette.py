"""datasette's pages of a table, in Chromium: rows, filters, facets, and the search of its metadata.

A browser has to be there: Debian's chromium, or that of ``playwright install chromium``.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from audiomem_sql.loadable import loadable_path

from .conftest import ENVIRONMENT, Shell

#: ``fts_table`` is the table itself; ``raw`` hands the words over as they are.
SEARCH = {"fts_table": "docs", "fts_pk": "id", "searchmode": "raw"}
METADATA = {"databases": {"library": {"tables": {"docs": SEARCH}}}}
#: The machine may be busy.
PATIENT = {"facet_suggest_time_limit_ms": 9_000, "facet_time_limit_ms": 60_000, "sql_time_limit_ms": 60_000}
TABLES = (
    "CREATE VIRTUAL TABLE docs USING audiomem('docs.flac', id INTEGER PRIMARY KEY, title VARCHAR(40), "
    "body TEXT INDEXED, kind TEXT, year INTEGER);",
    "INSERT INTO docs(title, body, kind, year) VALUES "
    "('Frames', 'a frame holds samples', 'sound', 2020), ('Cells', 'a cell has a checksum', 'bytes', 2021), "
    "('Pages', 'a page is one frame', 'bytes', 2021), ('Bands', 'a spectrum has bands', 'sound', NULL);",
    "CREATE VIRTUAL TABLE odd USING audiomem('odd.flac', version TEXT, k INTEGER, rank REAL, odd TEXT);",
    "INSERT INTO odd VALUES ('v1', 1, 0.5, 'x'), ('v1', 2, 0.5, 'x'), ('v2', 3, 0.5, 'y');",
    "CREATE VIRTUAL TABLE quiet USING audiomem('quiet.flac', a INTEGER, b TEXT, hidden=prefixed);",
    "INSERT INTO quiet VALUES (1, 'x'), (2, 'x'), (3, 'y');",
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def site(tmp_path: Path, shell: Shell) -> Iterator[str]:
    """The address of a datasette that serves three tables."""
    made = shell(*TABLES, database=str(tmp_path / "library.db"))
    assert made.code == 0, made.err
    (tmp_path / "metadata.json").write_text(json.dumps(METADATA))
    port = free_port()
    command = [sys.executable, "-m", "datasette", "library.db", "--load-extension", loadable_path()]
    command += ["--metadata", "metadata.json", "--port", str(port)]
    for name, limit in PATIENT.items():
        command += ["--setting", name, str(limit)]
    with open(tmp_path / "datasette.log", "w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=ENVIRONMENT, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}/library"
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{address}.json") as answer:
                if answer.status == 200:
                    break
            assert server.poll() is None, (tmp_path / "datasette.log").read_text()
            time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture
def page() -> Iterator[Page]:
    """A page of Chromium: the system's where there is one, otherwise playwright's."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        opened = browser.new_page()
        opened.set_default_timeout(120_000)
        expect.set_options(timeout=120_000)
        yield opened
        browser.close()


def column(page: Page, name: str) -> list[str]:
    """What a column of the table on a page shows."""
    return [cell.inner_text().strip() for cell in page.locator(f"td.col-{name}").all()]


def test_a_table_in_a_browser(site: str, page: Page) -> None:
    for table, rows in (("docs", 4), ("odd", 3), ("quiet", 3)):
        answer = page.goto(f"{site}/{table}")
        assert answer is not None
        assert answer.status == 200, page.inner_text("body")
        assert page.locator("table.rows-and-columns tbody tr").count() == rows

    page.goto(f"{site}/docs")
    suggested = page.locator(".suggested-facets a").all_inner_texts()
    assert {"kind", "year"} <= {*suggested}
    assert not {"rank", "version", "as_of", "docs", "audiomem_version"} & {*suggested}
    page.locator(".suggested-facets a", has_text="kind").click()
    expect(page.locator(".facet-info-name").first).to_contain_text("kind")
    facet = page.locator("div.facet-info ul.tight-bullets a")
    assert sorted(facet.all_inner_texts()) == ["bytes", "sound"]
    facet.filter(has_text="bytes").click()
    expect(page.locator("table.rows-and-columns tbody tr")).to_have_count(2)
    assert column(page, "title") == ["Cells", "Pages"]

    page.goto(f"{site}/docs")
    page.fill("input[name=_search]", "frame")
    page.press("input[name=_search]", "Enter")
    expect(page.locator("table.rows-and-columns tbody tr")).to_have_count(2)
    assert column(page, "title") == ["Frames", "Pages"]

    page.goto(f"{site}/docs?_sort_desc=year&year__notnull=1&_facet=version&_facet=kind")
    assert column(page, "title") == ["Cells", "Pages", "Frames"]
    assert "1 result" not in page.inner_text("body h2, body h3")

    page.goto(f"{site}/odd?version=v1&_facet=version&_facet=rank")
    assert column(page, "k") == ["1", "2"]
    page.goto(f"{site}/docs/3")
    assert "a page is one frame" in page.inner_text("table.rows-and-columns")


def test_filters_and_facets_of_every_hidden_column(site: str) -> None:
    def ask(path: str) -> Any:
        with urllib.request.urlopen(f"{site}{path}&_shape=objects") as answer:
            return json.load(answer)["rows"]

    for table, rows in (("docs", 4), ("odd", 3), ("quiet", 3)):
        listed = ask(f".json?sql=SELECT+name+FROM+pragma_table_xinfo('{table}')+WHERE+hidden")
        names = [row["name"] for row in listed]
        assert "audiomem_version" in names
        for name in names:
            there = len(ask(f"/{table}.json?{name}__notnull=1&_facet={name}"))
            assert there + len(ask(f"/{table}.json?{name}__isnull=1&_facet={name}")) == rows, name
            for condition in ("gt=0", "not=1", "notin=1,2", "contains=x", "like=x"):
                assert len(ask(f"/{table}.json?{name}__{condition}&_facet={name}")) in (0, rows), name
        assert len(ask(f"/{table}.json?audiomem_version__in=2,1")) == rows
