"""The kinds of jobs: what each takes, which scope of a token it needs, and what it does with a table."""

from __future__ import annotations

import base64
import binascii
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.ingestion import Reading, ingest
from audiomem_sql.ingest.sources import KINDS as SOURCE_KINDS
from audiomem_sql.ingest.sources import Source
from audiomem_sql.machine.interrupts import check_interrupt, wait_until
from audiomem_sql.machine.urls import is_url
from audiomem_sql.table.resharding import reshard
from audiomem_sql.table.scrubbing import scrub
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention

#: Seconds in which others may go on writing.
_BUSY_TIMEOUT = 60.0
#: Characters of text in a commit: what was committed stays when a job ends before its time.
_COMMIT_CHARACTERS = 1 << 20
#: Models that a job may name: none of them is fetched from elsewhere.
_MODELS = ("hashing", "all-MiniLM-L6-v2", "wordllama")
_MOST_SOURCES = 10_000
#: Problems that a result lists.
_MOST_LISTED = 100


class Told:
    """What a job reports to: the part of it that is done, and what it does now."""

    def __init__(self, tell: Callable[[float, str], None]) -> None:
        self._tell = tell
        self._stage = ""
        self._part = 0.0

    def stage(self, words: str) -> None:
        """What is being done from now on."""
        self._stage = words
        self._tell(self._part, words)

    def to(self, done: int, total: int) -> None:
        """So much is done, of so much in all; InterruptError if the job is to end."""
        self._part = max(self._part, min(1.0, done / total)) if total else self._part
        self._tell(self._part, self._stage)
        check_interrupt()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job.

    scope: of the token. checks: of each argument, called with the value; OptionError for a wrong one.
    needs: those that must be there. perform: given the place of the table, the arguments, and whom to tell;
    the result, as JSON.
    """

    scope: str
    checks: Mapping[str, Callable[[Any], object]]
    perform: Callable[[str, Mapping[str, Any], Told], dict[str, Any]]
    needs: tuple[str, ...] = ()


def checked(kind: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a job of that kind, without those that are None. OptionError for wrong ones."""
    if kind not in KINDS:
        raise OptionError(f"{kind!r:.40} is no kind of job", remedy=f"Known: {', '.join(KINDS)}.")
    known = KINDS[kind]
    given = {name: value for name, value in arguments.items() if value is not None}
    for name, value in given.items():
        if name not in known.checks:
            names = ", ".join(known.checks)
            raise OptionError(f"{kind} takes no {name!r:.40}", remedy=f"It takes {names}.")
        known.checks[name](value)
    for name in known.needs:
        if name not in given:
            raise OptionError(f"{kind} needs {name}", remedy="See docs/JOBS.md.")
    return given


# -- what they do --------------------------------------------------------------------------------------------


def _vacuum(place: str, arguments: Mapping[str, Any], told: Told) -> dict[str, Any]:
    with Table(place, busy_timeout=_BUSY_TIMEOUT) as table:
        before = table.files.size()
        told.stage("writing one segment")
        oldest = table.vacuum(**arguments, progress=told.to)
        return {
            "version": table.version,
            "oldest_version": oldest,
            "bytes_before": before,
            "bytes_after": table.files.size(),
        }


def _scrub(place: str, arguments: Mapping[str, Any], told: Told) -> dict[str, Any]:
    rate = float(arguments.get("rate", 8.0)) * 1e6
    never = threading.Event()
    found: list[str] = []
    count = repaired = 0
    with Table(place, busy_timeout=_BUSY_TIMEOUT) as table:
        told.stage("reading every page")
        for problem in scrub(table, rate, partial(wait_until, never), told.to):
            count += 1
            if len(found) < _MOST_LISTED:
                found.append(str(problem))
        if count and arguments.get("repair"):
            told.stage("writing damaged files again")
            repaired = _repaired(place, table)
        return {
            "version": table.version,
            "problems": count,
            "listed": found,
            "repaired_files": repaired,
            "whole": not count or bool(repaired),
        }


def _repaired(place: str, table: Table) -> int:
    """The number of files that were written again. DamagedFileError if one cannot be."""
    if is_url(place):
        from audiomem_sql.upkeep.repair_stored import repair_stored

        return sum(each.changed for each in repair_stored(place, _untold))
    return sum(each.changed for each in table.repair())


def _untold(done: int, total: int) -> None:
    """The part of a repair that is done says nothing of the job's."""


def _reembed(place: str, arguments: Mapping[str, Any], told: Told) -> dict[str, Any]:
    with Table(place, busy_timeout=_BUSY_TIMEOUT) as table:
        told.stage(f"embedding with {arguments.get('model', table.options.model)}")
        version = table.reembed(**arguments, progress=told.to)
        return {"version": version, "rows": len(table), "model": table.options.model}


def _reshard(place: str, arguments: Mapping[str, Any], told: Told) -> dict[str, Any]:
    told.stage("moving buckets")
    plan = reshard(place, **arguments, progress=told.to)
    return {"shards": plan.shards, "new": plan.new, "buckets": plan.buckets}


def _ingest(place: str, arguments: Mapping[str, Any], told: Told) -> dict[str, Any]:
    given = arguments["sources"]
    reading = Reading(arguments.get("size", 800), arguments.get("overlap", 0))
    done = 0

    def read(source: Source) -> None:
        nonlocal done
        done += 1
        told.to(done, len(given))

    with (
        tempfile.TemporaryDirectory(prefix="audiomem-job-") as folder,
        Table(place, busy_timeout=_BUSY_TIMEOUT) as table,
    ):
        told.stage("reading sources")
        sources = [_source(Path(folder), number, each) for number, each in enumerate(given)]
        report = ingest(
            table,
            sources,
            reading,
            commit_characters=_COMMIT_CHARACTERS,
            on_source=read,
            on_commit=lambda rows: told.stage(f"writing {rows:,} rows"),
        )
        return {
            "version": table.version,
            "new": report.new,
            "changed": report.changed,
            "unchanged": report.unchanged,
            "skipped": [{"source": name, "reason": reason} for name, reason in report.skipped],
            "rows_added": report.rows_added,
            "rows_removed": report.rows_removed,
        }


def _source(folder: Path, number: int, given: Mapping[str, str]) -> Source:
    kind = given.get("type", "text")
    extension = next(suffix for suffix, known in SOURCE_KINDS.items() if known == kind)
    content = _content(given)
    path = folder / f"{number}{extension}"
    path.write_bytes(content)
    return Source(path, given["source"], len(content), kind)


def _content(given: Mapping[str, str]) -> bytes:
    if "text" in given:
        return given["text"].encode()
    try:
        return base64.b64decode(given["base64"], validate=True)
    except (binascii.Error, ValueError):
        raise OptionError(f"the content of {given['source']!r:.100} is not base64") from None


# -- what they take ------------------------------------------------------------------------------------------


def _refuse(what: str, remedy: str) -> None:
    raise OptionError(what, remedy=remedy)


def _is_number(value: Any, least: float, most: float, *, whole: bool = True) -> bool:
    kinds = int if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most


def _number(name: str, least: float, most: float, *, whole: bool = True) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not _is_number(value, least, most, whole=whole):
            _refuse(f"{name} is a number", f"Write one from {least:g} to {most:g}.")

    return check


def _one_of(name: str, *known: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if value not in known:
            _refuse(f"{value!r:.40} is no {name}", f"Known: {', '.join(known)}.")

    return check


def _text(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, str) or not 0 < len(value) <= 100:
            _refuse(f"{name} is a text", "Write it in quotes.")

    return check


def _retention(value: Any) -> None:
    _text("retain")(value)
    Retention.parse(value)


def _yes(name: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, bool):
            _refuse(f"{name} is true or false", "Write one of them.")

    return check


def _weights(value: Any) -> None:
    fine = isinstance(value, list) and 0 < len(value) <= 4096
    if not fine or not all(_is_number(each, 0, 1e9, whole=False) for each in value):
        _refuse("weights is an array of numbers", "Write [2, 1, 1].")


def _model(value: Any) -> None:
    if value not in _MODELS:
        _refuse(
            f"a job does not choose the model {value!r:.60}",
            f"Name {', '.join(_MODELS)}; for another one run audiomem reembed where the table is.",
        )


def _sources(value: Any) -> None:
    if not isinstance(value, list) or not 0 < len(value) <= _MOST_SOURCES:
        _refuse("sources is an array", f"Give 1 to {_MOST_SOURCES:,} of them.")
    for each in value:
        fine = isinstance(each, dict) and set(each) <= {"source", "type", "text", "base64"}
        if not fine or not all(isinstance(part, str) for part in each.values()):
            _refuse("a source is an object of texts", 'Write {"source": "guide.md", "text": "…"}.')
        name = each.get("source", "")
        if not name.isprintable() or not 0 < len(name) <= 1000:
            _refuse("a source has a name", "Give it one of 1 to 1,000 printable characters.")
        if each.get("type", "text") not in SOURCE_KINDS.values():
            known = ", ".join(sorted(set(SOURCE_KINDS.values())))
            _refuse(f"{each['type']!r:.40} is no type of a source", f"Known: {known}.")
        if ("text" in each) == ("base64" in each):
            _refuse(f"the source {name!r:.100} has no content", "Give it a text, or bytes as base64.")
        try:
            _content(each)
        except UnicodeEncodeError:
            _refuse(f"the text of {name!r:.100} is no Unicode", "Send its bytes as base64.")
    if len({each["source"] for each in value}) < len(value):
        _refuse("two sources have one name", "Name each once.")


KINDS: Mapping[str, Kind] = {
    "ingest": Kind(
        "write",
        {
            "sources": _sources,
            "size": _number("size", 50, 100_000),
            "overlap": _number("overlap", 0, 100_000),
        },
        _ingest,
        ("sources",),
    ),
    "reembed": Kind(
        "upkeep",
        {
            "model": _model,
            "model_backend": _one_of("backend", "torch", "onnx"),
            "passages": _text("passages"),
        },
        _reembed,
    ),
    "vacuum": Kind(
        "upkeep",
        {
            "retain": _retention,
            "level": _number("level", 1, 22),
            "protection": _one_of("protection", "none", "standard", "archive"),
            "layout": _one_of("layout", "local", "remote"),
        },
        _vacuum,
    ),
    "scrub": Kind(
        "upkeep", {"rate": _number("rate", 0.001, 1e6, whole=False), "repair": _yes("repair")}, _scrub
    ),
    "reshard": Kind(
        "upkeep",
        {"to": _number("to", 1, 4096), "weights": _weights, "split": _number("split", 0, 4096)},
        _reshard,
    ),
}
