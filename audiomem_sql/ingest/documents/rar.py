"""RAR archives to documents, through rarfile: each member by the reader of its kind.

Members that are only stored are read without more; compressed ones by a program that rarfile finds: unrar,
unar or 7-Zip.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any

from audiomem_sql.errors import AudioMemError, DataTypeError, LimitError, MissingExtraError
from audiomem_sql.ingest.contents import is_gzip
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.inside import shown_name
from audiomem_sql.ingest.documents.member import Member, Spent, damaged

#: A member that is stored as it is.
_STORED = 0x30


def read(content: Content) -> Iterator[Document]:
    """The documents in the members of a RAR archive, in their order."""
    try:
        import rarfile
    except ImportError:
        raise MissingExtraError(
            "RAR archives are read by rarfile, which is not installed",
            file=content.name,
            remedy="Run: pip install 'audiomem-sql[packed]'",
        ) from None
    try:
        with _on_disk(content) as path, rarfile.RarFile(path) as archive:
            infos = [info for info in archive.infolist() if info.is_file()]
            if archive.needs_password() and not infos:
                raise DataTypeError("it is encrypted", file=content.name)
            _check_size(infos, content)
            yield from _documents(archive, infos, content)
    except Spent:
        return
    except AudioMemError:
        raise
    except rarfile.NeedFirstVolume as error:
        raise DataTypeError(
            "this is a later part of an archive of several files", file=content.name
        ) from error
    except (rarfile.Error, OSError, ValueError, EOFError) as error:
        raise damaged(content.name, error) from error


@contextmanager
def _on_disk(content: Content) -> Iterator[str]:
    """The path of the archive, for the program: of a file of its own if it is inside another one."""
    if content.path is not None and not is_gzip(content.path):
        yield str(content.path)
        return
    with tempfile.NamedTemporaryFile(prefix="audiomem-", suffix=".rar") as copy:
        copy.write(content.read())
        copy.flush()
        yield copy.name


def _check_size(infos: list[Any], content: Content) -> None:
    """LimitError if all that is packed expands to too much: the last member may need all before it."""
    total = sum(info.file_size or 0 for info in infos)
    if total > content.budget.left_bytes:
        raise LimitError(
            f"it expands to {total >> 20:,} MiB, more than what is inside may have",
            file=content.name,
            remedy="Unpack it, and ingest the folder.",
        )


def _documents(archive: Any, infos: list[Any], content: Content) -> Iterator[Document]:
    packed = 0
    for info in infos:
        member = Member(shown_name(info.filename), info.file_size, _time(info))
        if info.needs_password():
            member.refuse_encrypted(content)
        elif info.compress_type != _STORED and not _has_program():
            packed += 1
        else:
            yield from member.documents(content, partial(archive.open, info), None)
    if packed:
        missing = MissingExtraError(
            f"{packed:,} of its {len(infos):,} members are compressed, and no program expands them",
            file=content.name,
            remedy="Install unrar or unar (apt-get install unar).",
        )
        if packed == len(infos):
            raise missing
        content.report(missing)


def _has_program() -> bool:
    """Whether there is a program that expands members."""
    import rarfile

    try:
        rarfile.tool_setup(bsdtar=False)  # rarfile does not give it what it needs
    except rarfile.RarCannotExec:
        return False
    return True


def _time(info: Any) -> datetime | None:
    moment = info.mtime
    if moment is not None:  # a datetime of rarfile's own, with nanoseconds
        plain = datetime(*moment.timetuple()[:6]).replace(microsecond=moment.microsecond)
        return plain if moment.tzinfo is None else plain - moment.utcoffset()
    with suppress(ValueError):
        return datetime(*info.date_time) if info.date_time else None
    return None
