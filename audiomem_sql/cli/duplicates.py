"""``audiomem duplicates``: rows that say nearly the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from audiomem_sql.table.table import Table

_SHOWN_CHARACTERS = 60


def duplicates(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    column: Annotated[str | None, typer.Option("--column", help="The column to compare.")] = None,
    threshold: Annotated[
        float, typer.Option("--threshold", help="The least similarity, up to 1 for the same.")
    ] = 0.95,
    where: Annotated[
        str | None,
        typer.Option("--where", help='Only rows for which this SQL is true, such as "year > 2020".'),
    ] = None,
    version: Annotated[str | None, typer.Option("--version", help="A version: number or tag.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find groups of rows that are nearly the same by their vectors, or have equal texts."""
    from audiomem_sql.cli import output
    from audiomem_sql.table.table import Table

    with Table(file, version=version) as table:
        found = table.duplicates(column, threshold, where=where)
        rows = [tuple(row.values()) for row in found.to_pylist()]
        if json:
            output.print_json_rows(found.column_names, rows)
            return
        if not rows:
            output.note("no two rows are so much alike")
            return
        text = _text_column(table, column)
        names = [*found.column_names, *([text] if text else [])]
        shown = ((*row[:3], f"{row[3]:.3f}", *([_text(table, row[1], text)] if text else [])) for row in rows)
        output.print_rows(names, shown)


def _text_column(table: Table, column: str | None) -> str | None:
    """The column whose texts are shown: the one that is compared, or the first of type TEXT."""
    texts = [each.name for each in table.schema.columns if each.type.kind.name == "TEXT"]
    semantic = [each.name for each in table.schema.columns if each.semantic]
    chosen = [name for name in texts if column is not None and name.lower() == column.lower()]
    return next(iter([*chosen, *semantic, *texts]), None)


def _text(table: Table, rowid: int, column: str) -> str | None:
    row = table.get(rowid)
    text = None if row is None else row[column]
    return None if text is None else " ".join(text[: 4 * _SHOWN_CHARACTERS].split())[:_SHOWN_CHARACTERS]
