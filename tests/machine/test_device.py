"""Where models and large products run: what is chosen, by every door, without torch and without a GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import duckdb
import numpy as np
import pytest

import audiomem_sql
from audiomem_sql.cli.main import run
from audiomem_sql.errors import AudioMemError, MissingExtraError, OptionError
from audiomem_sql.machine import device
from audiomem_sql.machine.device import ENVIRONMENT, device_for, use_device
from audiomem_sql.storage.segment import default_backend
from audiomem_sql.table.table import Table


@pytest.fixture(autouse=True)
def no_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.setattr(device, "_chosen", None)
    monkeypatch.setitem(sys.modules, "torch", None)
    device._opened.cache_clear()
    yield
    device._opened.cache_clear()


def test_numpy_is_the_default() -> None:
    assert use_device() == "cpu"
    assert device_for(1 << 40) is None
    assert use_device("cpu") == "cpu"
    assert use_device("auto") == "cpu"


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "torch:cpu"])
def test_without_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        MissingExtraError, match=r"needs torch.*audiomem-sql\[semantic\].*AUDIOMEM_DEVICE=cpu"
    ):
        use_device(name)
    assert use_device() == "cpu"  # what was chosen before
    monkeypatch.setenv(ENVIRONMENT, name)
    with pytest.raises(MissingExtraError, match=f"device {name} needs torch"):
        use_device()
    assert device_for(device.LEAST_NUMBERS - 1) is None
    with pytest.raises(MissingExtraError):
        device_for(device.LEAST_NUMBERS)
    assert use_device("cpu") == "cpu"  # and the environment says nothing any more
    assert use_device() == "cpu"


@pytest.mark.parametrize(
    "name", ["", "gpu", "CUDA", "cuda:", "cuda:x", "cuda:1234", "cpu ", "cuda\n", "torch:cuda", 7]
)
def test_a_device_that_does_not_exist(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OptionError, match=r"does not exist.*Use one of: cpu, cuda, cuda:1, auto"):
        use_device(name)
    assert use_device() == "cpu"


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENVIRONMENT, "cude")
    with pytest.raises(OptionError, match="Did you mean cuda"):
        use_device()
    for name in ("", "cpu", "auto"):
        monkeypatch.setenv(ENVIRONMENT, name)
        assert use_device() == "cpu"


def test_a_torch_that_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so.12: cannot open shared object file')")
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match="libcudart"):
        use_device("cuda")
    assert use_device("auto") == "cpu"


def test_in_sql() -> None:
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    assert connection.execute(
        "SELECT audiomem_device(), audiomem_device(NULL), audiomem_device('auto')"
    ).fetchall() == [("cpu",) * 3]
    for wrong, said in (("'cuda'", "needs torch"), ("'gpu'", "does not exist"), ("5", "name of a device")):
        with pytest.raises(AudioMemError, match=said):
            connection.execute(f"SELECT audiomem_device({wrong})").fetchall()
    duck = duckdb.connect()
    audiomem_sql.register_duckdb(duck)
    assert duck.execute("SELECT audiomem_device('cpu')").fetchall() == [("cpu",)]
    with pytest.raises(duckdb.Error, match="needs torch"):
        duck.execute("SELECT audiomem_device('cuda')")
    assert duck.execute("SELECT audiomem_device(NULL)").fetchall() == [("cpu",)]


def test_in_the_shell(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "t.flac"
    assert run(["--device", "cpu", "create", str(path), "body TEXT"]) == 0
    assert run(["--device", "cuda", "create", str(tmp_path / "u.flac"), "body TEXT"]) == 1
    assert run(["--device", "gpu", "info", str(path)]) == 2
    said = capsys.readouterr().err
    assert "needs torch" in said
    assert "'gpu' does not exist" in said
    assert not (tmp_path / "u.flac").exists()


def test_no_file_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.flac"
    with pytest.raises(OptionError, match=r"no option of a table.*audiomem_device\('cuda'\)"):
        Table.create(path, ["body TEXT"], {"device": "cuda"})
    connection = apsw.Connection(":memory:")
    audiomem_sql.register(connection)
    with pytest.raises(OptionError, match="no option of a table"):
        connection.execute(f"CREATE VIRTUAL TABLE t USING audiomem('{path}', body TEXT, device=cuda)")
    assert not path.exists()
    with Table.create(path, ["body TEXT SEMANTIC"], {"model": "hashing"}) as table:
        table.append([{"body": "a b"}])
    monkeypatch.setenv(ENVIRONMENT, "cuda")  # as on a machine that has none
    with Table(path) as table:  # small comparisons need no device, nor does opening
        assert table.search("a", k=1)["body"].to_pylist() == ["a b"]


def test_a_large_comparison_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "LEAST_NUMBERS", 4)
    with Table.create(tmp_path / "t.flac", ["v FLOAT[4]"], {}) as table:
        table.append([{"v": np.eye(4)[row]} for row in range(4)])
        monkeypatch.setenv(ENVIRONMENT, "cuda")
        with pytest.raises(AudioMemError, match="needs torch"):
            table.search(np.ones(4, np.float32), column="v", k=1)
        monkeypatch.setenv(ENVIRONMENT, "cpu")
        assert len(table.search(np.ones(4, np.float32), column="v", k=1)) == 1


def test_the_backend_of_a_new_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_backend("hashing") == "torch"
    monkeypatch.setenv(ENVIRONMENT, "cuda")
    assert default_backend("hashing") == "torch"  # has none, so no device is asked
