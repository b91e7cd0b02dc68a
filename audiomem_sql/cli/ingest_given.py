"""What ``audiomem ingest`` reads that is no file: what comes in from stdin, pages, and sitemaps."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from audiomem_sql.errors import AudioMemError, LimitError, OptionError, StorageError

if TYPE_CHECKING:
    from audiomem_sql.cli.ingest_work import Work
    from audiomem_sql.ingest.ingestion import Reading
    from audiomem_sql.ingest.sources import Source
    from audiomem_sql.table.table import Table

STDIN = "-"
#: What it is called as a source by default.
STDIN_NAME = "stdin"
_SITEMAP = "sitemap:"
#: Pages that are fetched before they are read, and their bytes.
PAGES_AT_ONCE = 100
BYTES_AT_ONCE = 32 << 20
_STEP = 1 << 20


def is_given(path: str) -> bool:
    """Whether an argument names something else than a file or a folder."""
    from audiomem_sql.ingest.web import is_page

    return path == STDIN or path.startswith(_SITEMAP) or is_page(path)


class Given:
    """Texts and pages, kept in a folder while they are read."""

    def __init__(self, work: Work, reading: Reading) -> None:
        self._work = work
        self._reading = reading

    def __enter__(self) -> Given:
        self._folder = tempfile.TemporaryDirectory(prefix="audiomem-ingest-")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def stdin(self, name: str | None, kind: str | None) -> Source:
        """What comes in from stdin, as a source called ``name``, of a kind that its suffix may say.

        OptionError for a kind that there is not, DataTypeError for content that is none.
        """
        from audiomem_sql.errors import DataTypeError
        from audiomem_sql.ingest import contents
        from audiomem_sql.ingest.sources import Source, kind_of, suffix_of

        name = name or STDIN_NAME
        if sys.stdin is None:
            raise StorageError("stdin is closed", file=name, remedy="Pipe a text into it.")
        path = Path(self._folder.name) / f"stdin{_suffix_of_kind(kind) or suffix_of(Path(name))}"
        size = 0
        with open(path, "wb") as file:
            while data := sys.stdin.buffer.read(_STEP):
                size += len(data)
                if size > contents.SIZE_LIMIT:
                    raise LimitError(
                        f"there is more than {contents.SIZE_LIMIT >> 20} MiB", file=name, remedy="Split it."
                    )
                file.write(data)
        found, reason = (kind, None) if kind is not None else kind_of(path, name)
        if found is None:
            raise DataTypeError(
                f"this cannot be read: {reason}", file=name, remedy="Say what it is: --type html."
            )
        return Source(path, name, size, found)

    def read_pages(self, table: Table, paths: Sequence[str]) -> None:
        """Fetch the pages in ``paths``, and bring ``table`` up to date with them, some at a time."""
        from audiomem_sql.ingest.identity import NOT_KNOWN, page_notes, said
        from audiomem_sql.table.source_list import source_entries
        from audiomem_sql.versions import REMOVED

        urls = list(dict.fromkeys(self._addresses(paths)))
        entries = source_entries(table.snapshot)
        noted = page_notes({name: how for name, how in entries.items() if how != REMOVED})
        known = table.sources
        batch: list[Source] = []
        notes: dict[str, dict[str, bytes]] = {}
        for number, url in enumerate(urls):
            if self._work.is_stopped():
                self._work.report.dropped += len(batch)
                return
            self._work.doing(f"page {number + 1:,} of {len(urls):,}")
            old, how = noted.get(url, (None, b""))
            is_known = said(known.get(url, b"")) not in NOT_KNOWN
            as_before = old is not None and is_known and how == self._reading.how(old.kind)
            fetched = self._page(number, url, old, old if as_before else None)
            if fetched is not None:
                batch.append(fetched[0])
                notes[url] = fetched[1]
            full = len(batch) >= PAGES_AT_ONCE or sum(source.size for source in batch) >= BYTES_AT_ONCE
            if batch and (full or number + 1 == len(urls)):
                self._work.add(batch)
                self._work.read_into(table, batch, notes=notes)
                for source in batch:
                    source.path.unlink(missing_ok=True)
                batch, notes = [], {}
            if self._work.report.stopped:
                return
        if batch:
            self._work.add(batch)
            self._work.read_into(table, batch, notes=notes)

    def _page(
        self, number: int, url: str, old: object, known: object
    ) -> tuple[Source, dict[str, bytes]] | None:
        """A page as a source, with what is remembered of it; None if it is as it was, or cannot be read."""
        from audiomem_sql.ingest.identity import PAGE, PageNote
        from audiomem_sql.ingest.sources import Source, kind_of
        from audiomem_sql.ingest.web import fetch
        from audiomem_sql.versions import REMOVED

        assert isinstance(known, PageNote | None)
        try:
            fetched = fetch(url, Path(self._folder.name), number, known)
            if fetched is None:
                self._work.report.unchanged += 1
                return None
            kind, reason = kind_of(fetched.path, url)
        except AudioMemError as error:
            self._work.refuse(url, error)
            return None
        if kind is None:
            self._work.skip(url, str(reason), failed=False)
            return None
        entries = {old.entry(url): REMOVED} if isinstance(old, PageNote) else {}
        if fetched.etag or fetched.modified:
            entries[fetched.note(kind).entry(url)] = self._reading.how(kind)
        return Source(fetched.path, url, fetched.size, kind, PAGE), entries

    def _addresses(self, paths: Sequence[str]) -> Iterator[str]:
        """The pages: those that are named, and those in sitemaps."""
        from audiomem_sql.ingest.web import page_name

        for path in paths:
            if path == STDIN:
                continue
            is_map = path.startswith(_SITEMAP)
            url = page_name(path.removeprefix(_SITEMAP))
            if is_map or urlsplit(url).path.endswith(("sitemap.xml", "sitemap.xml.gz", "sitemap_index.xml")):
                yield from self._pages_of(url)
            else:
                yield url

    def _pages_of(self, sitemap: str) -> Iterator[str]:
        """The pages in a sitemap, or in those of an index, on the same host."""
        from audiomem_sql.ingest.sitemap import MOST_LOCATIONS

        host, count = urlsplit(sitemap).netloc.lower(), 0
        waiting, is_index = [sitemap], True
        while waiting:
            at = waiting.pop(0)
            try:
                found, more = self._locations(at)
            except AudioMemError as error:
                self._work.refuse(at, error)
                continue
            for url in self._of_host(found, host, at):
                if more and is_index:
                    waiting.append(url)
                elif not more:
                    count += 1
                    if count > MOST_LOCATIONS:
                        self._work.skip(at, f"more than {MOST_LOCATIONS:,} pages in all", failed=True)
                        return
                    yield url
            is_index = False

    def _of_host(self, urls: Iterable[str], host: str, sitemap: str) -> Iterator[str]:
        """The addresses of pages on a host; the others are told."""
        from audiomem_sql.ingest.web import is_page, page_name

        for url in urls:
            try:
                name = page_name(url)
            except OptionError as error:
                self._work.refuse(sitemap, error)
                continue
            if is_page(name) and urlsplit(name).netloc.lower() == host:
                yield name
            else:
                self._work.skip(url, "on another host than its sitemap", failed=False)

    def _locations(self, url: str) -> tuple[list[str], bool]:
        from audiomem_sql.ingest.sitemap import locations
        from audiomem_sql.ingest.web import fetch, unpacked

        self._work.doing(f"reading {url}")
        fetched = fetch(url, Path(self._folder.name), -1)
        if fetched is None:
            raise StorageError("the server sent nothing", file=url)
        data = fetched.path.read_bytes()
        fetched.path.unlink()
        return locations(unpacked(data, url), url)


def check_name(table: Table, name: str | None) -> None:
    """OptionError if the table knows a file or a page by the name of what comes in from stdin."""
    from audiomem_sql.ingest.identity import GIVEN, is_old
    from audiomem_sql.versions import APPLICATION

    known = table.sources.get(name or STDIN_NAME)
    if known is None or known.endswith(GIVEN):
        return
    if is_old(known) and not (name or "").startswith(APPLICATION):
        return  # it may be what an earlier version read from there
    raise OptionError(
        f"the table knows something else as {name or STDIN_NAME}",
        file=table.path,
        remedy="Say another --name.",
    )


def _suffix_of_kind(kind: str | None) -> str | None:
    """The suffix of files of a kind. OptionError for one that there is not."""
    from audiomem_sql.errors import did_you_mean
    from audiomem_sql.ingest.documents.registry import readers
    from audiomem_sql.ingest.sources import RECORD_SUFFIXES

    if kind is None:
        return None
    suffixes = {name: reader.suffixes[0] for name, reader in readers().items() if reader.suffixes}
    for suffix, name in RECORD_SUFFIXES.items():
        suffixes.setdefault(name, suffix)
    if kind not in suffixes:
        raise OptionError(
            f"--type {kind} is no kind of text",
            remedy=f"{did_you_mean(kind, suffixes)}Known: {', '.join(sorted(suffixes))}.",
        )
    return suffixes[kind]
