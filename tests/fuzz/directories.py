"""Block directories in two levels under right checksums: groups, pages, and labels of a lost page."""

from __future__ import annotations

import functools
import random
import tempfile
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgpack
import numpy as np
import pyarrow as pa
import zstandard
from samples import SCHEMA, arrow, rows
from sealed import Sealed
from two_levels import directories, two_levels

from audiomem_sql.arrays import I64Array
from audiomem_sql.blocks.directory import BlockDirectory
from audiomem_sql.errors import AudioMemError, DamagedFileError
from audiomem_sql.machine.block_cache import BlockCache
from audiomem_sql.storage.segment.catalog_packing import MALFORMED, unpack_bounded
from audiomem_sql.storage.segment.directory_groups import Groups
from audiomem_sql.storage.segment.directory_page import pack_page, unpack_page
from audiomem_sql.storage.segment.grouped_directory import GroupedDirectory
from audiomem_sql.storage.segment.labels import LABEL, LABEL_MAGIC, Label, Labelled
from audiomem_sql.storage.segment.lost_page import page_of_labels
from audiomem_sql.table.table import Table

COLUMNS = ["id INTEGER PRIMARY KEY", "body TEXT"]
ROWS, BODY = 200, 1
_SEED = 7


@functools.cache
def _sample() -> SimpleNamespace:
    """A table in two levels: its file, its groups and blocks, its rows."""
    rng = random.Random(1)
    values = [{"id": number, "body": rng.randbytes(400).hex()} for number in range(1, ROWS + 1)]
    with tempfile.TemporaryDirectory() as folder, two_levels():
        path = Path(folder) / "t.flac"
        with Table.create(path, COLUMNS, {"profile": "embedded", "protection": "none"}) as table:
            table.append(values)
            table.vacuum(layout="remote")
            blocks = directories(table)[BODY]
            segment = table.snapshot.segments[0]
            labels = segment._stream.labels(0, segment.catalog.data_bytes)
            return SimpleNamespace(
                sealed=Sealed.read(path),
                groups=blocks.groups,
                blocks=blocks.across(0, ROWS),
                type=segment.column_type(BODY),
                labels=[label for label in labels if label.column == BODY and label.kind <= 1],
                data_bytes=segment.catalog.data_bytes,
                rows=values,
            )


def _is_ordered(starts: I64Array, rows: int) -> bool:
    return bool(starts[0] == 0 and starts[-1] == rows and (np.diff(starts) > 0).all())


class _Pages:
    """A data stream of which no page can be read."""

    def __init__(self, labels: list[Label]) -> None:
        self._labels = labels

    def prefetch(self, extents: Any) -> None:
        """Nothing is far away."""

    def extent(self, extent: Any) -> bytes:
        raise DamagedFileError("lost")

    def lost_page(
        self, groups: Groups, group: int, column: int, error: DamagedFileError, *, labels: bool
    ) -> BlockDirectory:
        return page_of_labels(groups, group, column, self._labels if labels else [], error)

    def locate(self, error: DamagedFileError, extent: Any) -> None:
        """There is no file."""


def parse_groups(data: bytes) -> None:
    """``data`` is the map of the groups, whose pages are lost."""
    sample = _sample()
    try:
        content = unpack_bounded(data)
        groups = Groups.unpack(content, sample.type, ROWS, sample.data_bytes)
    except MALFORMED as error:  # which the catalog's reader expects
        raise DamagedFileError(str(error)) from None
    assert Groups.unpack(groups.pack(), sample.type, ROWS, sample.data_bytes).pack() == groups.pack()
    assert groups.blocks * LABEL.size <= sample.data_bytes
    directory = GroupedDirectory(groups, sample.type)
    directory.bind(_Pages(sample.labels), BODY)
    for row in (0, 1, ROWS // 2, ROWS - 1):
        for place, length in directory.expected([row]):
            assert 0 <= place <= place + length <= sample.data_bytes
        assert directory.across(row, row + 1).find(row) in range(groups.blocks)
    assert _is_ordered(directory.across(0, ROWS).starts, ROWS)


def group_seeds() -> list[bytes]:
    return [msgpack.packb(_sample().groups.pack())]


@functools.cache
def _pages() -> list[tuple[bytes, int, Any, int]]:
    """Pages of columns of every type, with the number of their blocks, their types and rows."""
    with (
        tempfile.TemporaryDirectory() as folder,
        two_levels(),
        Table.create(Path(folder) / "t.flac", SCHEMA, {"profile": "embedded"}) as table,
    ):
        table.append(arrow(rows(600, 3)))
        table.vacuum(layout="remote")
        types = [column.type for column in SCHEMA.columns]
        whole = {number: blocks.across(0, 600) for number, blocks in directories(table).items()}
        return [
            (pack_page(blocks, 0, blocks.count), blocks.count, types[number], 600)
            for number, blocks in whole.items()
        ]


def parse_page(data: bytes) -> None:
    """``data``: which type, then a page."""
    _, count, column_type, page_rows = _pages()[data[0] % len(_pages()) if data else 0]
    page = unpack_page(data[1:], count, column_type, page_rows)
    assert _is_ordered(page.starts, page_rows)
    assert (np.diff(page.offsets) >= page.stored[:-1]).all()
    assert pack_page(page, 0, count) == data[1:]
    Groups.of(page, count).says(0, page)


def page_seeds() -> list[bytes]:
    return [bytes([number]) + page for number, (page, *_) in enumerate(_pages())]


def parse_labels(data: bytes) -> None:
    """``data``: which group, then labels, which get right CRCs; any give a page."""
    sample = _sample()
    group = data[0] % len(sample.groups) if data else 0
    found = []
    for start in range(1, len(data) - LABEL.size + 1, LABEL.size):
        _, kind, *fields, _ = LABEL.unpack_from(data, start)
        encoding, column, place, first, count, nulls, stored, raw = fields
        if kind <= max(Labelled):
            found.append(Label(Labelled(kind), column, place, stored, raw, first, count, nulls, encoding))
    page = page_of_labels(sample.groups, group, BODY, found, DamagedFileError("lost"))
    _check_page(sample.groups, group, page)


def _check_page(groups: Groups, group: int, page: BlockDirectory) -> None:
    first, stop = groups.numbers(group)
    assert _is_ordered(page.starts, int(groups.zones.rows[group]))
    assert len(page.offsets) == stop - first == len(page.zones)
    assert ((page.offsets >= 0) & (page.offsets + page.stored <= groups.lengths[group])).all()
    assert (np.diff(page.starts) == page.zones.rows).all()
    assert (page.zones.nulls <= page.zones.rows).all()
    assert page.lost.keys() <= page.of_labels == {*range(stop - first)}


def label_seeds() -> list[bytes]:
    packed = b"".join(label.pack(_SEED) for label in _sample().labels)
    return [bytes([group]) + packed for group in range(3)]


def parse_table(data: bytes) -> None:
    """``data``: the groups of a column and one of its pages, in a file: its rows, or an error of ours.

    The page stands there twice. Where ``labels`` is not true, no label is left.
    """
    sample, sealed = _sample(), deepcopy(_sample().sealed)
    try:
        content = unpack_bounded(data)
        groups, page, labels = content["groups"], content["page"], content["labels"]
        if not (isinstance(groups, dict) and isinstance(page, bytes)):
            return
    except MALFORMED:
        return
    if labels is not True:
        sealed.data = sealed.data.replace(LABEL_MAGIC, bytes(4))
    packed = zstandard.ZstdCompressor().compress(page)
    for name in ("pages", "copies"):
        steps = groups.get(name)
        if isinstance(steps, bytes) and len(steps) == 8 * len(sample.groups):
            places = np.cumsum(np.frombuffer(steps, "<i8"))
            places[1], sealed.data = len(sealed.data), sealed.data + packed
            groups[name] = np.diff(places, prepend=0).tobytes()
    if isinstance(groups.get("pages_stored"), bytes) and len(groups["pages_stored"]) == 4 * len(
        sample.groups
    ):
        sizes = np.frombuffer(groups["pages_stored"], "<u4").copy()
        sizes[1] = len(packed)
        groups["pages_stored"] = sizes.tobytes()
    sealed.catalog["data_bytes"] = len(sealed.data)
    sealed.catalog["columns"][BODY]["blocks"] = {"groups": groups}
    with tempfile.NamedTemporaryFile(suffix=".flac") as file:
        sealed.write(file.name)
        with Table(file.name, cache=BlockCache(0)) as table:
            for number in (1, ROWS // 3, ROWS):
                _same(lambda number=number: table.get(number), sample.rows[number - 1])
            assert pa.Table.from_batches(table.scan()).to_pylist() == sample.rows


def _same(read: Any, expected: Any) -> None:
    try:
        found = read()
    except AudioMemError:
        return
    assert found == expected


def table_seeds() -> list[bytes]:
    sample = _sample()
    page = pack_page(sample.blocks, *sample.groups.numbers(1))
    content = {"groups": sample.groups.pack(), "page": page}
    return [msgpack.packb(content | {"labels": labels}) for labels in (True, False)]


#: By name: the function of bytes, and what makes inputs that it accepts.
DIRECTORIES = {
    "groups of a directory": (parse_groups, group_seeds),
    "page of a directory": (parse_page, page_seeds),
    "labels of a lost page": (parse_labels, label_seeds),
    "table in two levels": (parse_table, table_seeds),
}
