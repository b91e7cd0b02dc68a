"""What is read of DuckDB's memory beside its interface: any other layout is noticed, and nothing is read where nothing is."""

from __future__ import annotations

import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

import audiomem_sql as am

#: SQLite has no part in this.
DOORS = ("extension",)
FORGED = Path(__file__).with_name("layout.c")
NATIVE = Path(am.__file__).parent / "vtab" / "native"
FAULTS = [case for case in re.findall(r'CASE\("([^"]+)"\)', FORGED.read_text()) if case != "word"]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("layout") / "layout"
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    sources = [str(FORGED), str(NATIVE / "duckdb_layout.c")]
    subprocess.run(
        [*compiler, "-std=gnu99", "-Wall", "-I", str(NATIVE), *sources, "-o", str(made)], check=True
    )
    return made


def read(program: Path, size: int, case: str) -> str:
    return subprocess.run(
        [program, str(size), case], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("size", [24, 8])
def test_names_where_everything_is_as_expected(program: Path, size: int) -> None:
    assert read(program, size, "as it is") == "[id][a name of more than fifteen letters][]"


@pytest.mark.parametrize("size", [4, 16, 32])
def test_types_of_a_size_that_no_release_has(program: Path, size: int) -> None:
    assert read(program, size, "as it is") == "none"


@pytest.mark.parametrize("size", [24, 8])
@pytest.mark.parametrize("fault", FAULTS)
def test_anything_else_gives_no_names(program: Path, size: int, fault: str) -> None:
    assert read(program, size, fault) == "none"
