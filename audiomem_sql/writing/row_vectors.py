"""The vectors of the rows of a transaction: made for new texts, kept where a text is as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from audiomem_sql.columns.batch import Row
from audiomem_sql.columns.schema import Schema

if TYPE_CHECKING:
    from audiomem_sql.search import Embedded, Known

#: Makes the vectors of texts. What was there before each, or None; whether long ones are cut into passages.
Embed: TypeAlias = "Callable[[list[str], Sequence[Known | None], bool], Sequence[Embedded]]"


def rows_with_vectors(
    schema: Schema,
    rows: Mapping[int, Row],
    before: Callable[[int], Row | None],
    embed: Embed,
) -> Iterator[tuple[int, Row]]:
    """The rows that lack vectors, by rowid, with vectors.

    A row whose text is as it was keeps those that it had; of a text that was changed, the passages that it
    had already keep theirs.

    before: the row that a rowid had, None if there was none.
    """
    made: dict[int, Row] = {}
    for source, target in schema.vectors.items():
        passages = schema.passages.get(target)
        missing: dict[int, tuple[str, Known | None]] = {}
        for rowid, unchanged in rows.items():
            row = made.get(rowid, unchanged)
            text = row[source]
            if not isinstance(text, str) or row[target] is not None:
                continue
            known = _known(before(rowid), source, target, passages)
            if known is not None and known.text == text:
                made[rowid] = _filled(row, target, passages, (known.vector, known.passages))
            else:
                missing[rowid] = text, known
        texts = [text for text, _ in missing.values()]
        found = [known if passages is not None else None for _, known in missing.values()]
        for rowid, embedded in zip(
            missing, embed(texts, found, passages is not None) if missing else (), strict=True
        ):
            made[rowid] = _filled(made.get(rowid, rows[rowid]), target, passages, embedded)
    yield from made.items()


def _known(row: Row | None, source: int, target: int, passages: int | None) -> Known | None:
    if row is None:
        return None
    text, vector = row[source], row[target]
    further = None if passages is None else row[passages]
    if not isinstance(text, str) or not isinstance(vector, bytes):
        return None
    from audiomem_sql.search import Known

    return Known(text, vector, further if isinstance(further, bytes) else None)


def _filled(row: Row, target: int, passages: int | None, embedded: Embedded) -> Row:
    values = list(row)
    values[target] = embedded[0]
    if passages is not None:
        values[passages] = embedded[1]
    return tuple(values)
