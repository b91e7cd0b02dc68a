"""``audiomem vacuum``: one segment, compressed harder."""

from __future__ import annotations

from typing import Annotated

import typer

from audiomem_sql.cli.json_option import Json

_Retain = Annotated[
    str,
    typer.Option("--retain", help="Versions to keep: all, a number of them, or an age such as 30d or 12h."),
]
_History = Annotated[
    str | None,
    typer.Option("--history", help="In a store: versions, as of --retain, that go without older rows."),
]
_Level = Annotated[
    int | None,
    typer.Option("--level", help="zstd level, 1 to 22 [default: 19; embedded 15].", min=1, max=22),
]
_Layout = Annotated[
    str | None,
    typer.Option("--for", help="local or remote: a disk, or an object store, from now on."),
]


def vacuum(
    file: Annotated[str, typer.Argument(help="The FLAC file.", metavar="FILE")],
    retain: _Retain = "all",
    history: _History = None,
    level: _Level = None,
    protection: Annotated[
        str | None, typer.Option("--protection", help="none, standard or archive, from now on.")
    ] = None,
    layout: _Layout = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be kept, and change nothing.")
    ] = False,
    json: Json = False,
) -> None:
    """Make one segment of base, deltas and log. Tagged versions are kept in any case, with all after them."""
    import time

    from audiomem_sql.cli import output
    from audiomem_sql.cli.progress import bar
    from audiomem_sql.table.table import Table
    from audiomem_sql.upkeep.compaction import Retention
    from audiomem_sql.writing.commit import now

    policy = Retention.of(retain, history)
    with Table(file) as table:
        before, versions = table.files.size(), table.versions
        if dry_run:
            oldest = policy.oldest(table.snapshot, now())
            facts = {"file": file, "dry_run": True, "oldest": oldest, "newest": table.version}
            facts |= {"bytes_before": before, "segments": len(table.snapshot.segments)}
            line = (
                f"{file}: would keep versions {oldest} to {table.version} of {versions[0].number} to "
                f"{table.version}, and write anew what is {output.size(before)} "
                f"in {output.counted(len(table.snapshot.segments), 'segment')}"
            )
            output.tell(facts, line, json)
            return
        started = time.perf_counter()
        with bar("rows") as progress:
            oldest = table.vacuum(
                retain=policy, level=level, protection=protection, layout=layout, progress=progress.to
            )
        after = table.files.size()
        duration = time.perf_counter() - started
        facts = {"file": file, "dry_run": False, "oldest": oldest, "newest": table.version}
        facts |= {"bytes_before": before, "bytes_after": after, "seconds": round(duration, 3)}
        line = (
            f"{file}: {output.size(before)} before, {output.size(after)} after; "
            f"versions {oldest} to {table.version} kept; in {output.seconds(duration)}"
        )
        output.tell(facts, line, json)
