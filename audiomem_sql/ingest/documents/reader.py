"""What one reader of documents is: how its kind is known, and what reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.ingest.documents.content import Content
from audiomem_sql.ingest.documents.document import Document

Read = Callable[[Content], Iterator[Document]]


@dataclass(frozen=True, slots=True)
class Reader:
    """How one kind of document is known and read.

    ``kind``: its name. ``suffixes``: in lower case, with the dot. ``read``: ``module:function``, of one that
    takes a `Content`, yields a `Document` for each text in it, and raises errors of this package. ``names``:
    of whole files, in lower case, such as ``makefile``. ``starts``: what its first bytes are, for files whose
    name says nothing. ``is_text``: whether the file is text; others are not looked at for an encoding.
    ``version``: raised when the reader finds more, so that sources are read again. ``helped_by``: modules
    with which it finds more, where they are installed.

    ``among``: suffixes of other kinds among which ``recognise`` finds files of this one; an empty suffix
    stands for all names that no kind has. ``recognise``: ``module:function``, of one that takes the name of a
    file and its first bytes, and says whether it is of this kind.
    """

    kind: str
    suffixes: tuple[str, ...]
    read: str
    names: tuple[str, ...] = ()
    starts: tuple[bytes, ...] = ()
    is_text: bool = True
    version: int = 1
    helped_by: tuple[str, ...] = ()
    among: tuple[str, ...] = ()
    recognise: str | None = None

    def documents(self, content: Content) -> Iterator[Document]:
        """The documents in ``content``; what the reader raises, and MissingExtraError where it needs one.

        What the packages that it uses raise is a DamagedFileError.
        """
        try:
            yield from function_of(self.read)(content)
        except AudioMemError as error:
            error.at(file=content.name)
            raise
        except Exception as error:
            fault = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise DamagedFileError(
                f"this {self.kind} file cannot be read ({fault})",
                file=content.name,
                remedy="Open it with the program that made it, and save it again.",
            ) from error

    def how(self) -> tuple[str | int, ...]:
        """How it reads at present: what it finds can be another only if this is."""
        version = () if self.version == 1 else (self.version,)
        return (self.kind, *version, *filter(_is_installed, self.helped_by))

    def recognises(self, name: str, start: bytes) -> bool:
        """Whether a file of that name and those first bytes is of this kind, whatever its suffix says."""
        return self.recognise is not None and bool(function_of(self.recognise)(name, start))


@cache
def function_of(name: str) -> Any:
    """What ``module:function`` names."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False
