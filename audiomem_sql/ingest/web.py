"""Pages of the web as files: asked for once, and again only if they have changed (RFC 9110, section 13)."""

from __future__ import annotations

import gzip
import http.client
import io
import mimetypes
import os
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import unquote, urldefrag, urlsplit

from audiomem_sql._version import __version__
from audiomem_sql.errors import LimitError, OptionError, StorageError
from audiomem_sql.ingest.documents.registry import reader_of
from audiomem_sql.ingest.identity import PageNote
from audiomem_sql.ingest.sources import RECORD_SUFFIXES

#: Bytes of one page, seconds for all of it, and seconds without a byte.
SIZE_LIMIT = 64 << 20
TIME_LIMIT = 60.0
SILENCE_LIMIT = 20.0
_STEP = 1 << 16

#: The suffix of a file with content of a type.
_SUFFIXES = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "text/markdown": ".md",
    "text/csv": ".csv",
    "text/tab-separated-values": ".tsv",
    "application/x-ndjson": ".jsonl",
    "application/jsonl": ".jsonl",
    "application/vnd.apache.parquet": ".parquet",
}
#: Types that say nothing of the kind: the name in the URL does.
_VAGUE = ("", "text/plain", "application/octet-stream", "binary/octet-stream")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page that was fetched: the file that it is in, and what the server said of it."""

    path: Path
    size: int
    etag: str
    modified: str

    def note(self, kind: str) -> PageNote:
        """What is remembered of it, when it was read as of a kind."""
        return PageNote(kind, self.etag, self.modified)


def is_page(text: str) -> bool:
    """Whether ``text`` is the address of a page."""
    return text.lower().startswith(("http://", "https://"))


def page_name(url: str) -> str:
    """The name of a page as a source: its URL without a fragment. OptionError for one that is none."""
    try:
        parts = urlsplit(url)
        is_address = bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        is_address = False
    if not is_address:
        raise OptionError(f"{url!r:.200} is no address of a page", remedy="Write https://host/page.")
    if parts.username is not None:
        raise OptionError(
            f"the address of a page on {parts.hostname} has a password in it",
            remedy="Leave it out: it would be in the table.",
        )
    return urldefrag(url).url


def fetch(url: str, folder: Path, number: int, known: PageNote | None = None) -> Fetched | None:
    """Fetch a page into a file in ``folder`` called ``number``; None if it is as it was when ``known``.

    Raises StorageError where the server cannot be reached, or answers with an error, LimitError for a page
    that is too large or comes too slowly.
    """
    request = urllib.request.Request(url, headers={"User-Agent": f"audiomem/{__version__}", "Accept": "*/*"})
    if known is not None and known.etag:
        request.add_header("If-None-Match", known.etag)
    if known is not None and known.modified:
        request.add_header("If-Modified-Since", known.modified)
    try:
        with _opener().open(request, timeout=SILENCE_LIMIT) as answer:
            if urlsplit(answer.url).scheme not in ("http", "https"):
                raise StorageError("the server leads elsewhere", file=url)
            path = folder / f"{number}{_suffix(url, answer.headers)}"
            size = _save(answer, path, url)
            return _fetched(path, size, answer.headers)
    except urllib.error.HTTPError as error:
        if error.code == http.HTTPStatus.NOT_MODIFIED and known is not None:
            return None
        raise StorageError(
            f"the server answered {error.code} {error.reason}", file=url, remedy="Check the address."
        ) from None
    except (OSError, http.client.HTTPException, ValueError, OverflowError) as error:
        reason = getattr(error, "reason", error)
        raise StorageError(
            f"the page cannot be fetched ({reason!s:.200})", file=url, remedy="Check the address."
        ) from None


def _opener() -> urllib.request.OpenerDirector:
    """What opens http and https, and follows to no other place."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _save(answer: IO[bytes], path: Path, url: str) -> int:
    end = time.monotonic() + TIME_LIMIT
    size = 0
    with open(path, "wb") as file:
        while data := answer.read1(_STEP):  # type: ignore[attr-defined]
            size += len(data)
            if size > SIZE_LIMIT:
                raise LimitError(
                    f"the page is larger than {SIZE_LIMIT >> 20} MiB",
                    file=url,
                    remedy="Download it, and ingest the file.",
                )
            if time.monotonic() > end:
                raise LimitError(
                    f"the page did not come within {TIME_LIMIT:g} seconds",
                    file=url,
                    remedy="Try again, or download it, and ingest the file.",
                )
            file.write(data)
    if getattr(answer, "length", None):
        raise StorageError("the page came only in part", file=url, remedy="Try again.")
    return size


def _suffix(url: str, headers: Message) -> str:
    """The suffix that tells the kind of a page."""
    named = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    kind = headers.get_content_type() if headers.get("Content-Type") else ""
    if kind in _SUFFIXES:
        return _SUFFIXES[kind]
    if kind in _VAGUE:
        known = named in RECORD_SUFFIXES or reader_of("", named, b"") is not None
        return named if known else ".txt" if kind == "text/plain" else ""
    return mimetypes.guess_extension(kind) or named


def _fetched(path: Path, size: int, headers: Message) -> Fetched:
    charset = headers.get_content_charset()
    if path.suffix in (".html", ".md", ".txt", ".csv", ".tsv") and charset not in (None, "utf-8", "us-ascii"):
        data = path.read_bytes()
        try:
            path.write_bytes(data.decode(str(charset)).encode())
        except (LookupError, ValueError):
            path.write_bytes(data)  # what it is in is found out when it is read
    modified = headers.get("Last-Modified", "")
    try:
        moment = parsedate_to_datetime(modified).timestamp() if modified else None
    except (ValueError, OverflowError):
        moment = None
    if moment is not None and 0 <= moment < 1 << 33:
        os.utime(path, (moment, moment))
    etag = headers.get("ETag", "")
    # what is sent back is one line, and no mark that something else begins
    kept = [text if text.isprintable() and len(text) <= 1000 else "" for text in (etag, modified)]
    return Fetched(path, size, kept[0], kept[1])


def unpacked(data: bytes, url: str) -> bytes:
    """The content of a sitemap, which may be compressed. LimitError beyond ``SIZE_LIMIT``."""
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(SIZE_LIMIT + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise StorageError(f"the sitemap cannot be unpacked ({error})", file=url) from None
    if len(content) > SIZE_LIMIT:
        raise LimitError(f"the sitemap is larger than {SIZE_LIMIT >> 20} MiB", file=url)
    return content
