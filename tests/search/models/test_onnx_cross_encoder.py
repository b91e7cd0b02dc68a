"""Cross-encoders as ONNX graphs in folders: onnxruntime runs a model whose scores can be counted by hand."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import duckdb
import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

import audiomem_sql as am
from audiomem_sql.connections import register
from audiomem_sql.errors import AudioMemError, MissingExtraError, QueryError, UnsupportedError
from audiomem_sql.search.models import allowed, cross_encoders
from audiomem_sql.search.models.cross_encoders import cross_encoder
from audiomem_sql.search.models.onnx_cross_encoder import OnnxCrossEncoder
from audiomem_sql.table.table import Table

#: The model: a text is worth what its words are; those of the query, and all others, nothing.
WORTH = {"[PAD]": 0, "[CLS]": 100, "[SEP]": 200, "[UNK]": 0, "gold": 5, "silver": 2, "mud": -1, "dust": -3}
FLOAT, INT64 = 1, 7


def number(field: int, value: int) -> bytes:
    """A field of a protocol buffer."""
    return varint(field << 3) + varint(value)


def block(field: int, content: bytes | str) -> bytes:
    data = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    return (
        b"".join(block(1, name) for name in inputs)
        + block(2, output)
        + block(4, kind)
        + b"".join(block(5, attribute) for attribute in attributes)
    )


def value_info(name: str, kind: int) -> bytes:
    """Of two dimensions, of any size."""
    shape = b"".join(block(1, block(2, dimension)) for dimension in ("n", "m"))
    return block(1, name) + block(2, block(1, number(1, kind) + block(2, shape)))


def graph_of(worth: list[float], *, labels: int = 1, other_input: str = "token_type_ids") -> bytes:
    """A model in the format of ONNX: for each pair the sum of ``worth`` over the tokens of the text."""
    table = number(1, len(worth)) + number(2, FLOAT) + block(8, "worth")
    table += block(9, struct.pack(f"<{len(worth)}f", *worth))
    nodes = [
        node("Gather", ["worth", "input_ids"], "each"),
        node("Cast", [other_input], "of_text", block(1, "to") + number(3, FLOAT) + number(20, 2)),
        node("Mul", ["each", "of_text"], "counted"),
        node("ReduceSum", ["counted"], "sum", block(1, "axes") + number(8, 1) + number(20, 7)),
        node("Concat", ["sum"] * labels, "logits", block(1, "axis") + number(3, 1) + number(20, 2)),
    ]
    graph = b"".join(block(1, each) for each in nodes) + block(2, "tiny") + block(5, table)
    for name in ("input_ids", other_input):
        graph += block(11, value_info(name, INT64))
    graph += block(12, value_info("logits", FLOAT))
    return number(1, 8) + block(7, graph) + block(8, number(2, 11))


def make(folder: Path, graph: bytes | None = None, where: str = "model.onnx") -> Path:
    """The folder of a cross-encoder."""
    (folder / where).parent.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(WordLevel({word: code for code, word in enumerate(WORTH)}, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.enable_padding(length=30)  # as files of hubs say; it is not wanted here
    tokenizer.enable_truncation(12)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / where).write_bytes(graph_of(list(map(float, WORTH.values()))) if graph is None else graph)
    return folder


def worth_of(text: str) -> float:
    return float(sum(WORTH.get(word, 0) for word in text.split()))


TEXTS = ["gold and mud", "silver", "", "dust dust", "gold gold silver", "nothing"]


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowed, "_named", set())
    cross_encoders._kept.cache_clear()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    path = tmp_path_factory.mktemp("onnx") / "t.flac"
    with Table.create(path, ["id INTEGER PRIMARY KEY", "body TEXT INDEXED"]) as table:
        table.append([{"id": n, "body": f"find {text}".strip()} for n, text in enumerate(TEXTS)])
        yield table


@pytest.mark.parametrize("where", ["model.onnx", "onnx/model.onnx"])
def test_scores(tmp_path: Path, where: str) -> None:
    model = OnnxCrossEncoder(f"onnx:{make(tmp_path / 'ce', where=where)}")
    assert model("gold gold", TEXTS).tolist() == [worth_of(text) for text in TEXTS]
    assert model("gold", []).tolist() == []
    many = [" ".join(["gold"] * (n % 4)) for n in range(50)]
    assert model("mud", many).tolist() == [worth_of(text) for text in many]
    # [CLS] mud [SEP] and eight words of the text, as the tokenizer's truncation says
    assert model("mud", ["gold " * 40]).tolist() == [5.0 * 9]


def test_every_door(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"onnx:{make(tmp_path / 'ce')}"
    wanted = sorted(range(len(TEXTS)), key=lambda n: -worth_of(TEXTS[n]))
    con = apsw.Connection("")
    register(con)
    con.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{table.path}')")
    package = duckdb.connect()
    am.register_duckdb(package)
    in_sqlite = f"SELECT id FROM t WHERE t MATCH 'find' AND ranking = 'rerank=''{name}''' AND k = 6"
    in_duckdb = f"SELECT id FROM audiomem_search('{table.path}', 'find', rerank := '{name}')"
    for refused in (
        lambda: con.execute(in_sqlite).fetchall(),
        lambda: package.execute(in_duckdb).fetchall(),
        lambda: cross_encoder(name),
    ):
        with pytest.raises(
            (AudioMemError, duckdb.Error), match=r"a model by its path .* you did not allow it"
        ) as error:
            refused()
        assert str(tmp_path / "ce") not in str(error.value)
    monkeypatch.setenv(allowed.ENVIRONMENT, name)
    assert [row[0] for row in con.execute(in_sqlite)] == wanted
    assert [row[0] for row in package.execute(in_duckdb).fetchall()] == wanted
    monkeypatch.delenv(allowed.ENVIRONMENT)
    assert table.search("find", rerank=name)["id"].to_pylist() == wanted  # naming it in Python allows it
    rows = table.explain("find", rerank=name).to_pylist()
    assert [row["reranked"] for row in rows] == [worth_of(TEXTS[n]) for n in wanted]
    con.close()
    package.close()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("no graph", "there is no model.onnx"),
        ("no tokenizer", "there is no tokenizer.json"),
        ("graph", "cannot be loaded"),
        ("tokenizer", "cannot be loaded"),
        ("folder", "there is no model.onnx"),
    ],
)
def test_folders_without_a_model(table: Table, tmp_path: Path, broken: str, message: str) -> None:
    folder = make(tmp_path / "ce")
    if broken == "folder":
        folder = tmp_path / "nothing"
    elif broken.startswith("no"):
        (folder / {"no graph": "model.onnx", "no tokenizer": "tokenizer.json"}[broken]).unlink()
    else:
        path = folder / {"graph": "model.onnx", "tokenizer": "tokenizer.json"}[broken]
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(MissingExtraError) as refused:
        table.search("find", rerank=f"onnx:{folder}")
    assert message in str(refused.value)
    assert "Name a folder with tokenizer.json" in str(refused.value)
    assert table.search("find").num_rows == len(TEXTS)


def test_models_that_are_no_cross_encoders(table: Table, tmp_path: Path) -> None:
    worth = list(map(float, WORTH.values()))
    three = make(tmp_path / "three", graph_of(worth, labels=3))
    other = make(tmp_path / "other", graph_of(worth, other_input="pixel_values"))
    for folder, message in ((three, "gives 3 numbers for a text"), (other, "takes pixel_values")):
        with pytest.raises(QueryError) as refused:
            table.search("find", rerank=f"onnx:{folder}")
        assert message in str(refused.value)
        assert "with one label" in str(refused.value)
    nan = make(tmp_path / "nan", graph_of([float("nan")] * len(WORTH)))
    with pytest.raises(QueryError, match="the reranker gave nan for a text"):
        table.search("find", rerank=f"onnx:{nan}")


def test_without_the_packages(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"onnx:{make(tmp_path / 'ce')}"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"needs onnxruntime and tokenizers.*callable"):
        table.search("find", rerank=name)


def test_what_is_no_name(table: Table) -> None:
    for name in ("onnx:", "onnx:  "):
        with pytest.raises((QueryError, UnsupportedError, MissingExtraError)):
            table.search("find", rerank=name)


def test_threads_share_it(tmp_path: Path) -> None:
    model = OnnxCrossEncoder(f"onnx:{make(tmp_path / 'ce')}")
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: model("gold", TEXTS), range(8)))
    assert all(np.array_equal(each, found[0]) for each in found)
