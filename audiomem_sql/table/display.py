"""What a person sees of a table: its first rows, in notebooks its columns, versions and spectrum, too."""

from __future__ import annotations

import base64
import os
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from audiomem_sql.arrays import U8Array
from audiomem_sql.errors import AudioMemError
from audiomem_sql.table.contract import ReadableTable
from audiomem_sql.table.description import describe
from audiomem_sql.table.first_rows import FirstRows, counted, cut

#: What is shown of each; the rest is counted.
_COLUMNS, _VERSIONS = 40, 5
#: Samples of the picture, in one transform, and from one transform to the next.
_SAMPLES, _WINDOW, _STEP = 1 << 16, 256, 256
#: Decibels from the brightest to the darkest colour.
_RANGE = 60.0
#: Colours from quiet to loud.
_QUIET_TO_LOUD = ((13, 8, 60), (98, 18, 110), (187, 55, 84), (249, 142, 9), (252, 255, 164))


def text_of(table: ReadableTable) -> str:
    """A table as lines of text: what it is, and its first rows where they can be read."""
    schema, snapshot = table.schema, table.snapshot
    rows = f"{len(table)} row{'' if len(table) == 1 else 's'}"
    columns = counted(len(schema), "column")
    line = f"<Table {table.path!r}: {rows}, {columns}, version {snapshot.version}>"
    try:
        return f"{line}\n{FirstRows.of(table).text()}"
    except (AudioMemError, OSError):
        return line


def html_of(table: ReadableTable) -> str:
    """A table as HTML. What comes from the file is escaped; a table whose file is gone is its ``repr``."""
    from html import escape  # 400 KiB of entities

    try:
        facts = describe(table)
    except OSError:
        return f"<pre>{escape(repr(table))}</pre>"
    size, options = facts["size"], facts["options"]
    head = f"{counted(facts['rows'], 'row')}, version {facts['version']}"
    properties = [f"{size['total']:,} bytes in {counted(size['files'], 'file')}"]
    properties += [f"protection {options['protection']}", f"{facts['sound']['seconds']:,.2f} s of sound"]
    columns = [(column["definition"], f"{column['stored']:,}") for column in facts["columns"]]
    versions = [
        (
            version["version"],
            version["time"],
            f"+{version['inserted']:,} −{version['deleted']:,}",
            ", ".join(version["tags"]),
            version["message"] or "",
        )
        for version in reversed(facts["versions"][-_VERSIONS:])
    ]
    parts = [
        f"<b>{escape(facts['table'])}</b>: {escape(head)}<br>",
        f"<small>{escape(facts['file'])}: {escape(', '.join(properties))}</small>",
        _first_rows(table),
        _picture(os.fspath(table.files.base)),
        _rows(("column", "bytes"), columns[:_COLUMNS], len(columns), "column"),
        _rows(("version", "time", "rows", "tags", "message"), versions, len(facts["versions"]), "version"),
    ]
    return f"<div>{''.join(parts)}</div>"


def _first_rows(table: ReadableTable) -> str:
    """The first rows; why there are none where they cannot be read."""
    from html import escape  # 400 KiB of entities

    try:
        first = FirstRows.of(table)
    except (AudioMemError, OSError) as error:
        return f"<br><small>{escape(f'The rows cannot be read: {error}')}</small>"
    shown = _rows(tuple(map(cut, first.names)), first.cells, first.rows, "row")
    hidden = first.columns - len(first.names)
    return f"{shown}<small>and {counted(hidden, 'column')} not shown</small>" if hidden else shown


def _rows(names: tuple[str, ...], rows: Sequence[tuple[Any, ...]], count: int, unit: str) -> str:
    from html import escape  # 400 KiB of entities

    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(str(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    more = f"<small>and {counted(count - len(rows), f'more {unit}')}</small>" if count > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _picture(path: str) -> str:
    """The spectrum of the first samples, time from left to right, high tones on top.

    It is empty where the samples cannot be read.
    """
    import soundfile

    try:
        samples, _ = soundfile.read(path, frames=_SAMPLES, dtype="float32", always_2d=True)
    except (RuntimeError, OSError):
        return ""
    count = (len(samples) - _WINDOW) // _STEP + 1
    if count < 2:
        return ""
    pieces = np.lib.stride_tricks.sliding_window_view(samples[:, 0], _WINDOW)[::_STEP][:count]
    power = np.abs(np.fft.rfft(pieces * np.hanning(_WINDOW).astype("f4"), axis=1)) ** 2
    decibels = 10 * np.log10(np.maximum(power, 1e-12))
    levels = np.clip((decibels - decibels.max()) / _RANGE + 1, 0, 1)
    image = png((levels.T[::-1] * 15).round().astype(np.uint8) * 17)  # sixteen shades: a quarter of the bytes
    data = base64.b64encode(image).decode("ascii")
    style = "display:block;margin:.4em 0;height:96px;width:320px"
    return f'<img alt="spectrum of the first samples" style="{style}" src="data:image/png;base64,{data}">'


def png(levels: U8Array) -> bytes:
    """A picture of levels, uint8 (height, width), as PNG with a palette (ISO/IEC 15948)."""
    anchors = np.array(_QUIET_TO_LOUD, np.float64)
    steps = np.linspace(0, len(anchors) - 1, 256)
    palette = np.stack([np.interp(steps, np.arange(len(anchors)), anchors[:, i]) for i in range(3)], 1)
    height, width = levels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), levels], axis=1)  # each line says: no filter

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            chunk(b"PLTE", palette.round().astype(np.uint8).tobytes()),
            chunk(b"IDAT", zlib.compress(lines.tobytes(), 6)),
            chunk(b"IEND", b""),
        )
    )
