"""Which columns of a file of rows are the text, the title and the time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from audiomem_sql.errors import OptionError, did_you_mean

BODY_NAMES = ("body", "text", "content", "document", "description", "abstract")
TITLE_NAMES = ("title", "name", "subject", "heading")
CREATED_NAMES = ("created_at", "date", "timestamp", "time", "published")
IMPORTANCE_NAMES = ("importance",)

#: Given the names of the columns, which of them fill which column of ours; see :func:`default_columns`.
Choose = Callable[[Collection[str]], Mapping[str, str | None]]
#: Rows, each with its place in the file: "line 7", "row 3".
NumberedRows = Iterator[tuple[dict[str, Any], str]]
#: Takes the place of a part that cannot be read, and the reason.
Report = Callable[[str, str], None]


def default_columns(
    names: Collection[str], body_column: str | None = None, title_column: str | None = None
) -> Mapping[str, str | None]:
    """Which of `names` fill ``body``, ``title``, ``created_at`` and ``importance``; None where there is none.

    The given columns, otherwise the usual names in the order of the lists above, upper or lower case. Without
    a ``body`` the text columns are joined. Raises `OptionError` for a given column that is not in `names`.
    """
    for name in (body_column, title_column):
        if name is not None and name not in names:
            known_names = ", ".join(map(repr, names)) or "none"
            raise OptionError(
                f"there is no column {name!r}",
                remedy=f"{did_you_mean(name, names)}The columns are: {known_names}.",
            )
    by_folded: dict[str, str] = {}
    for name in names:
        by_folded.setdefault(name.strip().casefold(), name)
    chosen_names = {name for name in (body_column, title_column) if name is not None}

    def choose(column: str | None, usual: Sequence[str]) -> str | None:
        if column is not None:
            return column
        return next(
            (by_folded[n] for n in usual if n in by_folded and by_folded[n] not in chosen_names), None
        )

    return {
        "body": choose(body_column, BODY_NAMES),
        "title": choose(title_column, TITLE_NAMES),
        "created_at": choose(None, CREATED_NAMES),
        "importance": choose(None, IMPORTANCE_NAMES),
    }
