"""Which kind of store a path leads to."""

from __future__ import annotations

import os
from importlib import import_module
from typing import cast

from audiomem_sql.conversion import chroma_folder, faiss_files, lance_folder, qdrant_folder, sqlite_file
from audiomem_sql.conversion.collection import Opener
from audiomem_sql.errors import StorageError, UnsupportedError
from audiomem_sql.machine.durable import storage_error

SOURCES = (
    "Known are folders of Chroma, LanceDB and Qdrant's local mode, SQLite files with tables of sqlite-vec "
    "or FTS5, embeddings.db of llm, and indexes of FAISS, also in a folder of LangChain."
)
#: What files of other kinds begin with, what they are, and what helps.
_OTHERS = (
    (b"fLaC", "a FLAC file", "A table in it is converted already; audiomem info says what it has."),
    (
        b"PAR1",
        "a Parquet file",
        "audiomem_sql.write_flac(pyarrow.parquet.read_table(path), 'kb.flac') makes a table.",
    ),
    (b"\x80", "a pickle, which can run code when it is read", "Convert the index beside it, with --texts."),
    (b"PK\x03\x04", "a zip archive", "Unpack it first."),
    (b"\x1f\x8b", "a gzip file", "Unpack it first."),
    (b"\x93NUMPY", "an array of numpy", "audiomem_sql.write_flac([{'vec': …}, …], 'kb.flac') makes a table."),
    (b"\x89HDF", "an HDF5 file", "Write its arrays to a table with audiomem_sql.write_flac."),
    (b"{", "JSON", "audiomem ingest reads JSON Lines."),
    (b"[", "JSON", "audiomem ingest reads JSON Lines."),
)


def opener_of(path: str) -> Opener:
    """What opens the store at ``path``.

    StorageError where nothing is; UnsupportedError, which says what it looks like, for anything else.
    """
    if not os.path.exists(path):
        raise StorageError("there is nothing", file=path, remedy="Check the path of the source.")
    try:
        module = _of_folder(path) if os.path.isdir(path) else _of_file(path)
    except OSError as error:
        raise storage_error(error, path) from error
    return cast(Opener, import_module(module).open_store)


def _of_folder(path: str) -> str:
    names = os.listdir(path)
    if chroma_folder.DATABASE in names:
        return chroma_folder.__name__
    if qdrant_folder.META in names and "collection" in names:
        return qdrant_folder.__name__
    is_table = os.path.abspath(path).endswith(lance_folder.SUFFIX) and "_versions" in names
    if is_table or any(name.endswith(lance_folder.SUFFIX) for name in names):
        return lance_folder.__name__
    if any(name.endswith(".faiss") for name in names):
        return faiss_files.__name__
    looks, remedy = _other_folder(names)
    raise UnsupportedError(f"this is {looks}", file=path, remedy=f"{remedy}{SOURCES}")


def _other_folder(names: list[str]) -> tuple[str, str]:
    if "raft_state.json" in names or "collections" in names:
        return (
            "the storage of a Qdrant server",
            "Copy it to a folder of QdrantClient(path=…) with its migrate(). ",
        )
    if any(name.startswith("chroma-") and name.endswith(".parquet") for name in names):
        return "a folder of Chroma before 0.4", "Move it with chroma-migrate first. "
    if not names:
        return "an empty folder", ""
    return f"a folder of no store that is known ({', '.join(sorted(names)[:4])})", ""


def _of_file(path: str) -> str:
    with open(path, "rb") as stream:
        start = stream.read(16)
    if start == sqlite_file.MAGIC:
        is_chroma = os.path.basename(path) == chroma_folder.DATABASE
        return chroma_folder.__name__ if is_chroma else sqlite_file.__name__
    if start[:2] in faiss_files.STARTS or path.endswith(faiss_files.SUFFIXES):
        return faiss_files.__name__
    for beginning, looks, remedy in _OTHERS:
        if start.startswith(beginning):
            raise UnsupportedError(f"this is {looks}", file=path, remedy=f"{remedy} {SOURCES}")
    if not start:
        raise UnsupportedError("this is an empty file", file=path, remedy=SOURCES)
    if start[8:12] == b"DUCK":
        raise UnsupportedError(
            "this is a database of DuckDB",
            file=path,
            remedy=f"COPY … TO 'kb.flac' in DuckDB makes a table. {SOURCES}",
        )
    raise UnsupportedError("this is no store that is known", file=path, remedy=SOURCES)
