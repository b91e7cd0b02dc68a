"""Documents of Office before 2007 (DOC, XLS, PPT): LibreOffice, if installed, makes new ones of them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from audiomem_sql.errors import DamagedFileError, DataTypeError, LimitError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document
from audiomem_sql.ingest.documents.package import protected

#: Seconds that LibreOffice may take for one document.
SECONDS = 120
#: Bytes of one document.
SIZE_LIMIT = 256 << 20
#: What is made of a document, by the name of the stream that it is in.
_STREAMS = {"WordDocument": "docx", "Workbook": "xlsx", "Book": "xlsx", "PowerPoint Document": "pptx"}


def read(content: Content, read_new: Callable[[Content], Iterator[Document]]) -> Iterator[Document]:
    """The documents in a compound file, through ``read_new``, which reads what LibreOffice makes of it.

    DataTypeError where LibreOffice is not installed, or a password is needed.
    """
    data = content.read()
    if len(data) > SIZE_LIMIT:
        raise LimitError(f"it is larger than {SIZE_LIMIT >> 20} MiB", remedy="Split the document.")
    if _has(data, "EncryptedPackage"):
        raise protected()
    kind = next((kind for stream, kind in _STREAMS.items() if _has(data, stream)), None)
    if kind is None:
        raise DataTypeError("this is a compound file, and no document of Office", remedy="Leave it out.")
    program = shutil.which("soffice") or shutil.which("libreoffice")
    if program is None:
        raise DataTypeError(
            "this is a document of Office before 2007, which only LibreOffice reads",
            remedy=f"Install LibreOffice, or save it as .{kind}.",
        )
    with tempfile.TemporaryDirectory(prefix="audiomem-") as folder:
        made = _converted(program, Path(folder), data, kind)
        inner = Content(
            content.name, made, modified=content.modified, depth=content.depth, budget=content.budget
        )
        if not made.read_bytes().startswith(b"PK\3\4"):
            raise _not_converted("what it made is no document")
        yield from read_new(inner)


def _has(data: bytes, stream: str) -> bool:
    """Whether a compound file has a stream of that name."""
    return f"{stream}\0".encode("utf-16-le") in data


def _converted(program: str, folder: Path, data: bytes, kind: str) -> Path:
    """The document that LibreOffice makes of ``data``; it has a profile of its own, and no macros are run."""
    source = folder / f"document.{ {'docx': 'doc', 'xlsx': 'xls', 'pptx': 'ppt'}[kind] }"
    source.write_bytes(data)
    command = [
        program,
        "--headless",
        "--norestore",
        "--nolockcheck",
        f"-env:UserInstallation={(folder / 'profile').as_uri()}",
        "--convert-to",
        kind,
        "--outdir",
        str(folder / "made"),
        str(source),
    ]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(SECONDS)
    except subprocess.TimeoutExpired:
        raise LimitError(
            f"LibreOffice did not read it in {SECONDS} seconds", remedy=f"Save it as .{kind}."
        ) from None
    finally:
        _end(process)
    made = folder / "made" / f"document.{kind}"
    if not made.is_file():
        raise _not_converted("it made nothing of it")
    return made


def _not_converted(why: str) -> DamagedFileError:
    return DamagedFileError(
        f"LibreOffice cannot read it: {why}",
        remedy="Open it with the program that made it and save it again.",
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and those that it started, if they still run."""
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
