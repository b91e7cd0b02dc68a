"""The bytes of an index, as docs/VECTORS.md says them, and one written before, which must stay readable."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from audiomem_sql.columns.vector_index import L2, VectorIndexOptions
from audiomem_sql.errors import DamagedFileError, FormatVersionError
from audiomem_sql.indexes.vectors import codec, index_format, passage_index
from audiomem_sql.indexes.vectors.codec import VectorCodec
from audiomem_sql.indexes.vectors.index import VectorIndex
from audiomem_sql.indexes.vectors.index_writing import EncodedIndex, encode_index, encoded_parts
from audiomem_sql.indexes.vectors.rotation import principal_axes
from audiomem_sql.indexes.vectors.trellis import Trellis
from audiomem_sql.machine.spooled_arrays import ArrayRows
from indexes.vectors.clustered import clustered

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "fixtures" / "vectors.json"
GOLDEN_TRELLIS = ROOT / "fixtures" / "vectors_trellis.json"
TEXT = (ROOT.parent / "docs" / "VECTORS.md").read_text()
TYPES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "bytes": "s"}


def written() -> EncodedIndex:
    """An index with everything: a rotation, three lists, lengths, a NULL and a vector of zeros."""
    vectors = clustered(40, 8)
    fitted = VectorCodec(
        np.linspace(0.005, 0.02, 8, dtype=np.float32),
        np.linspace(-0.1, 0.1, 8, dtype=np.float32),
        principal_axes(vectors),
    )
    vectors[::4] *= 20
    vectors[5] = 0
    return encode_index(vectors, np.arange(40) != 7, fitted, embed=True, lists=3)


def written_with_a_trellis() -> EncodedIndex:
    """The same by l2, with a trellis, and some coordinates behind it four a byte."""
    fitted = written().codec
    codec = VectorCodec(4 * fitted.steps, fitted.offset, fitted.axes, Trellis(1, 6))
    vectors = clustered(40, 8)
    vectors[::4] *= 20
    options = VectorIndexOptions(metric=L2)
    parts = encoded_parts(ArrayRows(vectors), np.arange(40) != 7, codec, embed=True, lists=3, options=options)
    return EncodedIndex(parts.header, list(parts.lists), parts.codec, parts.borrowed)


def golden(index: EncodedIndex) -> dict[str, object]:
    """What a fixture holds. They were written once, with versions 1 and 3, and are never written again."""
    reader = VectorIndex(index.header, 40, index.lists.__getitem__)
    coded = reader.coded(np.arange(40))
    return {
        "header": index.header.hex(),
        "lists": [piece.hex() for piece in index.lists],
        "digest": index.codec.digest.hex(),
        "codes": coded.codes.tolist(),
        "lengths": coded.lengths.tolist(),
        "vectors": np.nan_to_num(reader.vectors(np.arange(40)), nan=-9).tolist(),
    }


@pytest.mark.parametrize("path", [GOLDEN, GOLDEN_TRELLIS])
def test_an_index_that_was_written_before(path: Path) -> None:
    golden = json.loads(path.read_text())
    lists = [bytes.fromhex(piece) for piece in golden["lists"]]
    reader = VectorIndex(bytes.fromhex(golden["header"]), 40, lists.__getitem__)
    assert reader.codec.digest.hex() == golden["digest"]
    coded = reader.coded(np.arange(40))
    assert coded.codes.tolist() == golden["codes"]
    assert np.allclose(coded.lengths, golden["lengths"])
    assert np.allclose(np.nan_to_num(reader.vectors(np.arange(40)), nan=-9), golden["vectors"], atol=1e-5)
    assert np.flatnonzero(~reader.present).tolist() == [7]


def test_what_the_header_says_of_a_trellis() -> None:
    data = json.loads(GOLDEN_TRELLIS.read_text())
    header, lists = bytes.fromhex(data["header"]), [bytes.fromhex(piece) for piece in data["lists"]]
    assert header[4] == index_format.TRELLIS_VERSION
    reader = VectorIndex(header, 40, lists.__getitem__)
    assert (reader.metric, reader.codec.trellis) == (L2, Trellis(1, 6))
    for offset, value, error in (
        (4, 4, FormatVersionError),
        (4, index_format.SCALED_VERSION, DamagedFileError),
        (6, 0, DamagedFileError),
        (6, 3, DamagedFileError),
    ):
        changed = bytearray(header)
        changed[offset] = value
        with pytest.raises(error):
            VectorIndex(bytes(changed), 40, lists.__getitem__)
    vectors = clustered(9, 8)
    header = encode_index(vectors, codec=reader.codec, embed=True).header
    at = index_format.INDEX_HEADER.size
    assert header[4] == index_format.TRELLIS_VERSION
    assert index_format.SCALE.unpack_from(header, at) == (1.0,)
    for scale in (2.0, 0.0, np.nan):
        changed = header[:at] + index_format.SCALE.pack(scale) + header[at + index_format.SCALE.size :]
        with pytest.raises(DamagedFileError, match="scale"):
            VectorIndex(changed, 9, lists.__getitem__)
    rounded = VectorCodec(reader.codec.steps, reader.codec.offset, reader.codec.axes)
    with pytest.raises(DamagedFileError):
        VectorIndex(
            encode_index(clustered(9, 8), codec=rounded).header, 9, lists.__getitem__, lambda _: reader.codec
        )


def test_writing_the_same_twice() -> None:
    assert written() != written()
    assert (written().header, written().lists) == (written().header, written().lists)


def table(heading: str) -> list[dict[str, str]]:
    section = re.split(r"^#{1,3} ", TEXT.partition(f"# {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|")
    ]
    return [dict(zip(lines[0], line, strict=True)) for line in lines[2:]]


@pytest.mark.parametrize(
    ("heading", "layout"),
    [
        ("Header", index_format.INDEX_HEADER),
        ("Lists", index_format.LIST_HEADER),
        ("Codec", codec.CODEC_HEADER),
        ("Index of passages", passage_index.PASSAGE_HEADER),
    ],
)
def test_structures(heading: str, layout: struct.Struct) -> None:
    at, codes = 0, "<"
    for row in table(heading):
        assert int(row["offset"]) == at
        at += int(row["size"])
        codes += (row["size"] if row["type"] == "bytes" else "") + TYPES[row["type"]]
    assert at == layout.size
    assert codes == layout.format.replace(" ", "")


def test_magic_values_and_limits() -> None:
    for magic in (index_format.MAGIC, codec.MAGIC, passage_index.MAGIC):
        assert f"`{magic.decode()}`" in TEXT
    for row in table("Limits"):
        name = row["constant"].strip("`")
        module = next(each for each in (codec, index_format, passage_index) if hasattr(each, name))
        assert float(getattr(module, name)) == float(row["value"].replace(",", "")), name
