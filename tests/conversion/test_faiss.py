"""Indexes of FAISS, and texts beside them."""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import pickle
import sys
import types
import uuid
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

import audiomem_sql as am
from audiomem_sql.conversion.convert import convert
from audiomem_sql.conversion.stored_pickles import load
from audiomem_sql.errors import DamagedFileError, DataTypeError, LimitError, UnsupportedError

from .sources import WIDTH, column, converted, rows_of, vectors

COUNT = 300
IDS = np.arange(COUNT, dtype=np.int64)[::-1] * 3 + 1


def written(path: Path, index: Any, ids: Any = None) -> Path:
    data = vectors(COUNT)
    if not index.is_trained:
        index.train(data)
    if ids is None:
        index.add(data)
    else:
        index.add_with_ids(data, ids)
    faiss.write_index(index, str(path))
    return path


def test_exact_indexes(tmp_path: Path) -> None:
    kinds = {
        "Flat": "l2",
        "HNSW8,Flat": "l2",
        "IVF4,Flat": "l2",
    }
    for number, (kind, metric) in enumerate(kinds.items()):
        source = written(tmp_path / f"{number}.index", faiss.index_factory(WIDTH, kind))
        done = converted(source, tmp_path / f"{number}.flac")
        assert done.columns == f"id INTEGER PRIMARY KEY, vec FLOAT[{WIDTH}] INDEXED(metric={metric})", kind
        assert (column(tmp_path / f"{number}.flac", "vec") == vectors(COUNT)).all(), kind
        assert [row["id"] for row in rows_of(tmp_path / f"{number}.flac")] == list(range(COUNT)), kind


@pytest.mark.parametrize("kind", ["IDMap,Flat", "IDMap2,Flat", "IVF4,Flat"])
def test_ids(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path / "a.faiss", faiss.index_factory(WIDTH, kind, faiss.METRIC_INNER_PRODUCT), IDS)
    converted(source, tmp_path / "a.flac")
    with am.open(tmp_path / "a.flac") as table:
        assert "metric=ip" in table.schema.sql()
        for row in (0, 1, 150, 299):
            assert np.array_equal(np.frombuffer(table.get(int(IDS[row]))["vec"], "<f4"), vectors(COUNT)[row])


@pytest.mark.parametrize(
    ("kind", "order"),
    [
        ("IDMap,IVF2,Flat", [2, 0, 1]),
        ("IDMap2,IVF2,Flat", [70, 5, 6]),
        ("IDMap,L2norm,IVF2,Flat", [2, 0, 1]),
        ("L2norm,IDMap2,Flat", [2, 0, 1]),
        ("L2norm,IVF2,Flat", [70, 5, 6]),
        ("IVF2,Flat", [2, 0, 1]),
    ],
)
def test_ids_lead_to_the_vectors_that_the_index_finds(tmp_path: Path, kind: str, order: list[int]) -> None:
    index = faiss.index_factory(2, kind)
    data = np.array([[0, 1], [1, 0], [0.6, 0.8]], "f4")
    index.train(data)
    index.add_with_ids(data, np.array(order, np.int64))
    source = tmp_path / "a.faiss"
    faiss.write_index(index, str(source))
    converted(source, tmp_path / "a.flac")
    ids = [row["id"] for row in rows_of(tmp_path / "a.flac")]
    found = column(tmp_path / "a.flac", "vec")
    assert index.search(found, 1)[1][:, 0].tolist() == ids
    assert np.allclose(found[[ids.index(number) for number in order]], data)


@pytest.mark.parametrize("kind", ["IVF4,Flat", "IDMap,Flat"])
def test_texts_by_the_ids_of_their_vectors(tmp_path: Path, kind: str) -> None:
    source = written(tmp_path / "a.faiss", faiss.index_factory(WIDTH, kind), IDS)
    texts = tmp_path / "t.json"
    rows = [{"id": str(number), "text": f"of {number}"} for number in sorted(IDS.tolist())]
    texts.write_text(json.dumps(rows))
    converted(source, tmp_path / "a.flac", texts=str(texts))
    with am.open(tmp_path / "a.flac") as table:
        for row in (0, 7, 299):
            found = table.get(int(IDS[row]))
            assert found["body"] == f"of {IDS[row]}"
            assert np.array_equal(np.frombuffer(found["vec"], "<f4"), vectors(COUNT)[row])


@pytest.mark.parametrize("ids", [IDS, np.roll(np.arange(COUNT), 1)])
def test_texts_without_ids_where_the_order_is_lost(tmp_path: Path, ids: Any) -> None:
    source = written(tmp_path / "a.faiss", faiss.index_factory(WIDTH, "IVF2,Flat"), ids)
    texts = tmp_path / "t.json"
    texts.write_text(json.dumps([f"note {row}" for row in range(COUNT)]))
    with pytest.raises(UnsupportedError, match=r"t.json: IndexIVFFlat keeps vectors by their ids.*the id of"):
        converted(source, tmp_path / "a.flac", texts=str(texts))
    assert not (tmp_path / "a.flac").exists()


class _Document:
    """Pickled as LangChain's."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


@pytest.mark.parametrize("kind", ["IVF4,Flat", "IDMap,Flat", "Flat"])
def test_a_store_of_langchain_is_joined_by_what_a_search_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    ids = None if kind == "Flat" else IDS
    source = written(tmp_path / "a.faiss", faiss.index_factory(WIDTH, kind), ids)
    monkeypatch.setattr(_Document, "__module__", "langchain_classic")
    fake = types.ModuleType("langchain_classic")
    fake._Document = _Document  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "langchain_classic", fake)
    numbers = range(COUNT) if ids is None else ids.tolist()
    by_position = {number: f"u{row}" for row, number in enumerate(numbers)}
    documents = {f"u{row}": _Document(page_content=f"note {row}", metadata={}) for row in range(COUNT)}
    beside = tmp_path / "a.pkl"
    beside.write_bytes(pickle.dumps((_Document(_dict=documents), by_position)))
    converted(source, tmp_path / "a.flac")
    found = {row["id"]: row for row in rows_of(tmp_path / "a.flac")}
    for row in (0, 7, 299):
        assert found[f"u{row}"]["body"] == f"note {row}"
        assert np.array_equal(np.asarray(found[f"u{row}"]["vec"], "f4"), vectors(COUNT)[row])
    if ids is not None:
        beside.write_bytes(pickle.dumps((_Document(_dict=documents), dict(enumerate(by_position.values())))))
        with pytest.raises(UnsupportedError, match=r"a.pkl: .*no text for the vector"):
            converted(source, tmp_path / "b.flac")


def test_codes_are_said_to_be_such(tmp_path: Path) -> None:
    source = written(tmp_path / "a.faiss", faiss.index_factory(WIDTH, "SQ8"))
    done = converted(source, tmp_path / "a.flac")
    assert any("keeps codes" in note for note in done.notes)
    assert np.abs(column(tmp_path / "a.flac", "vec") - vectors(COUNT)).max() < 0.05


@pytest.mark.parametrize("suffix", ["json", "jsonl", "parquet"])
def test_texts(tmp_path: Path, suffix: str) -> None:
    source = written(tmp_path / "a.faiss", faiss.IndexFlatIP(WIDTH))
    texts = tmp_path / f"texts.{suffix}"
    rows = [{"id": f"n{row}", "text": f"note {row}", "year": row} for row in range(COUNT)]
    if suffix == "parquet":
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(rows), texts)
    else:
        lines = map(json.dumps, rows)
        texts.write_text(json.dumps(rows) if suffix == "json" else "\n".join(lines))
    done = converted(source, tmp_path / "a.flac", texts=str(texts))
    assert done.columns.startswith("id TEXT PRIMARY KEY, body TEXT INDEXED, year INTEGER, vec")
    row = rows_of(tmp_path / "a.flac")[7]
    assert (row["id"], row["body"], row["year"]) == ("n7", "note 7", 7)


def test_texts_that_do_not_fit(tmp_path: Path) -> None:
    source = written(tmp_path / "a.faiss", faiss.IndexFlatIP(WIDTH))
    texts = tmp_path / "t.json"
    texts.write_text('["one"]')
    with pytest.raises(DataTypeError, match=r"t.json: there are 1 texts for 300 vectors"):
        converted(source, tmp_path / "a.flac", texts=str(texts))
    texts.write_text("[")
    with pytest.raises(DamagedFileError, match="texts cannot be read"):
        converted(source, tmp_path / "a.flac", texts=str(texts))
    (tmp_path / "t.pkl").write_bytes(b"x")
    with pytest.raises(UnsupportedError, match="a pickle can run code"):
        converted(source, tmp_path / "a.flac", texts=str(tmp_path / "t.pkl"))
    source.write_bytes(source.read_bytes()[:100])
    with pytest.raises(DamagedFileError, match="FAISS cannot read this"):
        converted(source, tmp_path / "a.flac")
    assert not (tmp_path / "a.flac").exists()


class _Attack:
    def __reduce__(self) -> Any:
        return Path.touch, (Path("/tmp/convert-attacked"),)


@pytest.mark.parametrize("attack", [_Attack(), {"a": [_Attack()]}, print, (np.float32(1),)])
def test_pickles_run_nothing(tmp_path: Path, attack: Any) -> None:
    source = written(tmp_path / "a.faiss", faiss.IndexFlatL2(WIDTH))
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(attack))
    with pytest.raises(UnsupportedError, match=r"a.pkl: the pickle names .*could run code.*--texts"):
        list(convert(source, tmp_path / "a.flac"))
    assert not Path("/tmp/convert-attacked").exists()


@pytest.mark.parametrize("data", [b"", b"\x80\x05", b"\x80\x05K\x01.", b"\x80\x05" + b"(" * 9 + b"."])
def test_pickles_that_are_none(tmp_path: Path, data: bytes) -> None:
    source = written(tmp_path / "a.faiss", faiss.IndexFlatL2(WIDTH))
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(DamagedFileError):
        list(convert(source, tmp_path / "a.flac"))


#: Tuples of the same tuple twice, 60 deep.
DOUBLED = b"\x80\x04)" + b"2\x86" * 60


@pytest.mark.parametrize(
    "data",
    [
        b"cbuiltins\nbytearray\n(I4000000000\ntR.",
        b"\x80\x04}" + DOUBLED[2:] + b"K\x01s.",
        b"\x80\x04}(" + DOUBLED[2:] + b"K\x01u.",
        b"(" + DOUBLED[2:] + b"K\x01d.",
        b"\x80\x04\x8f(" + DOUBLED[2:] + b"\x90.",
        b"\x80\x04(" + DOUBLED[2:] + b"\x91.",
        b"cbuiltins\nset\n((" + DOUBLED[2:] + b"ltR.",
        b"ccollections\nOrderedDict\n(((" + DOUBLED[2:] + b"K\x01tltR.",
        DOUBLED + b".",
        b"\x80\x04]q\x00h\x00a.",
    ],
)
def test_pickles_that_ask_for_more_than_they_are(data: bytes) -> None:
    with pytest.raises(LimitError, match=r"a.pkl: the pickle is refused"):
        load(data, "a.pkl")


def test_pickles_that_change_classes() -> None:
    with pytest.raises(UnsupportedError, match="changes a class"):
        load(b"cuuid\nUUID\n(N(Vhex\nK\x01dtb.", "a.pkl")
    assert uuid.UUID(int=0).hex == "0" * 32


def test_plain_values_in_pickles() -> None:
    plain = {
        "a": [bytearray(b"\xff"), {1, 2}, frozenset("x"), {(1, "b"): 2.5}, collections.OrderedDict(a=1)],
        "b": [uuid.UUID(int=7), decimal.Decimal("1.10"), datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC)],
    }
    plain["c"] = plain["a"]
    for protocol in range(3, pickle.HIGHEST_PROTOCOL + 1):
        assert load(pickle.dumps(plain, protocol), "a.pkl") == plain, protocol
