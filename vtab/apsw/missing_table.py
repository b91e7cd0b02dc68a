"""A table whose file is missing, in apsw's words."""

from __future__ import annotations

from typing import NoReturn

import apsw

from audiomem_sql.vtab.missing_table import MissingTable


class ApswMissingTable(MissingTable):
    """One audiomem table of one apsw connection, without its file. It can be dropped, and nothing else."""

    def refused(self, *arguments: object) -> NoReturn:
        """Raise what is wrong."""
        self.refuse()

    def BestIndexObject(self, index: apsw.IndexInfo) -> bool:
        """No plan, or one that never runs."""
        self.check()
        return True

    Open = refused
    UpdateInsertRow = UpdateChangeRow = UpdateDeleteRow = refused

    def Integrity(self, schema: str, name: str, quick: int) -> str | None:
        """What PRAGMA integrity_check prints of this table."""
        return self.faults()

    Begin = MissingTable.begin
    Sync = MissingTable.sync
    Commit = MissingTable.commit
    Rollback = MissingTable.rollback
    Savepoint = MissingTable.savepoint
    Release = MissingTable.release
    RollbackTo = MissingTable.rollback_to
    Rename = MissingTable.rename
    Disconnect = Destroy = MissingTable.disconnect
