"""Which table of a database is imported."""

from __future__ import annotations

from collections.abc import Sequence

from audiomem_sql.errors import OptionError, StorageError, did_you_mean


def chosen_table(names: Sequence[str], wanted: str | None, label: str) -> str:
    """The table that is meant. OptionError where there are several, or none of that name."""
    if wanted is not None:
        same = [name for name in names if name == wanted] or [
            name for name in names if name.casefold() == wanted.casefold()
        ]
        if same:
            return same[0]
        raise OptionError(
            f"there is no table {wanted}",
            file=label,
            remedy=f"{did_you_mean(wanted, names)}There are {', '.join(names) or 'none'}.",
        )
    if not names:
        raise StorageError("there is no table in it", file=label, remedy="Check that it is the right file.")
    if len(names) > 1:
        raise OptionError(
            f"there are {len(names)} tables: {', '.join(names)}",
            file=label,
            remedy="Choose one: --table NAME.",
        )
    return names[0]
