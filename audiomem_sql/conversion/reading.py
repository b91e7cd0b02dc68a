"""Errors of what reads a source, as this package has them: whatever a damaged one makes of its reader."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pyarrow as pa

from audiomem_sql.conversion.collection import Collection
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.machine.durable import storage_error

_UNEXPECTED = (
    pa.ArrowException,
    LookupError,
    AttributeError,
    TypeError,
    ValueError,
    ArithmeticError,
    RuntimeError,  # RecursionError is one
    sqlite3.Error,
)


@contextlib.contextmanager
def reading(source: str, place: str | None = None) -> Iterator[None]:
    """Errors inside the block become DamagedFileError, or StorageError of an OSError, with the source's name.

    Those of this package stay, and a text that is no UTF-8, which what opened the source tells of.
    """
    try:
        yield
    except (AudioMemError, UnicodeDecodeError):
        raise
    except OSError as error:
        raise storage_error(error, source) from error
    except _UNEXPECTED as error:
        raise DamagedFileError(
            f"the source cannot be read ({type(error).__name__}: {' '.join(str(error).split())[:200]})",
            file=source,
            place=place,
            remedy="Check it with the program that wrote it, and take it from a backup.",
        ) from error


def read_from(collection: Collection, source: str) -> Iterator[pa.Table]:
    """The rows of a collection; see :func:`reading`."""
    with reading(source, collection.name):
        batches = iter(collection.batches())
    while True:
        with reading(source, collection.name):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch
