"""CSV and TSV, through DuckDB's reader: texts first, types by what the texts are."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.columns.column import fold
from audiomem_sql.errors import (
    AudioMemError,
    DamagedFileError,
    DataTypeError,
    LimitError,
    SchemaError,
)
from audiomem_sql.importing.bad_lines import REFUSE, BadLines
from audiomem_sql.importing.contract import MisfitError, Wishes
from audiomem_sql.importing.declared_texts import stored_array, stored_field
from audiomem_sql.importing.delimited_sql import TextColumn, doubtful, is_bad, value
from audiomem_sql.importing.delimited_types import decided
from audiomem_sql.importing.duckdb_connection import (
    SORT_MEMORY,
    connection,
    literal,
    reader,
    share_done,
)
from audiomem_sql.importing.inputs import Input, Inputs, opened
from audiomem_sql.importing.text_values import is_exact
from audiomem_sql.ingest.delimited import delimiter_of

#: Rows that are looked at first.
SAMPLE_ROWS = 10_000
#: Bytes of a line at most, and of what a thread reads at once.
LINE_BYTES = 8 << 20
_SAMPLE_BYTES = 1 << 16
#: Characters of a line that DuckDB needs more memory for, and how much.
_LONG, LONG_LINES_MEMORY = 1 << 16, "1GB"
_HEAD_BYTES = 1 << 20
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class _Group:
    """Files that follow each other and are written alike. names: of their columns."""

    files: tuple[Input, ...]
    delimiter: str
    encoding: str
    names: tuple[str, ...]
    has_long_lines: bool


@contextlib.contextmanager
def open_rows(inputs: Inputs, wishes: Wishes, bad: BadLines) -> Iterator[DelimitedRows]:
    """The rows of CSV and TSV files."""
    with connection(inputs.kind.upper()) as made:
        yield DelimitedRows(made, inputs, wishes, bad)


class DelimitedRows:
    """Rows of CSV or TSV files; see ``RowSource``."""

    key: str | None = None
    sorts = True

    def __init__(self, made: Any, inputs: Inputs, wishes: Wishes, bad: BadLines) -> None:
        self._made, self._inputs, self._wishes, self._bad = made, inputs, wishes, bad
        self._groups = _grouped([_group(each, inputs.kind, wishes.header) for each in inputs.files])
        self._names = list(dict.fromkeys(name for group in self._groups for name in group.names))
        _check_names(self._names, inputs.label)
        if any(group.has_long_lines for group in self._groups):
            made.execute(f"SET memory_limit='{LONG_LINES_MEMORY}'")
        self._columns: list[TextColumn] = []
        self._statements = 0
        self._share = 0.0

    def schema(self, whole: bool) -> pa.Schema:
        """The columns; see ``RowSource``."""
        rows = self._rows()
        if not whole:
            with self._reading():
                sample = f"SELECT * FROM ({rows}) LIMIT {SAMPLE_ROWS}"
                self._made.execute(f"CREATE OR REPLACE TEMP TABLE sample AS {sample}").fetchall()
            rows = "SELECT * FROM sample"
        declared = {name: self._wishes.of(name) for name in self._names}
        free = [(name, self._text(name)) for name in self._names if declared[name] is None]
        with self._reading():
            found = {column.name: column for column in decided(self._made, rows, free)} if free else {}
        self._columns = [
            replace(TextColumn.of(column), name=name)
            if (column := declared[name]) is not None
            else found[name]
            for name in self._names
        ]
        with (
            self._reading(),
            reader(self._made, f"SELECT {self._values()} FROM ({self._rows()}) LIMIT 0") as none,
        ):
            items = zip(none.schema, self._columns, strict=True)
            return pa.schema([stored_field(column) or item.with_name(column.name) for item, column in items])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; see ``RowSource``."""
        delimiter = self._groups[0].delimiter
        self._bad.begin(_line(self._names, delimiter) if self._wishes.header else "")
        columns = list(enumerate(self._columns))
        checks = [(i, test) for i, column in columns if (test := doubtful(f"g{i}", column))]
        tests = [(i, test) for i, column in columns if (test := is_bad(f"g{i}", column))]
        asked = [self._values(), *(f"{test} AS d{i}" for i, test in checks)]
        fault = " ".join(f"WHEN {test} THEN {i}" for i, test in tests)
        asked.append(f"CASE {fault} END::INTEGER AS fault" if tests else "NULL::INTEGER AS fault")
        order = ""
        if self._wishes.sorted_by is not None:
            self._made.execute(f"SET memory_limit='{SORT_MEMORY}'")
            order = f" ORDER BY v{self._place(self._wishes.sorted_by)}"
        rejects = f"rejects{self._statements}"
        statement = f"SELECT {', '.join(asked)} FROM ({self._rows(rejects)}){order}"
        if any(column.declared for column in self._columns):  # a row that is left out is told in its texts
            asked += [f"g{i}" for i, _ in columns]
            texts = ", ".join(f"g{i}" for i, _ in columns)
            inner = f"SELECT {', '.join(asked)} FROM ({self._rows(rejects)})"
            wanted = "fault IS NOT NULL"
            if self._bad.mode != REFUSE and any(column.logical for column in self._columns):
                wanted = "true"  # the engine tells what is wrong
            outer = f"* EXCLUDE ({texts}), CASE WHEN {wanted} THEN [{texts}] END AS line"
            statement = f"SELECT {outer} FROM ({inner}){order}"
        before = 0
        with self._reading():
            with reader(self._made, statement) as batches:
                for batch in batches:
                    self._share = share_done(self._made)
                    count = batch.num_rows
                    yield self._checked(batch, [i for i, _ in checks], before)
                    before += count
            if self._bad.mode != REFUSE:
                self._add_rejected(rejects)

    def done(self) -> tuple[int, int]:
        """Bytes; see ``RowSource``."""
        return int(self._share * self._inputs.size), self._inputs.size

    def _place(self, name: str) -> int:
        return [fold(each) for each in self._names].index(fold(name))

    def _text(self, name: str) -> str:
        return f"g{self._names.index(name)}"

    def _values(self) -> str:
        return ", ".join(f"{value(f'g{i}', column)} AS v{i}" for i, column in enumerate(self._columns))

    def _checked(self, batch: pa.RecordBatch, checks: Sequence[int], before: int) -> pa.RecordBatch:
        """The values of a batch without bad rows; MisfitError for a text that its column does not hold."""
        width = len(self._columns)
        for place, _ in enumerate(checks, width):
            doubt = batch.column(place)
            if doubt.null_count < len(doubt) and any(
                not is_exact(text, float(text)) for text in doubt.drop_null().to_pylist()
            ):
                raise MisfitError
        faults = batch.column(width + len(checks))
        if faults.null_count == len(faults) and not any(column.logical for column in self._columns):
            return pa.RecordBatch.from_arrays(batch.columns[:width], names=self._names)
        found = {int(row): faults[row].as_py() for row in np.flatnonzero(faults.is_valid())}
        arrays = list(batch.columns[:width])
        fields = [pa.field(name, array.type) for name, array in zip(self._names, arrays, strict=True)]
        for place, column in enumerate(self._columns):
            if (field := stored_field(column)) is not None:
                fields[place] = field
                arrays[place], misfits = stored_array(column, arrays[place])
                found |= {row: place for row in misfits if row not in found}
        good = np.ones(len(batch), bool)
        for row in sorted(found):
            column = self._columns[found[row]]
            if not column.declared:
                raise MisfitError
            if self._bad.mode == REFUSE and column.logical is not None:
                text, texts = batch.column(found[row])[row].as_py(), []
            else:
                texts = batch.column(width + len(checks) + 1)[row].as_py()
                text = texts[found[row]]
            self._bad.add(
                _line(texts, self._groups[0].delimiter),
                f"{text!r:.80} is no {column.logical or column.type} for the column {column.name}",
                self._inputs.label,
                f"row {before + row + 1}",
            )
            good[row] = False
        values = pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))
        return values if good.all() else values.filter(pa.array(good))

    def _rows(self, rejects: str | None = None) -> str:
        """A query of all rows as texts g0, g1 …; rejects: the table for lines that are no rows."""
        parts = []
        for number, group in enumerate(self._groups):
            columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(group.names)))
            options = [
                "auto_detect=false, strict_mode=true, null_padding=false, allow_quoted_nulls=false",
                f"delim={literal(group.delimiter)}, quote='\"', escape='\"', nullstr='', comment=''",
                f"header={str(self._wishes.header).lower()}, columns={{{columns}}}",
                f"buffer_size={LINE_BYTES}, max_line_size={LINE_BYTES}",
            ]
            if group.encoding != "utf-8":
                options.append(f"encoding='{group.encoding}'")
            if self._bad.mode != REFUSE:
                self._statements += 1
                table = f"{rejects or 'looked'}_{self._statements}_{number}"
                options.append(
                    f"ignore_errors=true, store_rejects=true, rejects_limit=0, rejects_table='{table}', "
                    f"rejects_scan='{table}_scan'"
                )
            files = ", ".join(literal(each.path) for each in group.files)
            own = {name: f"c{i}" for i, name in enumerate(group.names)}
            shown = ", ".join(
                f"{own.get(name, 'NULL::VARCHAR')} AS g{i}" for i, name in enumerate(self._names)
            )
            parts.append(f"SELECT {shown} FROM read_csv([{files}], {', '.join(options)})")
        return " UNION ALL ".join(parts)

    def _add_rejected(self, rejects: str) -> None:
        """The lines that DuckDB left out."""
        tables = self._made.execute(
            "SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, ?) "
            "AND NOT ends_with(table_name, '_scan') ORDER BY table_name",
            [f"{rejects}_"],
        ).fetchall()
        for (table,) in tables:
            lines = self._made.execute(
                f"SELECT DISTINCT ON (s.file_path, r.line) s.file_path, r.line, r.line_byte_position, "
                f"r.error_type::VARCHAR, r.csv_line FROM {table} r JOIN {table}_scan s "
                f"USING (scan_id, file_id) ORDER BY s.file_path, r.line"
            )
            labels = {each.path: each for each in self._inputs.files}
            while found := lines.fetchmany(1000):
                for path, line, _, fault, text in found:
                    self._bad.add(text or "", fault.lower(), labels[path].label, f"line {line}")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Errors of DuckDB as ours."""
        try:
            yield
        except (AudioMemError, MisfitError):
            raise
        except Exception as error:
            kind = type(error).__module__.lstrip("_").partition(".")[0]
            if kind not in ("duckdb",) and not isinstance(error, OSError | pa.ArrowException):
                raise
            raise _ours(str(error), self._inputs) from error


def _group(file: Input, kind: str, header: bool) -> _Group:
    with opened(file) as (stream, _):
        head = stream.read(_HEAD_BYTES)
    encoding = "utf-16" if head.startswith(_UTF16) else "utf-8"
    text = head.decode("utf-16" if encoding == "utf-16" else "utf-8-sig", "replace")
    sample = text[:_SAMPLE_BYTES]
    delimiter = "\t" if kind == "tsv" else delimiter_of(sample, is_cut=len(text) > len(sample))
    first = next((row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row), [])
    if not first:
        raise SchemaError(
            "there is no line in it", file=file.label, remedy="Give it a first line that names the columns."
        )
    if not header:
        first = [""] * len(first)
    names = tuple(name if name.strip() else f"column{index}" for index, name in enumerate(first, 1))
    _check_names(names, file.label)
    return _Group((file,), delimiter, encoding, names, max(map(len, text.split("\n"))) > _LONG)


def _check_names(names: Sequence[str], label: str) -> None:
    """SchemaError for two that are the same but for capitals."""
    known: dict[str, str] = {}
    for name in names:
        if fold(name) in known:
            raise SchemaError(
                f"two columns are called {known[fold(name)]!r} and {name!r}",
                file=label,
                place="line 1",
                remedy="Rename one; capitals make no difference.",
            )
        known[fold(name)] = name


def _grouped(groups: Sequence[_Group]) -> list[_Group]:
    found: list[_Group] = []
    for group in groups:
        if found and replace(group, files=()) == replace(found[-1], files=()):
            found[-1] = replace(group, files=found[-1].files + group.files)
        else:
            found.append(group)
    return found


def _line(texts: Sequence[str | None], delimiter: str) -> str:
    """Texts as a line of CSV: NULL is nothing, an empty text is in quotation marks."""
    stream = io.StringIO()
    marked = ("" if text is None else text or _EMPTY for text in texts)
    csv.writer(stream, delimiter=delimiter, lineterminator="").writerow(marked)
    return stream.getvalue().replace(_EMPTY, '""')


_EMPTY = "\ue000empty\ue001"
_LINE = re.compile(r"CSV Error on Line: (\d+)\n(?:Original Line:? ?(.*)\n)?(.*)")
_FILE = re.compile(r"^  file = (.*)$", re.MULTILINE)


def _ours(message: str, inputs: Inputs) -> AudioMemError:
    """An error of DuckDB's reader: which line of which file is wrong, and what helps."""
    named = _FILE.search(message)
    labels = {each.path: each.label for each in inputs.files}
    label = labels.get(named[1], inputs.label) if named else inputs.label
    found = _LINE.search(message)
    if "Maximum line size" in message or "maximum line size" in message.lower():
        return LimitError(
            f"a line has more than {LINE_BYTES >> 20} MiB",
            file=label,
            place=f"line {found[1]}" if found else None,
            remedy="Close the quotation mark that is open there, or write it as Parquet.",
        )
    if "Out of Memory" in message:
        return LimitError(
            "its lines are too long for the memory that an import takes",
            file=label,
            remedy="Write it as Parquet, or as JSON Lines.",
        )
    if found is None:
        return DamagedFileError(
            f"the file cannot be read ({' '.join(message.split())[:200]})",
            file=label,
            remedy="Check it with the program that wrote it.",
        )
    fault = " ".join(found[3].split())[:200].rstrip(".")
    return DataTypeError(
        fault[:1].lower() + fault[1:],
        file=label,
        place=f"line {found[1]}",
        remedy="Correct it, or leave such lines out with --on-bad-line skip, or keep."
        if "unicode" not in message
        else "Write the file as UTF-8 (iconv -f WINDOWS-1252 -t UTF-8), or --on-bad-line skip.",
    )
