"""What a commit may say of itself: refused before anything is written, because no reader takes more.

A commit in the log becomes a part of a segment later. What does not fit into a catalog then is told now.
"""

from __future__ import annotations

from collections.abc import Iterable

from audiomem_sql.columns.column import MAX_COLUMN_ID
from audiomem_sql.columns.schema import Schema
from audiomem_sql.errors import DataTypeError, LimitError
from audiomem_sql.storage.segment import MAX_MIGRATIONS, check_version_count
from audiomem_sql.versions import Snapshot

#: Bytes of a message, and of the name of a tag.
MAX_MESSAGE_BYTES = 1 << 16
MAX_TAG_BYTES = 1 << 10
#: Bytes of the messages, tags and changes of columns of all versions that are kept: half of a catalog.
MAX_HISTORY_BYTES = 1 << 27
_FEWER = "Vacuum it and keep fewer versions: `audiomem vacuum --retain 1000`."


def check_history(
    snapshot: Snapshot, message: str | None, *, tags: Iterable[str] = (), change: str = ""
) -> None:
    """LimitError if there is no room for one more version on top of ``snapshot`` that says this of itself.

    It counts those of all segments together: a vacuum makes one of them. DataTypeError for a message or a tag
    that is no text. change: of the columns.
    """
    try:
        check_version_count(snapshot.kept)
        size = 0 if message is None else _size(message, "the message of a commit", MAX_MESSAGE_BYTES)
        size += sum(_size(name, "the name of a version", MAX_TAG_BYTES) for name in tags)
        if snapshot.history_bytes + size + len(change.encode()) > MAX_HISTORY_BYTES:
            raise LimitError(
                f"messages, tags and changes of columns of {snapshot.kept:,} versions have more than "
                f"{MAX_HISTORY_BYTES:,} bytes",
                remedy=_FEWER,
            )
        if change and len(snapshot.migrations) >= MAX_MIGRATIONS:
            raise LimitError(
                f"the columns were changed {len(snapshot.migrations):,} times, which is the limit",
                remedy="Write its rows to a new table.",
            )
    except (LimitError, DataTypeError) as error:
        error.at(file=snapshot.path)
        raise


def check_ids(schema: Schema, path: str) -> None:
    """LimitError if a column of ``schema`` has an id beyond the last one."""
    if max(schema.ids, default=0) > MAX_COLUMN_ID:
        raise LimitError(
            f"there is no id for one more column: {MAX_COLUMN_ID:,} were used",
            file=path,
            remedy="Write its rows to a new table.",
        )


def shortened(message: str) -> str:
    """A message that was not chosen by the user, cut to what fits."""
    if len(message.encode(errors="replace")) <= MAX_MESSAGE_BYTES:
        return message
    return message[: MAX_MESSAGE_BYTES // 8] + "…"


def _size(text: object, what: str, most: int) -> int:
    """Bytes of ``text`` as UTF-8."""
    if not isinstance(text, str):
        raise DataTypeError(f"{what} is a text, not {type(text).__name__}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise DataTypeError(f"{what} is not valid Unicode: {text[:50]!a}") from None
    if size > most:
        raise LimitError(f"{what} has {size:,} bytes, the limit is {most:,}", remedy="Shorten it.")
    return size
