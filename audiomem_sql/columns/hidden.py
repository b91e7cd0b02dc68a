"""The names of the hidden columns that SQL has behind those of a table.

Every one has a name that begins with ``audiomem_``, which no new column of a user can have. The short names,
such as ``version``, are free: a table whose user took one has the hidden column by the other name only.
"""

from __future__ import annotations

from enum import Enum

from audiomem_sql.columns.column import fold, refusal

_PREFIX = "audiomem_"


class Hidden(Enum):
    """What a hidden column is for, in the order in which SQLite knows them; the value is its short name.

    SQLite binds the arguments of ``t('word', …)`` in this order.
    """

    TABLE = "table"  #: MATCH and commands; its short name is that of the table
    RANK = "rank"  #: of a row that was found; the argument of a command
    DISTANCE = "distance"
    K = "k"
    VERSION = "version"
    AS_OF = "as_of"
    FILTER = "filter"  #: a condition on the row as text, which comes before the ranking
    RANKING = "ranking"  #: how rows are ranked, as text
    PASSAGE = "passage"  #: where the passage of a long text is that a search found

    @property
    def prefixed(self) -> str:
        """The name that every table has for it."""
        return _PREFIX + self.value


_RESERVED = frozenset(role.prefixed for role in Hidden)


def check_new_name(name: str) -> None:
    """Raise SchemaError for a name that no new column can have. A file may have it, from before that rule."""
    if fold(name) in _RESERVED:
        raise refusal(name, "a hidden column has this name", "Choose another name")
