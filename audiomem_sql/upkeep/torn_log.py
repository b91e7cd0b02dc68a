"""Damage that does not keep a table from being read: said once in a process, as a DamageWarning."""

from __future__ import annotations

from audiomem_sql.errors import DamagedFileError, StorageError
from audiomem_sql.machine.writer_lock import nobody_writes
from audiomem_sql.storage.log import commits_behind, read_log
from audiomem_sql.versions import Snapshot, TableFiles
from audiomem_sql.warn_once import told, warn_once


def tell_torn_log(files: TableFiles, snapshot: Snapshot) -> None:
    """Warn if the log that ``snapshot`` was loaded from ends with something that is no whole commit.

    A commit that is being written looks the same for a moment. So it is looked at again while nobody can
    write; if somebody does, nothing is said: that writer has looked itself, and is about to put its commit
    there.
    """
    log = snapshot.log
    if log is None or not log.torn or (files.log, log.salt) in told:
        return
    base = snapshot.segments[0]
    try:
        with nobody_writes(files.base) as is_sure:
            content = read_log(files.log, base.catalog.table_id)
        if not is_sure or content is None or not content.torn:
            return
        damaged = commits_behind(files.log, content)
    except (DamagedFileError, StorageError):
        return  # whoever asks for what is in it will be told
    place = f"{files.log}: byte {content.end}"
    if damaged:
        message = (
            f"{place}: version {content.version + 1} is damaged, and whole commits stand behind it. "
            f"The table is read up to version {content.version}, and cannot be written to: restore the log "
            "from a copy, or move it away to go on without its commits."
        )
    else:
        message = (
            f"{place}: what stands behind version {content.version} is no whole commit. It was never "
            "acknowledged, if a writer was stopped there; the next commit takes its place. If none was, the "
            "disk may be failing: run `audiomem verify`."
        )
    warn_once((files.log, content.salt), message)
