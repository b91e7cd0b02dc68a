"""What surrounds a model that runs on onnxruntime: the cache of exported graphs, options, errors.

``make test-model`` has the model itself.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import DamagedFileError, MissingExtraError, OptionError, UnsupportedError
from audiomem_sql.search.models import onnx_export
from audiomem_sql.search.models.allowed import allow_model
from audiomem_sql.search.models.embedders import (
    CachedEmbedder,
    HashingEmbedder,
    embedder_named,
    same_weights,
)
from audiomem_sql.search.models.onnx_graph import ABOUT, GRAPH, TOKENIZER
from audiomem_sql.search.models.onnx_model import OnnxTransformer
from audiomem_sql.storage.segment import TableOptions, default_backend
from audiomem_sql.table.table import Table


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert onnx_export.export_folder() == tmp_path / "c" / "audiomem-sql" / "onnx"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert onnx_export.export_folder() == tmp_path / ".cache" / "audiomem-sql" / "onnx"


def exported(folder: Path) -> None:
    """What looks like an exported model."""
    folder.mkdir(parents=True)
    files = {}
    for name in (GRAPH, TOKENIZER):
        (folder / name).write_bytes(name.encode())
        files[name] = onnx_export._hash_of(folder / name)
    about = {"model": "m", "version": 1, "dimensions": 3, "tokens": 256, "digest": "0" * 32, "files": files}
    (folder / ABOUT).write_text(json.dumps(about))


def test_what_is_partial_is_not_used(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    exported(whole)
    about = onnx_export.read_about(whole)
    assert about is not None
    assert about["dimensions"] == 3
    assert onnx_export.read_about(tmp_path / "nothing") is None
    for name in (GRAPH, TOKENIZER, ABOUT):
        for how in ("missing", "short", "empty", "other"):
            folder = tmp_path / f"{name} {how}"
            exported(folder)
            path = folder / name
            was = path.read_bytes()
            if how == "missing":
                path.unlink()
            else:
                path.write_bytes({"short": was[:-1], "empty": b"", "other": b"[1, 2]"}[how])
            assert onnx_export.read_about(folder) is None, (name, how)
    for key, value in (("dimensions", 0), ("digest", "zz" * 16), ("digest", "00"), ("tokens", None)):
        (whole / ABOUT).write_text(json.dumps(about | {key: value}))
        assert onnx_export.read_about(whole) is None


def test_another_file_is_another_model(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    first = onnx_export.fingerprint("m", str(tmp_path))
    assert onnx_export.fingerprint("m", str(tmp_path)) == first
    (tmp_path / "config.json").write_text("{ }")
    assert len({first, onnx_export.fingerprint("m", str(tmp_path)), onnx_export.fingerprint("m", None)}) == 3


@pytest.mark.parametrize("missing", ["onnxruntime.quantization", "onnx"])
def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, missing: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, missing, None)
    model = OnnxTransformer("m", None, lambda: (None, b""))
    with pytest.raises(MissingExtraError, match=r"audiomem-sql\[onnx\]"):
        model.embed(["a"])
    assert list(tmp_path.rglob("*")) == []


def test_options(tmp_path: Path) -> None:
    assert TableOptions.parse({"model_backend": "ONNX"}).model_backend == "onnx"
    assert TableOptions.parse({}).model_backend == "torch"
    for options, message in (
        ({"model_backend": "tpu"}, "model_backend 'tpu'"),
        ({"model_backend": "onnx", "model": "hashing"}, "hashing has no"),
        ({"model_digest": "00"}, "no option model_digest"),
    ):
        with pytest.raises(OptionError, match=message):
            TableOptions.parse(options)
    with pytest.raises(DamagedFileError, match="options"):
        TableOptions.from_catalog({"model_backend": "tpu"})
    with pytest.raises(DamagedFileError, match="options"):
        TableOptions.from_catalog({"model_digest": "0"})
    sql = apsw.Connection(str(tmp_path / "t.sqlite"))
    register(sql)
    sql.execute("CREATE VIRTUAL TABLE t USING audiomem('t.flac', body TEXT SEMANTIC, model_backend=onnx)")
    with pytest.raises(OptionError, match="made with model_backend=onnx"):
        sql.execute("CREATE VIRTUAL TABLE u USING audiomem('t.flac', model_backend=torch)")
    with pytest.raises(OptionError, match="does not exist"):
        sql.execute("SELECT embed('a', 'm', 'tpu')")
    sql.close()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages before all others; those of the extra ``onnx`` are not installed elsewhere."""
    folder = tmp_path / "packages"
    for name in ("onnx", "onnxruntime", "tokenizers"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(folder)
    return folder


def test_int8_is_the_default_where_it_is_installed(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert default_backend("all-MiniLM-L6-v2") == default_backend("some/model") == "onnx"
    for model in ("hashing", "wordllama", "openai:some", "ollama:some"):
        assert default_backend(model) == "torch"
        with pytest.raises(OptionError, match="has no model_backend"):
            TableOptions.parse({"model": model, "model_backend": "onnx"})
    Table.create(tmp_path / "a.flac", ["body TEXT SEMANTIC"]).close()
    Table.create(tmp_path / "b.flac", ["body TEXT SEMANTIC"], {"model_backend": "torch"}).close()
    Table.create(tmp_path / "c.flac", ["body TEXT"]).close()
    Table.create(tmp_path / "d.flac", ["body TEXT SEMANTIC"], {"model": "hashing"}).close()
    backends = [Table(tmp_path / f"{name}.flac").options.model_backend for name in "abcd"]
    assert backends == ["onnx", "torch", "torch", "torch"]
    with Table.salvaged(Table(tmp_path / "b.flac"), tmp_path / "saved.flac") as table:
        assert table.options.model_backend == "torch"  # the file's word
    for missing in ("onnx", "onnxruntime", "tokenizers"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            assert default_backend("some/model") == "torch"
            Table.create(tmp_path / f"{missing}.flac", ["body TEXT SEMANTIC"]).close()
            assert Table(tmp_path / f"{missing}.flac").options.model_backend == "torch"


def test_an_older_export_serves_where_no_new_one_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def cannot() -> tuple[Any, bytes]:
        raise MissingExtraError("no torch here")

    with pytest.raises(MissingExtraError, match="no torch here"):
        OnnxTransformer("m", None, cannot).digest  # noqa: B018
    before = onnx_export.fingerprint("m", None, onnx_export.EXPORT_VERSION - 1)
    exported(onnx_export.export_folder() / f"m-{before}")
    model = OnnxTransformer("m", None, cannot)
    assert (model.digest, model.dimensions, model.weights) == (bytes(16), 3, b"")
    assert before != onnx_export.fingerprint("m", None)


def test_a_table_is_searched_with_the_other_backend_of_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = b"digest of floats"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = onnx_export.export_folder() / f"here-{onnx_export.fingerprint('here', None)}"
    exported(folder)
    about = json.loads((folder / ABOUT).read_text())
    about |= {"weights": weights.hex(), "digest": onnx_export.digest_of(weights).hex()}
    (folder / ABOUT).write_text(json.dumps(about))
    for missing in ("sentence_transformers", "onnxruntime"):
        monkeypatch.setitem(sys.modules, missing, None)
    allow_model("here")
    assert same_weights("here", "torch", weights.hex()) == "onnx"
    assert same_weights("here", "torch", b"others' digest..".hex()) is None
    assert same_weights("here", "onnx", about["digest"]) is None  # no torch
    assert same_weights("hashing", "torch", weights.hex()) is None
    assert same_weights("here", "torch", "") is None


def test_a_backend_is_an_embedder_of_its_own() -> None:
    assert embedder_named("some/model", "onnx") is embedder_named("some/model", "onnx")
    assert embedder_named("some/model", "onnx") is not embedder_named("some/model", "torch")


class Other(HashingEmbedder):
    """The same name and dimensions, other weights."""

    digest = b"another digest.."


def test_vectors_of_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiomem_sql.search.embedding import texts

    path = tmp_path / "t.flac"
    with Table.create(path, ["body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        assert table.options.model_digest == ""
        table.append([{"body": "one text"}])
        assert table.options.model_digest == HashingEmbedder.digest.hex()
    with Table(path) as table:
        assert table.options.model_digest == HashingEmbedder.digest.hex()  # it is in the file
        version = table.version

        def other(name: str, backend: str = "torch") -> Any:
            return CachedEmbedder(Other())

        monkeypatch.setattr(texts, "embedder_named", other)
        for work in (lambda: table.search("one"), lambda: table.append([{"body": "two"}])):
            with pytest.raises(UnsupportedError, match=r"other weights.*audiomem reembed"):
                work()
        assert table.version == version
        table.reembed()
        assert table.options.model_digest == Other.digest.hex()
        assert table.search("one", k=1)["body"].to_pylist() == ["one text"]
        monkeypatch.undo()
        with pytest.raises(UnsupportedError, match="other weights"):
            table.search("one")
