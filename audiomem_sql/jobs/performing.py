"""Does a job, here and now, and says how it ended."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from audiomem_sql.errors import AudioMemError, InterruptError, StorageError
from audiomem_sql.jobs.job import Outcome
from audiomem_sql.jobs.kinds import KINDS, Told
from audiomem_sql.machine.file_names import absolute
from audiomem_sql.machine.interrupts import watched
from audiomem_sql.machine.urls import is_url, shown

LOGGER = logging.getLogger("audiomem.jobs")
#: Seconds between two reports of one stage.
_EVERY = 0.2


def perform(
    table: str,
    place: str,
    kind: str,
    arguments: Mapping[str, Any],
    tell: Callable[[float, str], None],
    ended: Callable[[], str | None],
) -> Outcome:
    """Do a job of ``kind`` with the table in ``place``, called ``table``.

    tell: called with the part that is done and with what is being done, now and then. ended: why the job is
    to end before its time, ``cancelled`` or ``interrupted``; None as long as it is not. What was committed
    then stays, and nothing is half done. No path leaves it.
    """
    given = {place, absolute(place), shown(place)} | (set() if is_url(place) else {os.path.realpath(place)})
    names = sorted(given, key=len, reverse=True)

    def hidden(value: Any) -> Any:
        if isinstance(value, str):
            for name in names:
                value = value.replace(name, table)
            return value
        if isinstance(value, list):
            return [hidden(each) for each in value]
        return {key: hidden(each) for key, each in value.items()} if isinstance(value, dict) else value

    try:
        with watched(lambda: ended() is not None):
            result = KINDS[kind].perform(place, arguments, Told(_paced(tell)))
    except InterruptError:
        return Outcome("cancelled" if ended() == "cancelled" else "interrupted")
    except StorageError as error:
        LOGGER.error("%s of %s: %s", kind, table, error)
        return _failed(error, "the table cannot be read or written now; the log of the server says why")
    except AudioMemError as error:
        return _failed(error, hidden(str(error)))
    except Exception as error:
        LOGGER.exception("%s of %s", kind, table)
        return _failed(error, "the job has a fault, which the log of the server describes")
    return Outcome("done", hidden(result))


def _failed(error: Exception, detail: str) -> Outcome:
    return Outcome("failed", problem={"kind": type(error).__name__, "detail": detail})


def _paced(tell: Callable[[float, str], None]) -> Callable[[float, str], None]:
    """``tell``, at most once in _EVERY seconds for one stage."""
    due, last = 0.0, ""

    def paced(part: float, stage: str) -> None:
        nonlocal due, last
        if stage != last or time.monotonic() >= due:
            due, last = time.monotonic() + _EVERY, stage
            tell(part, stage)

    return paced
