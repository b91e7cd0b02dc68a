"""What surrounds a model that runs on onnxruntime: the cache of exported graphs, options, errors.

``make test-model`` has the model itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import apsw
import pytest

from audiomem_sql.connections import register
from audiomem_sql.errors import DamagedFileError, MissingExtraError, OptionError, UnsupportedError
from audiomem_sql.search.models import onnx_export
from audiomem_sql.search.models.embedders import CachedEmbedder, HashingEmbedder, embedder_named
from audiomem_sql.search.models.onnx_graph import ABOUT, GRAPH, TOKENIZER
from audiomem_sql.search.models.onnx_model import OnnxTransformer
from audiomem_sql.storage.segment import TableOptions
from audiomem_sql.table.table import Table


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "c"))
    assert onnx_export.cache_folder() == tmp_path / "c" / "audiomem-sql" / "onnx"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert onnx_export.cache_folder() == tmp_path / ".cache" / "audiomem-sql" / "onnx"


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


def test_a_backend_is_an_embedder_of_its_own() -> None:
    assert embedder_named("some/model", "onnx") is embedder_named("some/model", "onnx")
    assert embedder_named("some/model", "onnx") is not embedder_named("some/model", "torch")


class Other(HashingEmbedder):
    """The same name and dimensions, other weights."""

    digest = b"another digest.."


def test_vectors_of_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiomem_sql.search import embedding

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

        monkeypatch.setattr(embedding, "embedder_named", other)
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
