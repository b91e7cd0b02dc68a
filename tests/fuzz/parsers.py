"""Each parser of bytes or text of strangers, alone: it must give a result or one of our errors for any input.

``PARSERS`` holds for each a function of bytes, and inputs that it accepts, to begin from. Checksums and
compression are put around an input where they would stop a fuzzer at the door.
"""

from __future__ import annotations

import functools
import struct
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import zstandard
from remote.commits.test_manifest_bytes import manifest as manifest_of_tests
from samples import COLUMNS, SCHEMA, arrow, create, rows
from sealed import Sealed

from audiomem_sql.audio import PROFILES, open_pages, rescan
from audiomem_sql.audio.flac.frames import parse_frame_header
from audiomem_sql.blocks.encoding import Encoding, decode, encode
from audiomem_sql.columns.schema import parse_columns
from audiomem_sql.errors import AudioMemError
from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.index_writing import EncodedIndex, encode_index
from audiomem_sql.indexes.words.encoder import encode_keywords
from audiomem_sql.indexes.words.fts_query import parse_query
from audiomem_sql.indexes.words.index import KeywordIndex
from audiomem_sql.indexes.words.matching import match
from audiomem_sql.predicates.where import parse_where
from audiomem_sql.protection.crc32c import crc32c
from audiomem_sql.remote.commits.manifest_bytes import (
    HEADER as MANIFEST_HEADER,
)
from audiomem_sql.remote.commits.manifest_bytes import (
    MANIFEST_MAGIC,
    PAGE_MAGIC,
    pack_manifest,
    pack_page,
    unpack_manifest,
    unpack_page,
)
from audiomem_sql.scan.plan import parse_plan
from audiomem_sql.storage.log.reader import read_log
from audiomem_sql.storage.log.record import LogRecord, pack_commits, unpack_commits
from audiomem_sql.storage.pages.header import PageHeader
from audiomem_sql.storage.segment import UnlistedSegment
from audiomem_sql.storage.segment.catalog_packing import (
    CATALOG_HEADER,
    CATALOG_MAGIC,
    pack_catalog,
    unpack_catalog,
)
from audiomem_sql.storage.segment.labels import (
    LABEL,
    LABEL_MAGIC,
    SIGNPOST,
    SIGNPOST_MAGIC,
    pack_map,
    unpack_map,
)
from audiomem_sql.table.table import Table
from audiomem_sql.upkeep.compaction import Retention
from audiomem_sql.versions import pack_sources, unpack_sources
from fuzz.directories import DIRECTORIES

_TYPES = [column.type for column in SCHEMA.columns]
_BLOCK = struct.Struct("<BBHH")
_PARTS = struct.Struct("<I")
_VECTORS, _WIDTH = 300, 8


@dataclass(frozen=True)
class Parser:
    """parse: raises nothing but our errors. seeds: makes inputs that it accepts."""

    parse: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]


def run(parser: Parser, data: bytes) -> bool:
    """Whether ``data`` was accepted; any error but ours goes through."""
    try:
        parser.parse(data)
    except AudioMemError:
        return False
    return True


# -- files


@contextmanager
def _file(data: bytes) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(suffix=".flac") as file:
        file.write(data)
        file.flush()
        yield Path(file.name)


@functools.cache
def _table() -> dict[str, bytes]:
    """A small table: the bytes of its file when it was closed, and of the log of a later session; its id."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.flac"
        with create(path, 40, profile="embedded") as table:
            table.checkpoint()
            closed = path.read_bytes()
            table.append(arrow(rows(3, 1, 1000)))
            table.append([], replace="id = 7")
            log = Path(f"{path}-wal").read_bytes()
            return {
                "base": closed,
                "log": log,
                "catalog": pack_catalog(table.snapshot.segments[0].catalog),
                "id": table.snapshot.segments[0].catalog.table_id,
            }


def _block_size(start: bytes) -> int:
    """What the header of a page says, or a size that is common."""
    header = PageHeader.unpack(start)
    return PROFILES["embedded"].block_size if header is None else header.block_size


def _frames(data: bytes) -> None:
    """The container: found by arithmetic, and looked for."""
    parse_frame_header(data[:64])
    with _file(data) as path:
        try:
            pages = open_pages(path, _block_size)
        except AudioMemError:
            pages = rescan(path, PROFILES["embedded"])
        try:
            count = min(pages.present, 64)
            pages.read_checked(0, count)
            for page in range(min(count, 4)):
                pages.alternatives(page)
        finally:
            pages.close()


def _opened(data: bytes) -> None:
    """A whole table, every row of it."""
    with _file(data) as path, Table(path) as table:
        for batch in islice(table.scan(), 20):
            batch.validate(full=True)


@functools.cache
def _sealed() -> Sealed:
    with _file(_table()["base"]) as path:
        return Sealed.read(path)


def _labelled(data: bytes) -> None:
    """``data`` is the data stream of a file without a catalog; labels and signposts get right CRCs."""
    stream, seed = bytearray(data), crc32c(_sealed().segment_id)
    for magic, size in ((LABEL_MAGIC, LABEL.size), (SIGNPOST_MAGIC, SIGNPOST.size)):
        at = stream.find(magic)
        while 0 <= at <= len(stream) - size:
            end = at + size - 4
            stream[end : end + 4] = crc32c(bytes(stream[at:end]), seed).to_bytes(4, "little")
            at = stream.find(magic, at + 1)
    with _file(b"") as path:
        replace(_sealed(), data=stream).write_blob(path, bytes(100))
        segment = UnlistedSegment.open(str(path))
        segment.close()
        with warnings.catch_warnings(action="ignore"), Table(path, salvage=True, on_damage="null") as table:
            for batch in islice(table.scan(), 20):
                batch.validate(full=True)


def _labelled_seeds() -> list[bytes]:
    return [bytes(_sealed().data)]


def _signpost(data: bytes) -> None:
    """``data`` is the map of a signpost before compression."""
    unpack_map(zstandard.ZstdCompressor(level=1).compress(data))


def _signpost_seeds() -> list[bytes]:
    return [zstandard.ZstdDecompressor().decompress(pack_map(bytes(16), SCHEMA, {"profile": "embedded"}))]


def _log(data: bytes) -> None:
    with _file(data) as path:
        read_log(str(path), _table()["id"])


# -- parts of a segment


def _catalog(data: bytes) -> None:
    """``data`` is the MessagePack map; size, compression and CRC around it are right."""
    stored = zstandard.ZstdCompressor(level=1).compress(data)
    head = CATALOG_HEADER.pack(CATALOG_MAGIC, len(stored), len(data), crc32c(stored))
    again = unpack_catalog(head + stored)
    assert pack_catalog(unpack_catalog(pack_catalog(again))) == pack_catalog(again)


def _catalog_seeds() -> list[bytes]:
    whole = _table()["catalog"]
    return [zstandard.ZstdDecompressor().decompress(whole[CATALOG_HEADER.size :])]


def _sealed_manifest(magic: bytes, data: bytes) -> bytes:
    stored = zstandard.ZstdCompressor(level=1).compress(data)
    whole = MANIFEST_HEADER.pack(1, magic, len(data), len(stored)) + stored
    return whole + crc32c(whole).to_bytes(4, "little")


def _manifest(data: bytes) -> None:
    """``data`` is the MessagePack map."""
    paged = manifest_of_tests().segments
    read = unpack_manifest(_sealed_manifest(MANIFEST_MAGIC, data), lambda page: paged[: page.count])
    assert unpack_manifest(pack_manifest(read), lambda page: paged[: page.count]) == read


def _page(data: bytes) -> None:
    read = unpack_page(_sealed_manifest(PAGE_MAGIC, data))
    assert unpack_page(pack_page(read)) == read


def _unsealed(whole: bytes) -> list[bytes]:
    return [zstandard.ZstdDecompressor().decompress(whole[MANIFEST_HEADER.size : -4])]


def _block(data: bytes) -> None:
    """``data``: encoding, type, rows and NULLs, then the block."""
    if len(data) < _BLOCK.size:
        return
    encoding, kind, count, nulls = _BLOCK.unpack_from(data)
    column_type = _TYPES[kind % len(_TYPES)]
    array = decode(encoding, data[_BLOCK.size :], count, nulls, column_type)
    array.validate(full=True)
    assert (len(array), array.null_count) == (count, nulls)


def _block_seeds() -> list[bytes]:
    seeds = []
    table = arrow(rows(60))
    for number, column_type in enumerate(_TYPES):
        for part in (table.column(number), table.column(number).drop_null()):
            array = part.combine_chunks()
            encoding, raw = encode(array, column_type)
            seeds.append(_BLOCK.pack(encoding, number, len(array), array.null_count) + bytes(raw))
    assert {seed[0] for seed in seeds} <= {int(encoding) for encoding in Encoding}
    return seeds


def _record_seeds() -> list[bytes]:
    one = LogRecord(
        7, 1_700_000_000_000_000, [(1, (1, None, 0.5, "a", b"\0", True))], [3, 2**62], "why", None, {"tag": 7}
    )
    return [pack_commits([one]), pack_commits([one, LogRecord(8, 1_700_000_000_000_001)])]


def _parted(data: bytes) -> list[bytes]:
    """The parts that ``_joined`` put together."""
    parts = []
    while len(data) >= _PARTS.size and len(parts) < 32:
        end = _PARTS.size + min(_PARTS.unpack_from(data)[0], len(data))
        parts.append(data[_PARTS.size : end])
        data = data[end:]
    return parts or [b""]


def _joined(parts: list[bytes]) -> bytes:
    return b"".join(_PARTS.pack(len(part)) + part for part in parts)


_TEXTS = [
    "a frame is a page",
    "pages and cells",
    "",
    None,
    "Bänder, frames; cells!",
    "frame frame frame",
] * 20


def _keywords(data: bytes) -> None:
    header, *pieces = _parted(data)

    def piece(number: int) -> bytes:
        return pieces[number] if number < len(pieces) else b""

    texts = pa.array(_TEXTS, pa.string())
    index = KeywordIndex(header, piece, len(_TEXTS), lambda places: texts.take(pa.array(places)))
    for query in ("frame", "fra* NOT cells", '"pages and cells"', "NEAR(frames cells, 3)"):
        match(parse_query(query, ["body"]), {"body": index})


def _keyword_seeds() -> list[bytes]:
    found = []
    for positions in (False, True):
        made = encode_keywords(pa.array(_TEXTS, pa.string()), positions=positions)
        found.append(_joined([made.header, *made.pieces]))
    return found


@functools.cache
def _index() -> EncodedIndex:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(_VECTORS, _WIDTH)).astype(np.float32)
    return encode_index(vectors, rng.random(_VECTORS) < 0.9, None, embed=True)


def _vectors(data: bytes) -> None:
    header, *lists = _parted(data)

    def read(number: int) -> bytes:
        return lists[number] if number < len(lists) else b""

    index = VectorIndex(header, _VECTORS, read)
    index.vectors(np.arange(5))
    index.search(np.ones((1, index.dimensions), np.float32), 5, None)


# -- text


def _text(parse: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: parse(data.decode("utf-8", "replace"))


def _encoded(*texts: str) -> Callable[[], list[bytes]]:
    return lambda: [text.encode() for text in texts]


PARSERS: dict[str, Parser] = {
    "frames": Parser(_frames, lambda: [_table()["base"]]),
    "table": Parser(_opened, lambda: [_table()["base"]]),
    "labels": Parser(_labelled, _labelled_seeds),
    "signpost": Parser(_signpost, _signpost_seeds),
    "page header": Parser(PageHeader.unpack, lambda: [bytes(96)]),
    "log": Parser(_log, lambda: [_table()["log"]]),
    "record": Parser(unpack_commits, _record_seeds),
    "catalog": Parser(_catalog, _catalog_seeds),
    "manifest": Parser(_manifest, lambda: _unsealed(pack_manifest(manifest_of_tests()))),
    "page of a manifest": Parser(_page, lambda: _unsealed(pack_page(manifest_of_tests().segments))),
    "block": Parser(_block, _block_seeds),
    "sources": Parser(unpack_sources, lambda: [pack_sources({"a.md": bytes(16), "b/ö.md": bytes(16)})]),
    "keywords": Parser(_keywords, _keyword_seeds),
    "vectors": Parser(_vectors, lambda: [_joined([_index().header, *_index().lists])]),
    "codec of vectors": Parser(VectorCodec.from_bytes, lambda: [_index().codec.to_bytes()]),
    "columns": Parser(
        _text(lambda text: parse_columns(text.split("\n"))),
        _encoded(
            "\n".join(COLUMNS),
            "a TEXT DEFAULT 'x' CHECK (length(a) < 3) COLLATE NOCASE\nPRIMARY KEY (a)",
        ),
    ),
    "where": Parser(
        _text(lambda text: parse_where(text, SCHEMA.names)),
        _encoded(
            "id = 3 AND (n > 1.5 OR title LIKE 'a%') AND raw IS NOT NULL",
            "code IN ('a', x'00', -1e9, NULL) AND NOT ok BETWEEN 1 AND 2",
        ),
    ),
    "words": Parser(
        _text(lambda text: parse_query(text, ["title", "body"])),
        _encoded('title: a + "b c" * NOT (NEAR(d e, 3) OR ^f)', "- {title body} : x AND y"),
    ),
    "plan": Parser(
        _text(lambda text: parse_plan(text, SCHEMA)),
        _encoded(
            "WHERE n > ?1 AND title LIKE ?2 READ id, title ORDER rowid DESC "
            "OFFSET ?3 VERSION ?4 FILTER ?7 MATCH vec ?5 RANKING ?8 K ?6 BEFORE OTHER CONDITIONS"
        ),
    ),
    **{name: Parser(*functions) for name, functions in DIRECTORIES.items()},
    "retention": Parser(_text(Retention.parse), _encoded("30d", "all", "17", "12h")),
}
