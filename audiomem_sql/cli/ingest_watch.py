"""``audiomem ingest --watch``: follow folders, and bring the table up to date with every batch of changes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from audiomem_sql.errors import MissingExtraError

if TYPE_CHECKING:
    from audiomem_sql.cli.ingest_work import Work
    from audiomem_sql.ingest.sources import Source

#: Milliseconds without a change that end a batch, and those that a batch lasts at most.
QUIET, LONGEST = 400, 3000
#: Milliseconds after which somebody is asked whether to stop.
_ASKED = 500

#: What tells a file that was not touched since.
_Stamp = tuple[int, int, int]


def changes(paths: Sequence[str], own: Callable[[str], bool]) -> Iterator[bool]:
    """Whether there were changes below ``paths``: True for every batch of them, False while it is quiet.

    It looks from the first answer on. own: whether a path is the table's. MissingExtraError without
    watchfiles.
    """
    try:
        from watchfiles import watch
    except ImportError:
        raise MissingExtraError(
            "--watch needs the package watchfiles",
            remedy="Install it with: pip install 'audiomem-sql[watch]'",
        ) from None

    for batch in watch(
        *paths,
        watch_filter=lambda change, path: not own(path),
        debounce=LONGEST,
        step=QUIET,
        rust_timeout=_ASKED,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        yield bool(batch)


class Stamps:
    """Which files were read, and what they looked like: others need not be read to know that they changed."""

    def __init__(self) -> None:
        self._known: dict[str, _Stamp] = {}

    def changed(self, sources: Sequence[Source]) -> list[Source]:
        """Those of ``sources`` that may have changed since the last call."""
        now = {source.name: _stamp(source) for source in sources}
        before, self._known = self._known, {name: stamp for name, stamp in now.items() if stamp is not None}
        return [each for each in sources if now[each.name] is None or now[each.name] != before.get(each.name)]


def _stamp(source: Source) -> _Stamp | None:
    try:
        status = os.stat(source.path)
    except OSError:
        return None
    recent = time.time() - status.st_mtime < 2  # it may change again and look the same
    return None if recent else (status.st_mtime_ns, status.st_size, status.st_ino)


def line(work: Work, version: int) -> str:
    """What one batch did."""
    report = work.report
    counts = ", ".join(
        f"{getattr(report, key):,} {key}"
        for key in ("new", "changed", "renamed", "pruned")
        if getattr(report, key)
    )
    return f"{time.strftime('%H:%M:%S')} version {version}: {counts}"
