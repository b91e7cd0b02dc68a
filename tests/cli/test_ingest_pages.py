"""audiomem ingest of what is no file: stdin, pages of a server on this machine, and its sitemap."""

from __future__ import annotations

import gzip
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import audiomem_sql as am
from audiomem_sql.cli.ingest_given import Given
from audiomem_sql.cli.ingest_work import Asked, Work
from audiomem_sql.cli.progress import Bar
from audiomem_sql.ingest import web
from audiomem_sql.ingest.ingestion import DEFAULT_COLUMNS, Reading
from audiomem_sql.ingest.walking import Rules

from .conftest import Command, fails, process


@dataclass
class Site:
    """What a server has: content by path, its type, and what was asked."""

    pages: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    tells_etag: bool = True
    asked: list[tuple[str, int]] = field(default_factory=list)
    url: str = ""
    slow: float = 0.0
    cut: int = 0
    etag: str = ""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = self._answer()
            site.asked.append((self.path, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + site.cut))
            self.end_headers()
            for start in range(0, len(body), 1 << 16):
                time.sleep(site.slow)
                self.wfile.write(body[start : start + (1 << 16)])

        def _answer(self) -> tuple[int, dict[str, str], bytes]:
            if self.path in site.redirects:
                return 302, {"Location": site.redirects[self.path]}, b""
            if self.path not in site.pages:
                return 404, {}, b"nothing here"
            kind, body = site.pages[self.path]
            etag = site.etag or f'"{sha256(body).hexdigest()[:12]}"'
            headers = {"Content-Type": kind} if kind else {}
            if site.tells_etag:
                headers["ETag"] = etag
                if self.headers.get("If-None-Match") == etag:
                    return 304, headers, b""
            else:
                headers["Last-Modified"] = formatdate(1_700_000_000, usegmt=True)
                if self.headers.get("If-Modified-Since") == headers["Last-Modified"]:
                    return 304, headers, b""
            return 200, headers, body

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # one who left before the end
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield site
        server.shutdown()
        thread.join()


def summary(audiomem: Command, *arguments: str, code: int = 0) -> dict[str, Any]:
    """The facts that an ingest prints."""
    result = audiomem("ingest", *arguments, "--json")
    assert result.code == code, result
    facts: dict[str, Any] = json.loads(result.out)
    return facts


def bodies(file: str) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    with am.open(file) as table:
        for row in sorted(table.to_arrow().to_pylist(), key=lambda row: (row["source"], row["seq"])):
            texts.setdefault(row["source"], []).append(row["body"])
    return texts


@pytest.mark.parametrize("tells_etag", [True, False], ids=["etag", "last-modified"])
def test_page_that_has_not_changed_adds_nothing(audiomem: Command, site: Site, tells_etag: bool) -> None:
    site.tells_etag = tells_etag
    site.pages["/guide"] = (
        "text/html; charset=utf-8",
        b"<title>Guide</title><h1>Guide</h1><p>Read this.</p>",
    )
    page = f"{site.url}/guide"
    assert summary(audiomem, "kb.flac", f"{page}#part")["sources"]["new"] == 1
    assert bodies("kb.flac") == {page: ["Read this."]}
    before = Path("kb.flac").read_bytes()
    facts = summary(audiomem, "kb.flac", page)
    assert (facts["sources"]["unchanged"], facts["version"]) == (1, 2)
    assert [status for _, status in site.asked] == [200, 304]
    assert Path("kb.flac").read_bytes() == before
    assert summary(audiomem, "kb.flac", page, "--size", "200")["sources"]["changed"] == 1
    assert site.asked[-1] == ("/guide", 200)  # read in another way, it is another text
    if tells_etag:
        site.pages["/guide"] = ("text/html", b"<p>Read that.</p>")
        assert summary(audiomem, "kb.flac", page, "--size", "200")["sources"]["changed"] == 1
        assert bodies("kb.flac") == {page: ["Read that."]}
        assert summary(audiomem, "kb.flac", page, "--size", "200")["sources"]["unchanged"] == 1
        assert site.asked[-1] == ("/guide", 304)
    with am.open("kb.flac") as table:
        assert list(table.sources) == [page]


def test_type_decides_the_kind(audiomem: Command, site: Site) -> None:
    site.pages = {
        "/a": ("text/markdown", b"# One\n\nof Markdown"),
        "/b.md": ("text/plain; charset=utf-8", b"# Two\n\nof Markdown"),
        "/c": ("text/csv", b"title,body\nThree,of a table\n"),
        "/d": ("text/html; charset=iso-8859-1", "<p>Caf\xe9</p>".encode("latin-1")),
        "/e.txt": ("text/html", b"<p>no text</p>"),
        "/f": ("application/octet-stream", b"\x7fELF\2\1\1\0"),
        "/g": ("", b"plain words"),
    }
    site.redirects["/moved"] = "/a"
    result = audiomem("ingest", "kb.flac", *(site.url + path for path in (*site.pages, "/moved")))
    assert result.code == 0, result
    found = {name.removeprefix(site.url): texts for name, texts in bodies("kb.flac").items()}
    assert found == {
        "/a": ["of Markdown"], "/b.md": ["of Markdown"], "/c": ["of a table"], "/d": ["Café"],
        "/e.txt": ["no text"], "/g": ["plain words"], "/moved": ["of Markdown"],
    }  # fmt: skip
    assert result.err == f"audiomem: skipped {site.url}/f: binary: an executable or library of Linux (ELF)\n"


def test_page_that_cannot_be_had(audiomem: Command, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages = {"/ok": ("text/plain", b"fine"), "/large": ("text/plain", b"x" * 300_000)}
    site.redirects = {"/loop": "/loop", "/out": "file:///etc/hostname"}
    summary(audiomem, "kb.flac", f"{site.url}/ok")
    monkeypatch.setattr(web, "SIZE_LIMIT", 200_000)
    for path, words in (
        ("/gone", "the server answered 404"),
        ("/large", "larger than 0 MiB"),
        ("/loop", "answered 302"),
        ("/out", "answered 302"),
    ):
        result = audiomem("ingest", "kb.flac", site.url + path)
        assert result.code == 1
        assert words in result.err, result
    monkeypatch.setattr(web, "SIZE_LIMIT", 1 << 20)
    monkeypatch.setattr(web, "TIME_LIMIT", 0.2)
    site.slow = 0.15
    assert "within 0.2 seconds" in audiomem("ingest", "kb.flac", f"{site.url}/large").err
    assert "cannot be fetched" in audiomem("ingest", "kb.flac", "http://127.0.0.1:9/nobody").err
    fails(audiomem("ingest", "kb.flac", "http://me:secret@127.0.0.1/"), 2, "a password in it")
    assert bodies("kb.flac") == {f"{site.url}/ok": ["fine"]}


def test_sitemap(audiomem: Command, site: Site) -> None:
    def sitemap(*urls: str, root: str = "urlset") -> bytes:
        inner = "url" if root == "urlset" else "sitemap"
        locations = "".join(f"<{inner}><loc> {url} </loc><x><loc>no</loc></x></{inner}>" for url in urls)
        return f'<?xml version="1.0"?><{root} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</{root}>'.encode()

    site.pages = {
        "/a": ("text/plain", b"page a"),
        "/b?x=1&y=2": ("text/plain", b"page b"),
        "/sitemap.xml": (
            "application/xml",
            sitemap(f"{site.url}/m1", f"{site.url}/m2.gz", root="sitemapindex"),
        ),
        "/m1": ("application/xml", sitemap(f"{site.url}/a", "http://elsewhere.invalid/c")),
        "/m2.gz": ("application/gzip", gzip.compress(sitemap(f"{site.url}/b?x=1&amp;y=2"))),
        "/bomb": (
            "application/xml",
            b'<!DOCTYPE a [<!ENTITY a "b">]><urlset><url><loc>&a;</loc></url></urlset>',
        ),
    }
    facts = summary(audiomem, "kb.flac", f"{site.url}/sitemap.xml")
    assert bodies("kb.flac") == {f"{site.url}/a": ["page a"], f"{site.url}/b?x=1&y=2": ["page b"]}
    assert [each["source"] for each in facts["sources"]["skipped"]] == ["http://elsewhere.invalid/c"]
    assert facts["commits"] == 1
    facts = summary(audiomem, "kb.flac", f"sitemap:{site.url}/sitemap.xml")
    assert (facts["sources"]["unchanged"], facts["commits"]) == (2, 0)
    result = audiomem("ingest", "kb.flac", f"sitemap:{site.url}/bomb")
    assert (result.code, "document type" in result.err) == (1, True)
    result = audiomem("ingest", "kb.flac", f"sitemap:{site.url}/a")
    assert (result.code, "the sitemap cannot be read" in result.err) == (1, True)


def test_page_that_came_only_in_part(audiomem: Command, site: Site) -> None:
    page = f"{site.url}/a"
    site.pages["/a"] = ("text/plain", b"first half")
    site.cut = 10
    result = audiomem("ingest", "kb.flac", page)
    assert (result.code, "only in part" in result.err) == (1, True)
    site.cut = 0
    assert summary(audiomem, "kb.flac", page)["sources"]["new"] == 1
    assert site.asked[-1] == ("/a", 200)


def test_new_etag_of_a_page_and_a_restored_one(audiomem: Command, site: Site) -> None:
    page = f"{site.url}/a"
    site.pages["/a"] = ("text/plain", b"as it was")
    site.etag = '"1"'
    summary(audiomem, "kb.flac", page)
    site.etag = '"2"'
    assert summary(audiomem, "kb.flac", page)["sources"]["unchanged"] == 1
    assert summary(audiomem, "kb.flac", page)["sources"]["unchanged"] == 1
    assert [status for _, status in site.asked] == [200, 200, 304]
    site.pages["/a"] = ("text/plain", b"as it is")
    site.etag = '"3"'
    summary(audiomem, "kb.flac", page)
    with am.open("kb.flac") as table:
        table.restore(2)
    assert summary(audiomem, "kb.flac", page)["sources"]["changed"] == 1
    assert bodies("kb.flac") == {page: ["as it is"]}


def test_addresses_that_are_none(audiomem: Command, site: Site) -> None:
    for address in ("http://[bad/x", "http://127.0.0.1:99999/x", "http://e.org/a\u200bb"):
        fails(audiomem("ingest", "kb.flac", address), 2, "no address of a page")
    host = site.url.removeprefix("http://")
    wrong = ("http://[bad/x", f"{site.url}/a\u200bb", f"http://me:secret@{host}/ok")
    places = "".join(f"<url><loc>{url}</loc></url>" for url in (*wrong, f"{site.url}/ok"))
    site.pages["/ok"] = ("text/plain", b"fine")
    site.pages["/sitemap.xml"] = ("application/xml", f"<urlset>{places}</urlset>".encode())
    result = audiomem("ingest", "kb.flac", f"{site.url}/sitemap.xml")
    assert (result.code, result.err.count("cannot read"), "secret" in result.err) == (1, 3, False)
    assert bodies("kb.flac") == {f"{site.url}/ok": ["fine"]}


def test_ctrl_c_between_pages(site: Site, tmp_path: Path) -> None:
    site.pages = {f"/{name}": ("text/plain", b"text") for name in "abc"}
    asked = Asked(Reading(), Rules(), None, None, lambda: len(site.asked) == 2)
    work = Work(str(tmp_path / "kb.flac"), asked, Bar(None, None))
    with am.create(tmp_path / "kb.flac", DEFAULT_COLUMNS) as table, Given(work, Reading()) as given:
        given.read_pages(table, [site.url + path for path in site.pages])
    assert (len(site.asked), work.report.stopped, work.report.dropped) == (2, True, 2)


def test_stdin_that_is_closed_or_called_as_a_file(audiomem: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("n.txt").write_text("from the file")
    summary(audiomem, "kb.flac", "n.txt")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"from a pipe")))
    fails(audiomem("ingest", "kb.flac", "-", "--name", "n.txt"), 2, "knows something else as n.txt")
    assert bodies("kb.flac") == {"n.txt": ["from the file"]}
    monkeypatch.setattr("sys.stdin", None)
    fails(audiomem("ingest", "kb.flac", "-"), 1, "stdin is closed")


def test_stdin(tmp_path: Path, audiomem: Command) -> None:
    text = "# One\n\nFrom a pipe.\n"
    for arguments in (("--name", "pipe.md"), ("--name", "pipe", "--type", "markdown")):
        result = process("ingest", "kb.flac", "-", *arguments, cwd=tmp_path, stdin=text)
        assert result.code == 0, result
    again = process("ingest", "kb.flac", "-", "--name", "pipe.md", "--json", cwd=tmp_path, stdin=text)
    assert json.loads(again.out)["sources"]["unchanged"] == 1
    assert bodies(str(tmp_path / "kb.flac")) == {"pipe": ["From a pipe."], "pipe.md": ["From a pipe."]}
    wrong = process("ingest", "kb.flac", "-", "--type", "markdwn", cwd=tmp_path, stdin=text)
    assert (wrong.code, "markdown" in wrong.err) == (2, True)
    binary = process("ingest", "kb.flac", "-", cwd=tmp_path, stdin="\0\1")
    assert (binary.code, "--type" in binary.err) == (1, True)
    fails(audiomem("ingest", "kb.flac", "x.txt", "--name", "x"), 2, "those of stdin")
    # a text that was given is not a file of that name, whatever is deleted
    (tmp_path / "other.txt").write_text("a file")
    assert summary(audiomem, "kb.flac", ".")["sources"]["pruned"] == 0
