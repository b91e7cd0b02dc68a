"""A job: what is to be done with which table, and what has become of it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from audiomem_sql.errors import StorageError

State = Literal["queued", "running", "done", "failed", "cancelled", "interrupted"]
STATES: tuple[State, ...] = ("queued", "running", "done", "failed", "cancelled", "interrupted")
#: Jobs that are still to end.
ALIVE: tuple[State, ...] = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Job:
    """A job. Times are seconds since 1970.

    digest: of table, kind and arguments, so of all that it is made of. progress: 0 to 1. stage: what is being
    done. problem: ``kind``, the name of an error, and ``detail``. token: the name of whose it is. arguments:
    None where they are not known here.
    """

    id: str
    table: str
    kind: str
    arguments: Mapping[str, Any] | None
    digest: str
    created: float
    token: str | None = None
    state: State = "queued"
    cancelling: bool = False
    progress: float = 0.0
    stage: str = "waiting"
    started: float | None = None
    ended: float | None = None
    result: Mapping[str, Any] | None = None
    problem: Mapping[str, str] | None = None

    @classmethod
    def made(cls, table: str, kind: str, arguments: Mapping[str, Any], token: str | None = None) -> Job:
        """A new job."""
        digest = digest_of(table, kind, arguments)
        return cls(secrets.token_hex(8), table, kind, arguments, digest, time.time(), token)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended."""

    state: State
    result: Mapping[str, Any] | None = None
    problem: Mapping[str, str] | None = field(default=None)


class QueueAwayError(StorageError):
    """The queue of jobs cannot be reached."""


def digest_of(table: str, kind: str, arguments: Mapping[str, Any]) -> str:
    """What tells a job's input from others: SHA-256, hexadecimal."""
    said = json.dumps([table, kind, arguments], sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return sha256(said.encode()).hexdigest()


def writes(kind: str, arguments: Mapping[str, Any]) -> bool:
    """Whether the job may change the table: there is one of those at a time for each."""
    return kind != "scrub" or bool(arguments.get("repair"))
