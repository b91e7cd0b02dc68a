"""A table: whether it opens, a sample of its pages, its log and deltas, its age, protection and layout."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from audiomem_sql.doctor.finding import FAIL, INFO, OK, WARN, Finding
from audiomem_sql.doctor.installation import LEAST_DRIFT, place
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.machine.urls import is_url

if TYPE_CHECKING:
    from audiomem_sql.storage.pages import PagedFile
    from audiomem_sql.table.reader import TableReader

#: Pages of each segment that are read.
SAMPLED_PAGES = 64
#: Segments behind the first one, share of bytes in them, and bytes of log from which a vacuum pays.
MANY_SEGMENTS = 16
MUCH_IN_DELTAS = 0.5
LONG_LOG = 16 << 20


def check_table(path: str) -> Iterator[Finding]:
    """What is found in the table at a path or a URL, one thing after the other."""
    from audiomem_sql.table.reader import TableReader

    if not is_url(path):
        yield from place(os.path.dirname(os.path.abspath(path)), path)
    try:
        reader = TableReader(path)
    except AudioMemError as error:
        yield Finding(
            "open",
            FAIL,
            f"{error.place}: {error.what}" if error.place else error.what,
            _remedy(error, path),
            path,
        )
        return
    with reader:
        rows, version = len(reader), reader.version
        yield Finding("open", OK, f"{rows:,} rows at version {version}", about=path)
        yield from pages(reader)
        yield from growth(reader)
        yield age(reader)
        yield protection(reader)
        yield layout(reader)


def _remedy(error: AudioMemError, path: str) -> str:
    if isinstance(error, DamagedFileError):
        return f"Run audiomem verify {path}; then audiomem repair, or audiomem salvage {path} -o NEW."
    return error.remedy or "See docs/GUARANTEES.md."


def pages(reader: TableReader) -> Iterator[Finding]:
    """A sample of the pages of each segment: what it takes to read all of them is ``audiomem verify``."""
    path = reader.path
    seen = mended = 0
    for segment in reader.snapshot.readable().segments:
        file = segment.file
        if file.truncated:
            what = f"{len(file.missing)} pages are missing at the end of {segment.path}"
            yield Finding("pages", FAIL, what, f"Restore it, or run audiomem salvage {path} -o NEW.", path)
            continue
        before = _corrected(file)
        try:
            for page in sampled(file.own_pages):
                file.payload_of_page(page)
                seen += 1
        except DamagedFileError as error:
            yield Finding("pages", FAIL, f"{error.place}: {error.what}", _remedy(error, path), path)
            return
        mended += _corrected(file) - before
    if mended:
        what = f"{mended} damaged cells in {seen} pages, all recovered"
        yield Finding("pages", WARN, what, f"Run audiomem repair {path}, and look after the disk.", path)
    else:
        yield Finding("pages", OK, f"{seen} pages are intact (all: audiomem verify)", about=path)


def sampled(count: int) -> list[int]:
    """Pages all over a segment, the first and the last among them."""
    if count <= SAMPLED_PAGES:
        return list(range(count))
    return sorted({round(number * (count - 1) / (SAMPLED_PAGES - 1)) for number in range(SAMPLED_PAGES)})


def _corrected(file: PagedFile) -> int:
    return file.corrections.inner + file.corrections.outer


def growth(reader: TableReader) -> Iterator[Finding]:
    """The log and the segments behind the first one."""
    from audiomem_sql.table.description import sizes

    path, size = reader.path, sizes(reader)
    deltas = len(reader.snapshot.readable().segments) - 1
    what = f"{size['log']:,} bytes of log, {deltas} segments behind the first with {size['deltas']:,} bytes"
    vacuum = f"Run audiomem vacuum {path}."
    if size["log"] > LONG_LOG:
        remedy = "Is a writer open for long? Let it checkpoint. " + vacuum
        yield Finding("log", WARN, what, remedy, path)
    elif deltas > MANY_SEGMENTS or size["deltas"] > MUCH_IN_DELTAS * max(size["total"], 1):
        yield Finding("deltas", WARN, what, vacuum, path)
    else:
        yield Finding("log", OK, what, about=path)


def age(reader: TableReader) -> Finding:
    """When the newest version was committed."""
    versions = reader.versions
    seconds = time.time() - versions[-1].time / 1e6 if versions else 0.0
    if seconds < -LEAST_DRIFT:
        what = f"the newest version was committed {-seconds:,.0f} s from now"
        remedy = "Set the clock of this machine, or of the one that writes (NTP)."
        return Finding("age", WARN, what, remedy, reader.path)
    kept = f"; {len(versions)} versions are kept"
    return Finding("age", OK, f"the newest version is {_span(seconds)} old{kept}", about=reader.path)


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def protection(reader: TableReader) -> Finding:
    """Whether damage can be repaired."""
    from audiomem_sql.table.exposure import exposure

    path = reader.path
    level = reader.options.protection
    if level == "none":
        what = "protection=none: damage is found, not repaired"
        return Finding("protection", WARN, what, f"Run audiomem vacuum {path} --protection standard.", path)
    exposed = exposure(reader.snapshot.readable())
    if exposed is not None:
        return Finding("protection", WARN, str(exposed), f"Run audiomem vacuum {path}.", path)
    return Finding("protection", OK, f"protection={level}", about=path)


def layout(reader: TableReader) -> Finding:
    """Whether a table that is read over a network is laid out for that."""
    path, chosen = reader.path, str(reader.options.layout)
    if is_url(path) and chosen != "remote":
        what = f"layout={chosen}: reading it by URL takes more requests than it must"
        return Finding("layout", INFO, what, f"Run audiomem vacuum {path} --layout remote.", path)
    return Finding("layout", OK, f"layout={chosen}, profile={reader.options.profile}", about=path)
