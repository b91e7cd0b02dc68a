"""Files of rows to dicts, each with its place in the file."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from audiomem_sql.errors import OptionError
from audiomem_sql.ingest.record_columns import NumberedRows, Report, default_columns
from audiomem_sql.ingest.sources import Source


def read_records(
    source: Source,
    body_column: str | None = None,
    title_column: str | None = None,
    *,
    plain_only: bool = False,
    report: Report | None = None,
) -> NumberedRows:
    """The rows of a CSV, JSON Lines, JSON or Parquet file, one dict each, with its place in the file.

    Values are text for CSV (None where a line is short), what JSON says for JSON, and Python values for
    Parquet. Column names stay as they are. `body_column` and `title_column` are only checked: `OptionError`
    if the header, the first object or the Parquet schema does not have them.

    Raises `DataTypeError` for malformed rows and `DamagedFileError` for a Parquet file that cannot be read,
    naming the line or row; `SchemaError` for column names that are missing or double; `LimitError` for a
    value beyond `VALUE_LIMIT`; `StorageError` for a file that cannot be read.

    With `report`, malformed lines of CSV and JSON Lines, and items of a JSON array, are reported by place and
    reason, and left out.

    `plain_only` leaves out Parquet columns that hold bytes, lists or structures, unless `default_columns`
    chose them.
    """

    def choose(names: Collection[str]) -> Mapping[str, str | None]:
        try:
            return default_columns(names, body_column, title_column)
        except OptionError as error:
            error.at(file=source.label)
            raise

    if source.kind == "csv":
        from audiomem_sql.ingest.delimited import read_delimited

        return read_delimited(source, choose, report)
    if source.kind == "jsonl":
        from audiomem_sql.ingest.json_lines import read_json_lines

        return read_json_lines(source, choose, report)
    if source.kind == "json":
        from audiomem_sql.ingest.json_array import read_json_array

        return read_json_array(source, choose, report)
    if source.kind == "parquet":
        from audiomem_sql.ingest.parquet import read_parquet

        return read_parquet(source, choose, plain_only=plain_only)
    raise OptionError(f"{source.kind} holds prose, not rows", file=source.label, remedy="Use read_documents.")
