"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass

OK, INFO, WARN, FAIL = "ok", "info", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is, and what to do.

    state: OK; INFO for what is not there, and needed by some only; WARN for what will be trouble; FAIL for
    what does not work. about: the table, or empty for the installation.
    """

    check: str
    state: str
    what: str
    remedy: str = ""
    about: str = ""
