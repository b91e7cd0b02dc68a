"""Who opens the bytes of a table's file: nobody but this room."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "audiomem_sql"
ROOMS = ("audio", "storage/pages", "storage/segment", "blocks", "indexes", "sound", "protection")
OPENS = {"open", "os.open", "os.pread", "os.preadv", "os.dup", "open_regular"}


def opened_in(path: Path) -> set[str]:
    """The calls of a module that open a file or read one by its descriptor."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {ast.unparse(call) for call in calls} & OPENS


def test_nothing_below_a_page_opens_a_file() -> None:
    """What reads pages, catalogs, blocks and metadata has its bytes from a ``ByteSource``."""
    modules = [path for room in ROOMS for path in sorted((PACKAGE / room).rglob("*.py"))]
    assert len(modules) > 60
    assert {str(path): opened_in(path) for path in modules if opened_in(path)} == {}


def test_the_local_file_opens_one() -> None:
    assert opened_in(PACKAGE / "bytes" / "local_file.py") == {"open_regular", "os.pread", "os.dup"}


def test_only_this_room_knows_what_a_local_file_is() -> None:
    naming = {path.parent.name for path in PACKAGE.rglob("*.py") if "LocalFile" in path.read_text()}
    assert naming == {"bytes"}
