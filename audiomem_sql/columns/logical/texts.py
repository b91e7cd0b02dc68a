"""What SQLite shows of logical types: texts, made for whole arrays.

Exact numbers have all digits of their scale, dates and times are as DuckDB writes them, a time zone is
``+00:00``, nested values are JSON.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from audiomem_sql.arrays import I64Array
from audiomem_sql.columns.logical.fixed import to_stored
from audiomem_sql.columns.logical.image_arrays import image_array
from audiomem_sql.columns.logical.nested import decode_nested
from audiomem_sql.columns.logical.node import ITEMS, Node
from audiomem_sql.columns.logical.parsing import PER_SECOND, bignum_value, bit_text, clock_text, timetz_text
from audiomem_sql.columns.views import integers, strings, valid
from audiomem_sql.errors import DamagedFileError


def sql_images(node: Node, array: Any) -> list[Any]:
    """The values that SQL sees of a stored array, None for NULL.

    DamagedFileError, without a place, for what is no stored form.
    """
    try:
        return _images(node, array)
    except (ValueError, IndexError, OverflowError, pa.ArrowException) as error:
        raise DamagedFileError(f"a block of {node!s:.80} holds what is none: {error}") from error


def _images(node: Node, array: Any) -> list[Any]:
    texts = image_array(node, array)
    if texts is not None:
        return _listed(texts)
    there = valid(array)
    if node.is_integer:
        images = _integer_images(node, np.where(there, integers(array), 0))
        return (
            images
            if there.all()
            else [image if here else None for image, here in zip(images, there.tolist(), strict=True)]
        )
    if node.name == "ENUM":
        return list(array.to_pylist())
    if node.is_nested:
        return json_texts(node, decode_nested(node, array))
    show = _OF_BYTES.get(node.name)
    if show is not None:
        return [None if value is None else show(value) for value in array.to_pylist()]
    return [None if value is None else _wide(node, value) for value in array.to_pylist()]


def sql_array(node: Node, array: Any) -> Any:
    """The same as an array of Arrow."""
    texts = array if node.name == "ENUM" else image_array(node, array)
    if texts is not None:
        return texts
    return pa.array(sql_images(node, array), pa.string())


def _listed(texts: Any) -> list[str | None]:
    """The texts of an array, of ASCII."""
    found = strings(texts)
    text = found.data.tobytes().decode("ascii")
    starts, ends = found.starts.tolist(), found.ends.tolist()
    if not texts.null_count:
        return [text[start:end] for start, end in zip(starts, ends, strict=True)]
    rows = zip(starts, ends, valid(texts).tolist(), strict=True)
    return [text[start:end] if here else None for start, end, here in rows]


def _wide(node: Node, stored: bytes) -> str:
    """A number of more than 64 bits."""
    if len(stored) != node.bytes:
        raise ValueError(f"a {node} has {node.bytes} bytes")
    number = int.from_bytes(stored, "big")
    if node.name != "UHUGEINT":
        number -= 1 << (8 * node.bytes - 1)
    scale = node.numbers[1] if node.name == "DECIMAL" else 0
    if not scale:
        return str(number)
    digits = str(abs(number)).zfill(scale + 1)
    return f"{'-' if number < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _integer_images(node: Node, numbers: I64Array) -> list[Any]:
    """Of those that ``image_array`` makes none of."""
    if node.name == "UBIGINT":
        return list(map(str, (numbers.view(np.uint64) ^ np.uint64(1 << 63)).tolist()))
    if node.name == "DATE":
        return list(map(date_text, numbers.tolist()))
    if node.name == "TIMETZ":
        return list(map(timetz_text, numbers.tolist()))
    per_second = PER_SECOND[node.unit]
    if node.name.startswith("DURATION"):
        scale = 10**9 // per_second
        return [interval_text(0, 0, number * scale) for number in numbers.tolist()]
    texts = [moment_text(number, per_second) for number in numbers.tolist()]
    return [zoned_text(text) for text in texts] if node.name.startswith("TIMESTAMPTZ") else texts


def date_text(days: int) -> str:
    """YYYY-MM-DD, with (BC) for years before the first."""
    if abs(days) == 2**31 - 1:
        return "infinity" if days > 0 else "-infinity"
    cycles, inside = divmod(days + 719_162, 146_097)
    day = date.fromordinal(inside + 1)
    year = day.year + 400 * cycles
    return f"{year if year > 0 else 1 - year:04d}-{day.month:02d}-{day.day:02d}{'' if year > 0 else ' (BC)'}"


def moment_text(number: int, per_second: int) -> str:
    """YYYY-MM-DD HH:MM:SS, with what is behind the second less its zeros; nanoseconds have no infinity."""
    if abs(number) == (1 << 63) - 1 and per_second != 10**9:
        return "infinity" if number > 0 else "-infinity"
    days, clock = divmod(number, 86_400 * per_second)
    day = date_text(days)
    text = clock_text(clock, per_second)
    return f"{day[:-5]} {text} (BC)" if day.endswith("(BC)") else f"{day} {text}"


def zoned_text(text: str) -> str:
    """The text of a moment, with +00:00."""
    if text.endswith(" (BC)"):
        return f"{text[:-5]}+00:00 (BC)"
    return text if text.endswith("infinity") else f"{text}+00:00"


def interval_text(months: int, days: int, nanos: int) -> str:
    """As DuckDB writes it: 1 year 2 months 3 days 00:00:04.5."""
    parts = []
    years, months = int(months / 12), int(math.fmod(months, 12))
    for amount, unit in ((years, "year"), (months, "month"), (days, "day")):
        if amount:
            parts.append(f"{amount} {unit}{'' if abs(amount) == 1 else 's'}")
    if nanos or not parts:
        seconds, rest = divmod(abs(nanos), 10**9)
        text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        text += f".{rest:09d}".rstrip("0") if rest else ""
        parts.append(f"-{text}" if nanos < 0 else text)
    return " ".join(parts)


def _interval(stored: bytes) -> str:
    months, days, nanos = (
        int.from_bytes(stored[start:end], "big") - (1 << (8 * (end - start) - 1))
        for start, end in ((16, 20), (20, 24), (24, 32))
    )
    return interval_text(months, days, nanos)


_OF_BYTES: dict[str, Callable[[bytes], str]] = {
    "UUID": lambda stored: str(uuid.UUID(bytes=stored)),
    "BIT": bit_text,
    "BIGNUM": lambda stored: str(bignum_value(stored)),
    "INTERVAL": _interval,
}


def json_texts(node: Node, array: Any) -> list[str | None]:
    """Nested values, an array of ``arrow_of(node)``, as JSON.

    A map is an object if its keys are texts, each once, else a list of pairs. Exact numbers, dates, times and
    bytes are texts, as is what is no finite number. JSON stands there as it was written.
    """
    values = _plain(node, array).to_pylist()
    return [None if value is None else _json_text(node, value) for value in values]


def _plain(node: Node, array: Any) -> Any:
    """The same with items that JSON has, or that are texts already."""
    if isinstance(array, pa.ExtensionArray) and node.name == "JSON":
        return array.storage
    if not node.is_nested:
        if node.name == "BLOB":
            return pa.array(
                [None if value is None else value.hex() for value in array.to_pylist()], pa.string()
            )
        if node.name in ITEMS and node.name != "TIMESTAMP":
            return array
        if node.name == "TIMESTAMP":
            micros = np.where(valid(array), array.view(pa.int64()).fill_null(0).to_numpy(), 0)
            moments: list[Any] = [moment_text(number, 10**6) for number in micros.tolist()]
            return pa.array(moments, pa.string(), mask=~valid(array))
        if node.name == "UBIGINT":
            return array
        images = sql_images(node, to_stored(node, array))
        return pa.array(images, pa.string())
    mask = pa.array(~valid(array))
    if node.name == "STRUCT":
        items = [_plain(child, array.field(number)) for number, child in enumerate(node.children)]
        return pa.StructArray.from_arrays(items, [str(number) for number in range(len(items))], mask=mask)
    if node.name == "ARRAY":
        items = _plain(node.children[0], array.values)
        return pa.FixedSizeListArray.from_arrays(items, node.numbers[0], mask=mask)
    offsets = pa.array(np.frombuffer(array.buffers()[1], np.int32, len(array) + 1, 4 * array.offset))
    if node.name == "LIST":
        return pa.ListArray.from_arrays(offsets, _plain(node.children[0], array.values), mask=mask)
    key, item = node.children
    pairs = pa.StructArray.from_arrays([_plain(key, array.keys), _plain(item, array.items)], ["0", "1"])
    return pa.ListArray.from_arrays(offsets, pairs, mask=mask)


def _json_text(node: Node, value: Any) -> str:
    """One value, with the names of its fields."""
    if value is None:
        return "null"
    if node.name in ("LIST", "ARRAY"):
        return f"[{','.join([_json_text(node.children[0], item) for item in value])}]"
    if node.name == "STRUCT":
        fields = enumerate(zip(node.words, node.children, strict=True))
        parts = [
            f"{_dumps(word)}:{_json_text(child, value[str(number)])}" for number, (word, child) in fields
        ]
        return "{" + ",".join(parts) + "}"
    if node.name == "MAP":
        key, item = node.children
        pairs = [(_json_text(key, pair["0"]), _json_text(item, pair["1"])) for pair in value]
        if all(left[0] == '"' for left, _ in pairs) and len({left for left, _ in pairs}) == len(pairs):
            return "{" + ",".join([f"{left}:{right}" for left, right in pairs]) + "}"
        return f"[{','.join([f'[{left},{right}]' for left, right in pairs])}]"
    if node.name == "JSON":
        return str(value)
    return _dumps(str(value) if isinstance(value, float) and not math.isfinite(value) else value)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
