"""The page for people: its files and headers, and in Chromium what it shows and how it is used."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from hashlib import sha512
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect, sync_playwright

from audiomem_sql.serve.routes_page import PAGE_PATHS
from audiomem_sql.serve.tokens import add_token
from audiomem_sql.table.table import Table

from .conftest import Running, serving

ROOT = Path(__file__).parents[2]
HOSTILE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>'
KEEP = "if (location.host) sessionStorage.setItem('audiomem-token', '%s')"
COLUMNS = [
    "id INTEGER PRIMARY KEY",
    "title TEXT",
    "body TEXT SEMANTIC INDEXED",
    "year INTEGER",
    "vec FLOAT[2]",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str]]:
    """A server that asks for tokens, of two tables, and a token for one of them."""
    folder = tmp_path_factory.mktemp("page")
    with Table.create(folder / "kb.flac", COLUMNS, {"model": "hashing"}) as table:
        table.append([{"title": "Frames", "body": "A frame holds [all] samples.", "year": 2021}])
        table.tag("first")
        table.append([{"title": HOSTILE, "body": f"A cell has a checksum. {HOSTILE}", "year": 2023}])
        table.append([{"title": f"Row {n}", "body": "Nothing of it.", "year": n} for n in range(60)])
    with Table.create(folder / "other.flac", ["n INTEGER"]) as table:
        table.append([{"n": 1}])
    tokens = str(folder / "tokens.json")
    token = add_token(tokens, "person", {"*": ["read", "file"]})
    with serving(folder / "kb.flac", folder / "other.flac", tokens=tokens) as server:
        yield server, token


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield opened
        opened.close()


def is_fault(said: ConsoleMessage) -> bool:
    """Whether the page logged an error, other than that an answer is one."""
    return said.type == "error" and "the server responded with a status of 4" not in said.text


@pytest.fixture
def page(site: tuple[Running, str], browser: Browser) -> Iterator[Page]:
    """The page with a token. What it logs as an error, but answers that are errors, fails the test."""
    server, token = site
    with browser.new_context(viewport={"width": 360, "height": 700}) as context:
        context.add_init_script(KEEP % token)
        opened, faults = context.new_page(), []
        opened.set_default_timeout(15_000)
        expect.set_options(timeout=15_000)
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on("console", lambda said: faults.append(said.text) if is_fault(said) else None)
        opened.goto(server.address)
        yield opened
        assert faults == []
        assert opened.evaluate("window.hacked") is None


def go(page: Page, fragment: str) -> None:
    """Show what a fragment says, anew."""
    address = page.url.partition("#")[0]
    page.goto("about:blank")
    page.goto(f"{address}#{fragment}")
    expect(page.locator("#content")).to_have_attribute("aria-busy", "false")


def test_the_files_are_open_and_kept(site: tuple[Running, str]) -> None:
    client = site[0].client
    folder = ROOT / "audiomem_sql/serve/page"
    names = {path.rpartition("/")[2] or "index.html" for path in PAGE_PATHS}
    assert names == {path.name for path in folder.iterdir()}
    for path in PAGE_PATHS:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.content == (folder / (path.rpartition("/")[2] or "index.html")).read_bytes()
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "require-trusted-types-for 'script'" in policy
        assert "unsafe" not in policy
        tag = answer.headers["etag"]
        for known, status in ((tag, 304), (f'"a", W/{tag}', 304), ("*", 304), ('"other"', 200)):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.headers["etag"]) == (status, tag)
            assert (again.content == b"") == (status == 304)
        head = client.head(path)
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


@pytest.mark.parametrize(
    "path", ["/page/", "/page/nope.js", "/page/index.html", "/page/..%2Fgate.py", "/index.html"]
)
def test_nothing_else_is_open(site: tuple[Running, str], server: Running, path: str) -> None:
    assert site[0].client.get(path).status_code == 401
    assert server.client.get(path).status_code == 404
    assert server.client.post("/").headers["allow"] == "GET, HEAD"
    assert "/" not in server.client.get("/openapi.json").json()["paths"]


def test_the_page_loads_nothing_from_elsewhere() -> None:
    for file in (ROOT / "audiomem_sql/serve/page").iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, file
        assert "innerHTML" not in text, file
        assert " style=" not in text, file


def test_a_search_by_the_keyboard(page: Page) -> None:
    expect(page.locator("#status")).to_have_text("62 rows to search.")
    page.keyboard.press("/")
    expect(page.locator("#query")).to_be_focused()
    page.keyboard.type("which checksum")
    page.keyboard.press("Enter")
    expect(page.locator("#hits li")).to_have_count(20)
    assert "q=which+checksum" in page.url
    first = page.locator("#hits li").first
    assert first.locator("mark").all_inner_texts() == ["checksum"]
    assert first.locator("a").inner_text() == HOSTILE
    assert HOSTILE in first.locator("p").inner_text()
    assert first.locator("dl").inner_text().split()[:4] == ["id", "2", "year", "2023"]
    page.keyboard.press("ArrowDown")
    expect(first.locator("a")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#row-dialog")).to_be_visible()
    assert page.locator("#row-dialog dd").all_inner_texts() == [
        "2",
        HOSTILE,
        f"A cell has a checksum. {HOSTILE}",
        "2023",
        "NULL",
    ]
    page.keyboard.press("Escape")
    expect(page.locator("#row-dialog")).to_be_hidden()
    expect(first.locator("a")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#query")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_ways_of_searching(page: Page) -> None:
    go(page, "table=kb&q=samples&mode=words")
    expect(page.locator("#status")).to_have_text("1 result in version 5.")
    assert page.locator("#hits p").inner_text() == "A frame holds [all] samples."
    go(page, "table=kb&q=samples&where=year+<+60")
    expect(page.locator("#status")).to_have_text("20 results in version 5.")
    go(page, "table=kb&q=absent&mode=words")
    expect(page.locator("#status")).to_have_text("Nothing was found.")
    page.select_option("#table", "other")
    expect(page.locator("#not-searched")).to_be_visible()
    expect(page.locator("#query")).to_be_disabled()


def test_rows_versions_and_columns(page: Page) -> None:
    go(page, "table=kb&view=rows")
    cells = page.locator("#rows tbody tr")
    expect(page.locator("#status")).to_have_text("50 rows of 62, version 5.")
    assert page.locator("#rows thead th").all_inner_texts()[0].split() == ["id", "INTEGER"]
    page.click("#next")
    expect(cells).to_have_count(12)
    assert cells.first.locator("th").inner_text() == "51"
    page.click("#first")
    expect(cells).to_have_count(50)
    page.fill("#where", "year > 2000")
    page.press("#where", "Enter")
    expect(cells).to_have_count(2)
    assert cells.nth(1).locator("td").first.inner_text() == HOSTILE
    page.focus("#version")
    page.keyboard.press("Home")
    expect(page.locator("#status")).to_have_text("There are no rows here.")
    page.select_option("#tag", "first")
    expect(cells).to_have_count(1)
    assert "version=first" in page.url
    assert "tag first" in (page.get_attribute("#version", "aria-valuetext") or "")
    page.click("summary")
    for name in ("title", "body", "year"):
        page.locator("#columns label", has_text=name).locator("input").uncheck()
        expect(page.locator("#rows thead th", has_text=name)).to_have_count(0)
    assert page.locator("#rows tbody").inner_text().strip() == "1"
    page.reload()
    expect(cells).to_have_count(1)


def test_sql_and_errors(page: Page) -> None:
    go(page, "table=kb&view=sql")
    assert page.input_value("#sql") == 'SELECT * FROM "kb" LIMIT 20'
    page.fill("#sql", "SELECT title, year AS __proto__ FROM kb WHERE id = 2")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#status")).to_have_text("1 row.")
    assert page.locator("#sql-rows td").all_inner_texts() == [HOSTILE, "2023"]
    page.fill("#sql", "SELECT nope")
    page.click("#sql-form button")
    expect(page.locator("#error")).to_have_text("SQL: no such column: nope")
    expect(page.locator("#sql-rows td")).to_have_count(0)
    page.go_back()
    expect(page.locator("#sql-rows td")).to_have_count(2)
    expect(page.locator("#error")).to_be_empty()
    go(page, "table=kb&view=rows&where=nope+%3D+1")
    expect(page.locator("#error")).to_contain_text("there is no column 'nope'")
    go(page, "table=absent")
    expect(page.locator("#error")).to_contain_text("there is no such table")


def test_a_token(site: tuple[Running, str], browser: Browser) -> None:
    server, token = site
    seen: list[Response] = []
    with browser.new_context() as context:
        page = context.new_page()
        page.on("response", lambda answer: seen.append(answer))
        page.goto(f"{server.address}#table=kb&view=rows")
        expect(page.locator("#token")).to_be_focused()
        expect(page.locator("#error")).to_contain_text("a token is needed")
        page.keyboard.type("am_wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#token-why")).to_contain_text("the token is unknown")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        expect(page.locator("#rows tbody tr")).to_have_count(50)
        expect(page.locator("#token-dialog")).to_be_hidden()
        page.reload()
        expect(page.locator("#rows tbody tr")).to_have_count(50)
        page.click("#token-open")
        page.click("#token-forget")
        expect(page.locator("#token")).to_be_focused()
        expect(page.locator("#rows tbody tr")).to_have_count(0)
        expect(page.locator("#versions")).to_be_hidden()
        assert "kb" not in page.locator("body").inner_text()
        assert page.evaluate("[sessionStorage.length, localStorage.length, document.cookie]") == [0, 0, ""]
    assert {httpx.URL(each.url).host for each in seen} == {"127.0.0.1"}
    assert not any(token in each.url for each in seen)


def test_results_while_typing_and_versions_as_they_come(site: tuple[Running, str], page: Page) -> None:
    server, _ = site
    hits = page.locator("#hits li")
    searches: list[str] = []
    sent: list[str] = []
    page.on("request", lambda asked: searches.append(asked.url) if "/search" in asked.url else None)
    page.on("websocket", lambda socket: socket.on("framesent", lambda text: sent.append(str(text))))
    go(page, "table=kb&q=cell")
    expect(hits).to_have_count(20)
    page.focus("#query")
    before = len(searches)
    page.keyboard.press("Control+A")
    page.keyboard.type("words: samples", delay=20)
    expect(hits).to_have_count(1)
    assert page.evaluate("document.activeElement.id") == "query"
    assert page.input_value("#query") == "words: samples"
    assert "q=words%3A+samples" in page.url
    assert len(searches) == before  # they went over the WebSocket
    assert any('"type":"search"' in text for text in sent)
    with Table(server.service.tables["kb"].place) as table:
        newest = table.append([{"title": "late", "body": "It came late, with samples."}])
    expect(page.locator("#news")).to_have_text(f"Version {table.version} came: 1 inserted.")
    expect(hits).to_have_count(1)
    page.click("#news-show")
    expect(hits).to_have_count(2)
    expect(page.locator("#news")).to_be_empty()
    assert newest is not None


def test_the_sound_is_played_and_looked_at(tmp_path: Path, browser: Browser) -> None:
    """Chromium plays the stream; the rows of the chapter are shown, and what is damaged."""
    path = tmp_path / "kb.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "title TEXT"], {"profile": "embedded"}) as table:
        table.append([{"title": f"{n} {sha512(b'%d' % n).hexdigest() * 8}"} for n in range(600)])
    token = add_token(str(tmp_path / "tokens.json"), "person", {"*": ["read", "file"]})
    with serving(path, tokens=str(tmp_path / "tokens.json")) as server, browser.new_context() as context:
        context.add_init_script(KEEP % token)
        page, faults = context.new_page(), []
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if is_fault(said) else None)
        page.goto(f"{server.address}#table=kb&view=sound")
        expect(page.locator("#status")).to_contain_text("22.05 kHz, 16 bit")
        expect(page.locator("#spectrogram")).to_be_visible()
        assert (
            page.evaluate(
                "document.querySelector('#spectrogram').getContext('2d').getImageData(0, 9, 1, 1).data[3]"
            )
            == 255
        )
        page.click("#listen")
        while not page.evaluate("document.querySelector('#audio').currentTime > 0.2"):
            page.wait_for_timeout(50)
        chapters = page.locator("#chapters button")
        page.click("#player summary")
        last = chapters.filter(has_text="rows").last
        last.click()
        expect(page.locator("#played tbody tr").first).to_be_visible()
        expect(page.locator("#chapter")).to_contain_text("rows")
        first = page.locator("#chapter").inner_text().split("rows ")[1].split()[0]
        expect(page.locator("#played tbody th").first).to_have_text(first)
        page.click("#damage-read")
        expect(page.locator("#damage-said")).to_have_text("Nothing is damaged.")
        expect(page.locator("#legend")).to_contain_text("data:")
        assert token not in page.content()
        page.click("nav a[data-view=rows]")
        expect(page.locator("#rows tbody tr")).to_have_count(50)
        assert page.evaluate("document.querySelector('#audio').src") == ""
        assert faults == []
