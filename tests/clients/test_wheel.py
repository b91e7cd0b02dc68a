"""What is installed: a wheel with the extension, which starts the environment that it lies in.

Where there is no compiler, a wheel without the extension.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import duckdb
import pytest

from .conftest import ENVIRONMENT, ROOT

PARTS = (
    "audiomem_sql",
    "vtab",
    "udfs",
    "migrations",
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive, unpacked: what is not in it cannot be built."""
    folder = tmp_path_factory.mktemp("sources")
    tree = folder / "tree"
    tree.mkdir()
    for name in PARTS:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.duckdb_extension")
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tree / name)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", folder],
        cwd=tree,
        check=True,
        capture_output=True,
    )
    (archive,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(archive, folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


def wheel(sources: Path, folder: Path, **environment: str) -> Path:
    """A wheel that is built as pip builds it."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "-q",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            folder,
            sources,
        ],
        env=ENVIRONMENT | environment,
        check=True,
        capture_output=True,
    )
    shutil.rmtree(sources / "build", ignore_errors=True)
    (made,) = folder.glob("*.whl")
    return made


def environment(folder: Path, made: Path) -> Path:
    """A fresh virtual environment with the wheel, and by reference what it needs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    with zipfile.ZipFile(made) as archive:
        archive.extractall(packages)
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib"))
    return packages


def test_a_wheel_has_the_extension_and_it_starts_its_environment(sources: Path, tmp_path: Path) -> None:
    made = wheel(sources, tmp_path)
    assert "-py3-none-" in made.name
    assert not made.name.endswith("-any.whl")
    packages = environment(tmp_path / "fresh", made)
    extension = packages / "audiomem_sql" / "audiomem.so"
    assert os.fspath(sys.executable).encode() not in extension.read_bytes(), (
        "paths of the build stay out of wheels"
    )
    lines = [
        f".load {extension}",
        "CREATE VIRTUAL TABLE t USING audiomem('t.flac', a TEXT);",
        "INSERT INTO t VALUES ('from a wheel');",
        "SELECT a FROM t;",
    ]
    done = subprocess.run(
        ["sqlite3", "-batch", ":memory:"],
        input="\n".join([*lines, ""]),
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("from a wheel\n", "")
    connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
    other = packages / "audiomem_sql" / "audiomem.duckdb_extension"
    connection.execute(f"LOAD '{other}'")
    assert connection.execute(f"FROM '{tmp_path / 't.flac'}'").fetchall() == [("from a wheel",)]
    connection.close()


def test_without_a_compiler_the_rest_is_installed(sources: Path, tmp_path: Path) -> None:
    made = wheel(sources, tmp_path, CC="/bin/false")
    packages = environment(tmp_path / "fresh", made)
    assert not [*(packages / "audiomem_sql").glob("audiomem.*")]
    code = """
import audiomem_sql
audiomem_sql.write_flac([{"a": 1}], "t.flac").close()
print(audiomem_sql.connect("t.flac").execute("SELECT a FROM t").fetchall())
audiomem_sql.loadable_path()
"""
    done = subprocess.run(
        [tmp_path / "fresh" / "bin" / "python", "-c", code],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "[(1,)]\n"
    assert "apt install gcc libsqlite3-dev" in done.stderr
