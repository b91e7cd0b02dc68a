"""Other rooms import segments and versions from the face of the room; no files import in a circle."""

from __future__ import annotations

import importlib

import pytest
from test_layout import arrows

ROOMS = ("storage.segment", "versions")
ROOMS_WITHOUT_CIRCLES = ("blocks", "indexes.keys", "storage.segment", "versions", "migrations")


@pytest.mark.parametrize("room", ROOMS)
def test_other_rooms_import_from_the_face(room: str) -> None:
    face = importlib.import_module(f"audiomem_sql.{room}")
    assert all(hasattr(face, name) for name in face.__all__)
    for module, target in arrows():
        if target.startswith(f"{room}.") and not module.startswith(f"{room}."):
            assert target == f"{room}.__init__", f"{module} imports {target}"


@pytest.mark.parametrize("room", ROOMS_WITHOUT_CIRCLES)
def test_no_circle_of_files(room: str) -> None:
    """Imports under TYPE_CHECKING and in functions count."""
    imported: dict[str, set[str]] = {}
    for module, target in arrows():
        if module.startswith(f"{room}.") and target.startswith(f"{room}."):
            imported.setdefault(module, set()).add(target)
    while imported:
        leaves = {module for modules in imported.values() for module in modules} - imported.keys()
        free = {module for module, targets in imported.items() if targets <= leaves}
        assert free, f"a circle among {sorted(imported)}"
        imported = {module: targets - leaves for module, targets in imported.items() if module not in free}
