"""Pickles that other programs store, read without running what they name.

A pickle may name any function of any module and have it called. Here it can name a few classes only: the
records of LangChain and Qdrant, for which a `StoredObject` stands that does nothing, and plain values of the
standard library (`Restricting Globals` in Python's documentation of pickle).
"""

from __future__ import annotations

import collections
import datetime
import decimal
import io
import pickle
import types
import uuid
from typing import IO, Any, ClassVar

from audiomem_sql.errors import DamagedFileError, LimitError, UnsupportedError

#: Packages whose classes become `StoredObject`.
_PACKAGES = ("langchain", "langchain_core", "langchain_community", "langchain_classic", "qdrant_client")


class _TooLargeError(Exception):
    """A pickle that would take more memory or time than its size has a right to."""


def _checked_key(key: Any) -> None:
    """Tuples in tuples may have as many values as 2 to the power of their depth, and hashing meets each."""
    if type(key) in (tuple, frozenset):
        nested = any(isinstance(each, tuple | frozenset | StoredObject) for each in key)
    else:
        nested = isinstance(key, uuid.UUID) and type(getattr(key, "int", 0)) is not int
    if nested:
        raise _TooLargeError("a key is made of values inside values")


def _set(values: Any = ()) -> set[Any]:
    for value in values:
        _checked_key(value)
    return set(values)


def _frozenset(values: Any = ()) -> frozenset[Any]:
    return frozenset(_set(values))


def _ordered(items: Any = ()) -> collections.OrderedDict[Any, Any]:
    for key, _ in items:
        _checked_key(key)
    return collections.OrderedDict(items)


def _bytearray(value: Any = b"", encoding: str = "latin-1") -> bytearray:
    """What pickles call: with bytes, or by older ones with a text that has them as Latin-1."""
    if isinstance(value, str) and encoding in ("latin-1", "ascii", "utf-8"):
        return bytearray(value, encoding)
    if isinstance(value, bytes | bytearray):
        return bytearray(value)
    raise _TooLargeError("bytes are made of what is none")


_PLAIN: dict[tuple[str, str], Any] = {
    ("uuid", "UUID"): uuid.UUID,
    ("uuid", "SafeUUID"): uuid.SafeUUID,
    ("datetime", "datetime"): datetime.datetime,
    ("datetime", "date"): datetime.date,
    ("datetime", "time"): datetime.time,
    ("datetime", "timedelta"): datetime.timedelta,
    ("datetime", "timezone"): datetime.timezone,
    ("decimal", "Decimal"): decimal.Decimal,
    ("collections", "OrderedDict"): _ordered,
    ("builtins", "set"): _set,
    ("builtins", "frozenset"): _frozenset,
    ("builtins", "complex"): complex,
    ("builtins", "bytearray"): _bytearray,
}
#: How large what is in a pickle may be, beside the pickle: what is in it several times counts each time.
_LEAST_BUDGET = 64 << 20
_TIMES = 8


class StoredObject:
    """An object of a class that is not there: its fields by name."""

    def __init__(self, *values: Any, **fields: Any) -> None:
        self.values = values
        self.fields: dict[str, Any] = fields

    def __new__(cls, *values: Any, **fields: Any) -> StoredObject:  # noqa: D102
        made = super().__new__(cls)
        made.values, made.fields = values, fields
        return made

    def __setstate__(self, state: Any) -> None:
        """Take the fields: a dict, pydantic's dict with `__dict__` inside, or a pair with slots."""
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                inner = part.get("__dict__", part)
                self.fields = {**self.fields, **(inner if isinstance(inner, dict) else {})}

    def __reduce__(self) -> Any:
        raise TypeError("it is only read")


#: What reads each kind of step.
_DISPATCH: dict[int, Any] = vars(pickle._Unpickler)["dispatch"]


# The one in C takes memory for as many objects as a pickle claims to have.
class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(_DISPATCH)
    stack: list[Any]

    def _with_keys(self, opcode: bytes, keys: list[Any]) -> None:
        for key in keys:
            _checked_key(key)
        _DISPATCH[opcode[0]](self)

    def _with_object(self) -> None:
        """A state is set on objects alone: a class or a function is everybody's."""
        if isinstance(self.stack[-2], type | types.FunctionType):
            raise UnsupportedError("the pickle changes a class, which could run code")
        _DISPATCH[pickle.BUILD[0]](self)

    dispatch[pickle.BUILD[0]] = _with_object
    dispatch[pickle.SETITEM[0]] = lambda self: self._with_keys(pickle.SETITEM, self.stack[-2:-1])
    dispatch[pickle.SETITEMS[0]] = lambda self: self._with_keys(pickle.SETITEMS, self.stack[::2])
    dispatch[pickle.DICT[0]] = lambda self: self._with_keys(pickle.DICT, self.stack[::2])
    dispatch[pickle.ADDITEMS[0]] = lambda self: self._with_keys(pickle.ADDITEMS, self.stack)
    dispatch[pickle.FROZENSET[0]] = lambda self: self._with_keys(pickle.FROZENSET, self.stack)

    def find_class(self, module: str, name: str) -> Any:
        """The class of that name, if it is one of ours."""
        plain = _PLAIN.get((module, name))
        if plain is not None:
            return plain
        if module.partition(".")[0] in _PACKAGES and "." not in name:
            return StoredObject
        raise UnsupportedError(f"the pickle names {module}.{name}, which could run code")

    def persistent_load(self, identity: Any) -> Any:
        """Refused."""
        raise UnsupportedError("the pickle names objects outside of it")


def load(data: bytes | IO[bytes], file: str, place: str | None = None) -> Any:
    """What is stored in a pickle.

    UnsupportedError where it names anything but plain values and records; DamagedFileError where it is none.
    """
    stream = io.BytesIO(data) if isinstance(data, bytes) else data
    try:
        found = _Unpickler(stream).load()
        _check_size(found, _LEAST_BUDGET + _TIMES * stream.tell())
        return found
    except UnsupportedError as error:
        error.at(
            file=file,
            place=place,
            remedy="Pickles are not trusted. Export the texts to JSON Lines or Parquet with the program that "
            "wrote them, and name that file with --texts.",
        )
        raise
    except _TooLargeError as error:
        raise LimitError(
            f"the pickle is refused: {error}",
            file=file,
            place=place,
            remedy="Name a file of texts with --texts, or take the file from a backup.",
        ) from None
    except RecursionError:
        raise DamagedFileError("the pickle is nested too deeply", file=file, place=place) from None
    except MemoryError:
        raise DamagedFileError(
            "the pickle asks for more memory than there is", file=file, place=place
        ) from None
    except Exception as error:
        raise DamagedFileError(
            f"the pickle cannot be read ({type(error).__name__}: {error})",
            file=file,
            place=place,
            remedy="Take the file from a backup, or write it again.",
        ) from error


def _check_size(found: Any, budget: int) -> None:
    """_TooLargeError for more than ``budget`` bytes or values, what is there several times counted each time.

    Also for what is inside itself.
    """
    sizes: dict[int, int] = {}
    waiting: list[tuple[Any, list[Any] | None]] = [(found, None)]
    while waiting:
        value, inner = waiting.pop()
        if inner is None:
            if id(value) in sizes:
                if sizes[id(value)] < 0:
                    raise _TooLargeError("a value is inside itself")
                continue
            inner = _inside(value)
            sizes[id(value)] = -1
            waiting.append((value, inner))
            waiting += [
                (each, None)
                for each in inner
                if isinstance(each, _CONTAINERS) and sizes.get(id(each), 0) <= 0
            ]
            continue
        total = 1 + sum(sizes.get(id(each), 0) or _plain_size(each) for each in inner)
        if total > budget:
            raise _TooLargeError(f"what it holds is over {budget:,} bytes")
        sizes[id(value)] = total


_CONTAINERS = (dict, list, tuple, set, frozenset, StoredObject)


def _plain_size(value: Any) -> int:
    return 1 + (len(value) if isinstance(value, str | bytes | bytearray) else 0)


def _inside(value: Any) -> list[Any]:
    """What a container holds; nothing, of anything else."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return list(value)
    if isinstance(value, StoredObject):
        return [value.values, value.fields]
    return []
