"""`datasette kb.flac`: datasette's own client asks its pages and the search page; Chromium looks once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click import ClickException
from datasette.app import Datasette
from datasette.plugins import pm
from entry_points import write_entry_points
from playwright.sync_api import expect, sync_playwright

import audiomem_sql as am
from audiomem_sql import datasette_plugin

ROOT = Path(__file__).parents[2]
COLUMNS = [
    "id INTEGER PRIMARY KEY", "source TEXT", "place TEXT", "title TEXT INDEXED", "body TEXT SEMANTIC INDEXED",
    "year INTEGER",
]  # fmt: skip
ROWS = [
    {
        "source": "a.md",
        "place": "line=3",
        "title": "Cats",
        "body": "cats sleep <b>on</b> sofas",
        "year": 20,
    },
    {"source": "https://x.org/d.pdf", "place": "page=3", "title": "Dogs", "body": "dogs run", "year": 21},
    {"source": "gone.md", "title": "Fish", "body": "fish swim", "year": 22},
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a table of documents and two others, where the plugin is known."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.md").write_text("text")
    with am.Table.create("kb.flac", COLUMNS, {"model": "hashing"}) as table:
        table.append(ROWS)
    with am.Table.create("words & more.flac", ["code TEXT PRIMARY KEY", "body TEXT INDEXED"]) as table:
        table.append([{"code": "a/b", "body": "one word"}, {"code": "c", "body": "other words"}])
    with am.Table.create("numbers.flac", ["n INTEGER"]) as table:
        table.append([{"n": 1}])
    known = pm.get_plugin("audiomem") or pm.register(datasette_plugin, "audiomem-test")
    yield tmp_path
    if known == "audiomem-test":
        pm.unregister(name=known)


def asked(files: list[str], *paths: str, **options: Any) -> list[Any]:
    """What datasette answers, each as JSON or as text."""

    async def ask() -> list[Any]:
        datasette = Datasette(files, **options)
        await datasette.invoke_startup()
        answers = []
        for path in paths:
            answer = await datasette.client.get(path)
            is_json = answer.headers["content-type"].startswith("application/json")
            answers.append((answer.status_code, answer.json() if is_json else answer.text))
        for database in datasette.databases.values():
            database.close()
        return answers

    return asyncio.run(ask())


def test_pages_of_datasette(folder: Path) -> None:
    (_, database), (_, rows), (_, row), (_, found), (status, page) = asked(
        ["kb.flac", "words & more.flac"],
        "/kb.json",
        "/kb/kb.json?_shape=array&year__gt=20&_sort_desc=year",
        "/kb/kb/2.json?_shape=array",
        "/words+~26+more/words+~26+more.json?_shape=array&_search=word",
        "/kb/kb",
    )
    (table,) = database["tables"]
    # not its count: datasette gives it up where that takes more than some milliseconds
    columns = ["id", "source", "place", "title", "body", "year"]
    assert (table["columns"], table["primary_keys"]) == (columns, ["id"])
    assert [each["title"] for each in rows] == ["Fish", "Dogs"]
    assert row[0]["title"] == "Dogs"
    assert {each["code"] for each in found} == {"a/b", "c"}
    assert status == 200
    assert "/kb/kb/-/search" in page


def test_rows_that_are_written_meanwhile(folder: Path) -> None:
    async def ask() -> None:
        datasette = Datasette(["kb.flac"])
        await datasette.invoke_startup()
        count = "/kb.json?sql=SELECT+count(*)+AS+n+FROM+kb&_shape=array"
        assert (await datasette.client.get(count)).json() == [{"n": 3}]
        with am.open("kb.flac") as table:
            table.append([{"title": "Birds", "body": "birds sing"}])
        assert (await datasette.client.get(count)).json() == [{"n": 4}]
        kb = datasette.get_database("kb")
        await kb.execute_write("DELETE FROM kb WHERE title = 'Birds'")
        assert (await datasette.client.get(count)).json() == [{"n": 3}]
        with pytest.raises(Exception, match="readonly"):
            await kb.execute_fn(lambda connection: connection.execute("DELETE FROM kb"))
        kb.close()

    asyncio.run(ask())


def test_searches(folder: Path) -> None:
    (_, words), (_, meaning), (_, hybrid), (_, few), (_, nothing) = asked(
        ["kb.flac"],
        "/kb/kb/-/search.json?q=sleeping+cats&mode=words",
        "/kb/kb/-/search.json?q=dogs&mode=meaning",
        "/kb/kb/-/search.json?q=fish",
        "/kb/kb/-/search.json?q=fish&k=1",
        "/kb/kb/-/search.json",
    )
    (row,) = words["rows"]
    assert row["texts"] == {
        "title": "<mark>Cats</mark>",
        "body": "<mark>cats</mark> <mark>sleep</mark> &lt;b&gt;on&lt;/b&gt; sofas",
    }
    assert row["link"] == (folder / "a.md").as_uri() + "#line=3"
    assert (row["key"], row["url"], row["values"]["year"]) == (1, "/kb/kb/1", 20)
    assert meaning["rows"][0]["texts"]["body"] == "dogs run"
    assert meaning["rows"][0]["link"] == "https://x.org/d.pdf#page=3"
    assert hybrid["rows"][0]["values"]["source"] == "gone.md"
    assert hybrid["rows"][0]["link"] is None
    assert (len(hybrid["rows"]), len(few["rows"])) == (3, 1)
    assert nothing == {"ok": True, "query": "", "mode": "hybrid", "rows": []}


def test_what_cannot_be_searched(folder: Path) -> None:
    hidden = {"databases": {"kb": {"allow": {"id": "root"}}}}
    answers = asked(
        ["kb.flac", "numbers.flac", "words & more.flac"],
        "/numbers/numbers/-/search",
        "/kb/other/-/search",
        "/nothing/kb/-/search",
        "/kb/kb/-/search.json?q=cats",
        "/words+~26+more/words+~26+more/-/search?q=word&mode=meaning",
        metadata=hidden,
    )
    assert [status for status, _ in answers] == [404, 404, 404, 403, 200]
    assert "<mark>word</mark>" in answers[-1][1]


def test_a_file_that_is_no_table(folder: Path) -> None:
    (folder / "music").write_bytes(b"fLaC" + bytes(100))
    with pytest.raises(ClickException, match="music"):
        asked(["music"])


@pytest.fixture
def site(folder: Path) -> Iterator[str]:
    """The address of datasette in a thread of its own."""
    datasette = Datasette(["kb.flac"], settings={"sql_time_limit_ms": 60_000})
    server = uvicorn.Server(uvicorn.Config(datasette.app(), port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        for database in datasette.databases.values():
            database.close()


def test_the_entry_point(folder: Path) -> None:
    """datasette finds the plugin in what is installed."""
    path = f"{write_entry_points(folder / 'path')}:{ROOT}"
    done = subprocess.run(
        [sys.executable, "-m", "datasette", "plugins"],
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "audiomem-tree" in {each["name"] for each in json.loads(done.stdout)}


def test_in_a_browser(site: str) -> None:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        page.goto(f"{site}/kb/kb")
        page.locator("details.actions-menu-links summary").click()
        page.get_by_text("Search this table").click()
        page.fill("input[name=q]", "sleeping cats")
        page.check("input[value=words]")
        page.press("input[name=q]", "Enter")
        expect(page.locator("ol.audiomem-found > li")).to_have_count(1)
        assert page.locator("p.col-body mark").all_inner_texts() == ["cats", "sleep"]
        assert page.locator("p.col-body").inner_text() == "cats sleep <b>on</b> sofas"
        assert page.locator("a.source").get_attribute("href").endswith("/a.md#line=3")  # type: ignore[union-attr]
        assert page.is_checked("input[value=words]")
        page.locator("a.row").click()
        expect(page.locator("table.rows-and-columns")).to_contain_text("sofas")
        browser.close()
