"""The faces of segments and versions say what each name is for; no files there import in a circle."""

from __future__ import annotations

import importlib

import pytest
from faces import circle

FACES = ("storage.segment", "versions")
ROOMS = ("blocks", "indexes.keys", "storage.segment", "versions", "migrations")


@pytest.mark.parametrize("room", FACES)
def test_everything_at_the_face_is_documented(room: str) -> None:
    face = importlib.import_module(f"audiomem_sql.{room}")
    assert face.__doc__ is not None
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert f"``{name}``" in face.__doc__, name


@pytest.mark.parametrize("room", ROOMS)
def test_no_modules_import_each_other(room: str) -> None:
    assert circle(room) == []
