"""Tokens: who they are, what they may do with which table, and the file that keeps their digests.

A token is 256 random bits, so one SHA-256 of it is as good as a slow hash is for a password: nothing can
be guessed (NIST SP 800-63B, 5.1.2.2, look-up secrets). The file has digests alone; a token is shown once.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from audiomem_sql.errors import OptionError, StorageError
from audiomem_sql.machine.durable import flush, replace_durably, storage_error, temporary_file
from audiomem_sql.machine.file_access import open_regular

#: What a token may do: ``read`` rows, search, SQL, versions; ``file``: read the file; ``write``: append;
#: ``upkeep``: have jobs done that change how a table is kept, and which old versions.
SCOPES = ("read", "file", "write", "upkeep")
#: Every table.
ALL_TABLES = "*"
_PREFIX = "am_"
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Token:
    """A token as the file keeps it. digest: SHA-256, hexadecimal. tables: scopes by table, ``*`` for all."""

    name: str
    digest: str
    tables: Mapping[str, tuple[str, ...]]
    expires: float | None = None

    def allows(self, table: str, scope: str) -> bool:
        """Whether it may do ``scope`` with ``table``."""
        return scope in self.tables.get(table, ()) or scope in self.tables.get(ALL_TABLES, ())

    def has_expired(self) -> bool:
        """Whether its time is over."""
        return self.expires is not None and time.time() >= self.expires

    def as_json(self) -> dict[str, Any]:
        """As the file has it."""
        made: dict[str, Any] = {"name": self.name, "sha256": self.digest}
        made["tables"] = {table: list(scopes) for table, scopes in sorted(self.tables.items())}
        return made if self.expires is None else made | {"expires": self.expires}


def digest_of(token: str) -> str:
    """What the file has in the place of a token."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class TokenFile:
    """The tokens in the file at ``path``, which is read again when it changed. Safe to use from threads.

    OptionError, naming the file, for one that is none.
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(path)
        self._lock = threading.Lock()
        self._state: tuple[int, ...] | None = None
        self._tokens: tuple[Token, ...] = ()
        self.tokens()

    def tokens(self) -> tuple[Token, ...]:
        """Those that are in the file now."""
        with self._lock:
            try:
                handle = open_regular(self.path, os.O_RDONLY, follow=True)
            except OSError as error:
                raise storage_error(error, self.path) from None
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(handle)
                state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
                if state != self._state:
                    self._tokens = _parsed(file.read(_MOST_BYTES + 1), self.path)
                    self._state = state
            return self._tokens

    def find(self, given: str) -> Token | None:
        """The token that was given, None if there is none or its time is over.

        All are compared, each in a time that does not depend on where it differs.
        """
        digest = digest_of(given)
        found = None
        for token in self.tokens():
            if compare_digest(token.digest, digest):
                found = token
        return None if found is None or found.has_expired() else found


def add_token(path: str, name: str, tables: Mapping[str, Iterable[str]], expires: float | None = None) -> str:
    """Put a new token into the file at ``path``, which is made for its owner alone; the token.

    OptionError for a name that is there, and for scopes that do not exist.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    kept = {table: tuple(scopes) for table, scopes in tables.items()}
    made = _checked(Token(name, digest_of(token), kept, expires), path)
    known = TokenFile(path).tokens() if os.path.lexists(path) else ()
    if any(each.name == name for each in known):
        raise OptionError(f"there is a token {name}", file=path, remedy="Remove it, or choose another name.")
    _write(path, (*known, made))
    return token


def remove_token(path: str, name: str) -> None:
    """Take a token out of the file; OptionError if there is none of that name. Servers follow at once."""
    known = TokenFile(path).tokens()
    left = [each for each in known if each.name != name]
    if len(left) == len(known):
        names = ", ".join(each.name for each in known) or "none"
        raise OptionError(f"there is no token {name}", file=path, remedy=f"The tokens are: {names}.")
    _write(path, left)


def _write(path: str, tokens: Iterable[Token]) -> None:
    text = json.dumps({"tokens": [token.as_json() for token in tokens]}, indent=2, ensure_ascii=False)
    temporary = None
    try:
        handle, temporary = temporary_file(path)
        if not os.path.lexists(path):
            os.fchmod(handle, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            flush(handle)
        replace_durably(temporary, path)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if temporary is not None and os.path.lexists(temporary):
            os.unlink(temporary)


def _parsed(content: bytes, path: str) -> tuple[Token, ...]:
    if len(content) > _MOST_BYTES:
        raise StorageError("this is too long for a file of tokens", file=path, remedy="Check the path.")
    try:
        entries = json.loads(content)["tokens"]
        tokens = tuple(
            Token(
                str(entry["name"]),
                str(entry["sha256"]).lower(),
                {str(table): tuple(map(str, scopes)) for table, scopes in entry["tables"].items()},
                None if entry.get("expires") is None else float(entry["expires"]),
            )
            for entry in entries
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise OptionError(
            "this is no file of tokens", file=path, remedy="Make one with `audiomem token add`."
        ) from None
    return tuple(_checked(token, path) for token in tokens)


def _checked(token: Token, path: str) -> Token:
    wrong = {scope for scopes in token.tables.values() for scope in scopes} - set(SCOPES)
    if wrong:
        raise OptionError(
            f"{min(wrong)} is nothing that a token may do",
            file=path,
            place=f"token {token.name}",
            remedy=f"Known: {', '.join(SCOPES)}.",
        )
    if not token.name or not token.name.isprintable() or len(token.name) > 100:
        raise OptionError("a token needs a name", file=path, remedy="Printable, at most 100 characters.")
    return token
