"""What users wrote beside their data: the metadata of Arrow schemas and fields, and so of pandas' frames.

It is kept as it is, beside the columns, and given back with them. Keys of this package are not among it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from audiomem_sql.errors import LimitError

#: What this package writes there begins so.
OURS = b"audiomem:"
#: How a type that Arrow itself does not know is called: it belongs to how its values are stored.
_EXTENSION = b"ARROW:extension:"
#: Where pandas' own metadata stand, in the schema.
PANDAS = b"pandas"
#: Most bytes of the keys and values of a schema, and of a field.
MAX_METADATA = 1 << 20


def kept(metadata: Mapping[bytes, bytes] | None, place: str) -> str | None:
    """The user's metadata as a text; None if there are none. LimitError if they are too large.

    place: whose they are, in messages.
    """
    own = {key: value for key, value in (metadata or {}).items() if not key.startswith(OURS)}
    if (size := sum(len(key) + len(value) for key, value in own.items())) > MAX_METADATA:
        largest = max(own, key=lambda key: len(own[key]))
        raise LimitError(
            f"the metadata are {size:,} bytes, and at most {MAX_METADATA:,} are kept; "
            f"the largest is {largest.decode(errors='replace')[:80]!r}",
            place=place,
            remedy="Keep large things in a column, or in a file of their own",
        )
    if not own:
        return None
    return json.dumps({key.decode("latin-1"): value.decode("latin-1") for key, value in own.items()})


def kept_of_field(item: Any, name: str, stored: Any) -> str | None:
    """:func:`kept` of an Arrow field, whose values come back as the Arrow type ``stored``.

    The name of an extension is left out where that is another type.
    """
    metadata = item.metadata or {}
    if item.type != stored:
        metadata = {key: value for key, value in metadata.items() if not key.startswith(_EXTENSION)}
    return kept(metadata, f"column {name}")


def given_back(text: str | None) -> dict[bytes, bytes]:
    """The inverse; empty for what is not understood, whoever wrote it."""
    try:
        fields = json.loads(text or "{}")
        own = {key.encode("latin-1"): value.encode("latin-1") for key, value in fields.items()}
    except (ValueError, AttributeError, RecursionError):
        return {}
    return {key: value for key, value in own.items() if not key.startswith(OURS)}


def with_renamed(text: str | None, name: str, new: str) -> str | None:
    """The metadata of a schema of which a column is called ``new`` from now on: pandas' name it."""
    own = given_back(text)
    try:
        told = json.loads(own[PANDAS])
        told["index_columns"] = [new if each == name else each for each in told["index_columns"]]
        for column in told["columns"]:
            if column["field_name"] == name:
                is_named = column["name"] == name
                column |= {"field_name": new} | ({"name": new} if is_named else {})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return text
    return kept(own | {PANDAS: json.dumps(told).encode()}, "the table")
