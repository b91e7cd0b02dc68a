"""The summary of ``audiomem ingest``, as facts for programs and as lines for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiomem_sql.ingest.ingestion import Report
    from audiomem_sql.table.table import Table


def model_of(table: Table) -> str:
    """The model of a table, and what runs it."""
    options = table.options
    return options.model if options.model == "hashing" else f"{options.model} ({options.model_backend})"


def facts_of(
    table: Table, report: Report, skipped: Sequence[tuple[str, str, bool]], duration: float
) -> dict[str, Any]:
    """What ``--json`` prints.

    skipped: (source, reason, whether it should have been readable) of all that was not read. duration: in
    seconds.
    """
    return {
        "file": table.path,
        "version": table.version,
        "model": model_of(table) if table.schema.semantic_columns else None,
        "rows": len(table),
        "sources": {
            "new": report.new,
            "changed": report.changed,
            "renamed": report.renamed,
            "pruned": report.pruned,
            "unchanged": report.unchanged,
            "skipped": [
                {"source": name, "reason": reason, "failed": failed} for name, reason, failed in skipped
            ],
            "dropped": report.dropped,
        },
        "rows_added": report.rows_added,
        "rows_removed": report.rows_removed,
        "text_bytes": report.text_bytes,
        "value_bytes": sum(table.snapshot.column_bytes(column) for column in range(len(table.schema))),
        "file_bytes": table.files.size(),
        "commits": report.commits,
        "interrupted": report.stopped,
        "seconds": round(duration, 3),
    }


def summary(facts: dict[str, Any]) -> str:
    """The facts as four lines of text."""
    from audiomem_sql.cli import output

    sources = facts["sources"]
    rare = [key for key in ("renamed", "pruned") if sources[key]]
    counts = ", ".join(f"{sources[key]:,} {key}" for key in ("new", "changed", *rare, "unchanged"))
    ratio = facts["value_bytes"] / facts["file_bytes"]
    speed = round(facts["rows_added"] / facts["seconds"]) if facts["seconds"] else 0
    rate = f", {output.counted(speed, 'row')}/s" if speed else ""
    return (
        f"sources: {counts}, {len(sources['skipped']):,} skipped\n"
        f"rows: {facts['rows_added']:,} added, {facts['rows_removed']:,} removed, {facts['rows']:,} in all\n"
        f"text: {output.size(facts['text_bytes'])} added; the table has {output.size(facts['value_bytes'])} "
        f"in a file of {output.size(facts['file_bytes'])}, ratio {ratio:.2f}\n"
        f"time: {facts['seconds']:.1f} s{rate}"
        + (f", embedded with {facts['model']}" if facts["model"] else "")
    )
