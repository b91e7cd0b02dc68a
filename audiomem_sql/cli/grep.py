"""``audiomem grep``: lines of texts that match a pattern."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from audiomem_sql.cli.json_option import Json

if TYPE_CHECKING:
    from collections import Counter

    from audiomem_sql.table.reader import TableReader

FOUND, NOTHING, TROUBLE = 0, 1, 2
#: What makes a pattern more than a text.
_SPECIAL = re.compile(r"[.^$*+?{}\[\]\\|()]")
#: A match, in colour, as grep shows it.
_COLOUR, _PLAIN = "\x1b[1;31m", "\x1b[0m"


def grep(  # a parameter for each option of the command
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    pattern: Annotated[
        str, typer.Argument(help="A regular expression, as Python has them.", metavar="PATTERN")
    ],
    ignore_case: Annotated[
        bool, typer.Option("-i", "--ignore-case", help="Capitals make no difference.")
    ] = False,
    fixed: Annotated[bool, typer.Option("-F", "--fixed-strings", help="PATTERN is a text.")] = False,
    word: Annotated[bool, typer.Option("-w", "--word-regexp", help="Only whole words match.")] = False,
    count: Annotated[bool, typer.Option("-c", "--count", help="Count the lines of each source.")] = False,
    files: Annotated[
        bool, typer.Option("-l", "--files-with-matches", help="Name the sources alone.")
    ] = False,
    most: Annotated[
        int | None, typer.Option("-m", "--max-count", help="Lines to show, at most.", min=1)
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column", help="A column of TEXT; can be repeated [default: all but source and place]."
        ),
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="A version: number or tag.")] = None,
    json: Json = False,
) -> int:
    """Print the lines of texts that match PATTERN, behind the source and the place of their row or line.

    Every row is read; `audiomem search` uses indexes. The exit code is 0 if a line matched, 1 if none did, 2
    if something failed.
    """
    from collections import Counter
    from itertools import islice

    from audiomem_sql.cli import output
    from audiomem_sql.errors import AudioMemError
    from audiomem_sql.table.reader import TableReader

    try:
        lines = _Lines(pattern, ignore_case, fixed, word)
        with TableReader(file, version=version) as table:
            matches = islice(_matches(table, lines, column, file), most)
            if count or files:
                sources: Counter[str] = Counter(str(match["source"] or file) for match in matches)
                _print_sources(sources, count, json)
                return FOUND if sources else NOTHING
            if json:
                rows = list(matches)
                output.print_json(rows)
                return FOUND if rows else NOTHING
            code = NOTHING
            for match in matches:
                print(_shown(match, file))
                code = FOUND
            return code
    except AudioMemError as error:
        output.note(f"audiomem: {error}")
        return TROUBLE


class _Lines:
    """Which lines of a text match, and where. OptionError for a pattern that is none."""

    def __init__(self, pattern: str, ignore_case: bool, fixed: bool, word: bool) -> None:
        from audiomem_sql.errors import OptionError

        #: A text that every line has that matches; None if nothing is known.
        self.literal = pattern if fixed or not _SPECIAL.search(pattern) else None
        self.ignore_case = ignore_case
        text = re.escape(pattern) if fixed else pattern
        try:
            self._pattern = re.compile(
                rf"(?<!\w)(?:{text})(?!\w)" if word else text, re.IGNORECASE if ignore_case else 0
            )
        except re.error as error:
            raise OptionError(
                f"{pattern!r:.80} is no regular expression: {error}", remedy="-F takes it as a text."
            ) from None

    def of(self, text: str) -> Iterator[tuple[int, str, list[tuple[int, int]]]]:
        """The lines that match: how many are before it, and (start, end) of each match, in characters."""
        for number, line in enumerate(text.removesuffix("\n").split("\n")):
            line = line.removesuffix("\r")
            spans = [match.span() for match in self._pattern.finditer(line)]
            if spans:
                yield number, line, spans


def _matches(
    table: TableReader, lines: _Lines, columns: list[str] | None, file: str
) -> Iterator[dict[str, Any]]:
    """The lines that match, in the order of the rows."""
    import pyarrow.compute as pc

    from audiomem_sql.cli.places import Place
    from audiomem_sql.columns.column import fold
    from audiomem_sql.scan import scan

    schema = table.schema
    searched = _columns(table, columns)
    about = [schema.index(name) for name in ("source", "place") if name in schema]
    names = [schema.columns[place].name for place in about]
    title: tuple[str, str] | None = None
    for batch in scan(table.snapshot, (*searched, *about)):
        arrays = batch.arrays[: len(searched)]
        if lines.literal and not lines.ignore_case:
            masks = [pc.fill_null(pc.match_substring(array, lines.literal), False) for array in arrays]
        else:
            masks = [pc.is_valid(array) for array in arrays]
        some = masks[0]
        for mask in masks[1:]:
            some = pc.or_(some, mask)
        for row in pc.indices_nonzero(some).to_pylist():
            values = {
                name: array[row].as_py()
                for name, array in zip(names, batch.arrays[len(searched) :], strict=True)
            }
            place = Place.of_row(values)
            for number, array in zip(searched, arrays, strict=True):
                text = array[row].as_py()
                if text is None:
                    continue
                name = fold(schema.columns[number].name)
                if name == "title" and place is not None:
                    if title == (place.source, text):
                        continue  # the title of a document stands in all of its rows
                    title = place.source, text
                for before, line, spans in lines.of(text):
                    there = None if place is None else place.further(before if name == "body" else 0)
                    yield {
                        "id": int(batch.rowids[row]),
                        "source": None if there is None else there.source,
                        "place": None if there is None else there.place,
                        "link": None if there is None else there.link(file),
                        "column": schema.columns[number].name,
                        "line": line,
                        "spans": spans,
                    }


def _columns(table: TableReader, names: list[str] | None) -> list[int]:
    """The places of the columns that are searched. OptionError for one without text, or without any."""
    from audiomem_sql.columns.types import Kind
    from audiomem_sql.errors import OptionError

    schema = table.schema
    texts = [number for number, column in enumerate(schema.visible.columns) if column.type.kind is Kind.TEXT]
    if names is not None:
        chosen = [schema.index(name) for name in names]
        wrong = next((schema.columns[number].name for number in chosen if number not in texts), None)
    else:
        chosen = [
            number for number in texts if schema.columns[number].name not in ("source", "place")
        ] or texts
        wrong = None if chosen else "any"
    if wrong is not None:
        shown = ", ".join(schema.columns[number].name for number in texts) or "none"
        raise OptionError(
            f"no column of TEXT is called {wrong}", file=table.path, remedy=f"Columns of TEXT: {shown}."
        )
    return chosen


def _print_sources(sources: Counter[str], count: bool, json: bool) -> None:
    from audiomem_sql.cli import output

    if json:
        output.print_json([{"source": source, "lines": number} for source, number in sources.items()])
        return
    for source, number in sources.items():
        print(output.printable(f"{source}:{number}" if count else source))


def _shown(match: dict[str, Any], file: str) -> str:
    """A line for people: the place, which is a link in a terminal, and the line, with its matches marked."""
    from audiomem_sql.cli.output import printable
    from audiomem_sql.cli.places import Place, shown

    place = str(match["id"])
    if match["source"] is not None:
        place = shown(Place(match["source"], match["place"]), file)
    line, end, parts = match["line"], 0, []
    colour = sys.stdout.isatty()
    for start, stop in match["spans"]:
        parts.append(printable(line[end:start]))
        found = printable(line[start:stop])
        parts.append(f"{_COLOUR}{found}{_PLAIN}" if colour and found else found)
        end = stop
    parts.append(printable(line[end:]))
    return f"{place}:{''.join(parts)}"
