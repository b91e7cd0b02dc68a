"""``audiomem shell``: apsw's SQL shell with the files as tables."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def shell(
    files: Annotated[
        list[str], typer.Argument(help="FLAC files; each is a table called like the file.", metavar="FILE...")
    ],
) -> int:
    """Open a SQL shell; it reads SQL from stdin as well."""
    import apsw
    import apsw.shell

    from audiomem_sql.cli.tables import open_tables

    class Shell(apsw.shell.Shell):
        """A shell that remembers that something failed."""

        failed = False

        def handle_exception(self) -> None:
            """Say what is wrong and go on."""
            self.failed = self.failed or not isinstance(sys.exc_info()[1], KeyboardInterrupt | SystemExit)
            if isinstance(sys.exc_info()[1], BrokenPipeError):
                raise
            super().handle_exception()  # type: ignore[no-untyped-call]

    connection = open_tables(files)
    names = [str(row[0]) for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    session = Shell(db=connection)
    try:
        session.cmdloop(  # type: ignore[no-untyped-call]
            f"SQLite {apsw.sqlite_lib_version()}, tables {', '.join(names)}. "
            "Commands begin with a dot: .help, .schema, .quit\n"
        )
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    finally:
        for each in {connection, session.db}:  # .open opens another one
            each.close(True)  # folds what was written into the files
    return int(session.failed and not session.interactive)
