"""Packages that are optional: what needs one that is not installed names the extra, and nothing else does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import audiomem_sql as am

USES = {
    "am.read_flac(path)": ("pandas", "pandas"),
    "am.open(path).to_pandas()": ("pandas", "pandas"),
    "am.read_sql('SELECT 1', path)": ("pandas", "pandas"),
    "import audiomem_sql.pandas": ("pandas", "pandas"),
    "am.scan_flac(path)": ("polars", "polars"),
    "import audiomem_sql.sqlalchemy": ("sqlalchemy", "sqlalchemy"),
    "am.attach(None, path)": ("duckdb", "duckdb"),
    "am.register_duckdb(None)": ("duckdb", "duckdb"),
}


@pytest.mark.parametrize("use", USES)
def test_the_extra_is_named(use: str, tmp_path: Path) -> None:
    package, extra = USES[use]
    am.write_flac([{"id": 1}], tmp_path / "t.flac").close()
    code = (
        "import sys; path = sys.argv[1]\n"
        "class Missing:\n"
        "    def find_spec(self, name, *rest):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import audiomem_sql as am\n"
        "from audiomem_sql.errors import MissingExtraError\n"
        "assert am.open(path).to_arrow().num_rows == 1\n"
        f"try:\n    {use}\nexcept MissingExtraError as error:\n    print(error)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "t.flac")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"pip install 'audiomem-sql[{extra}]'" in done.stdout
