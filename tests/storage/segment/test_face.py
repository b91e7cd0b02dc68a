"""The faces of segments and versions say what each name is for."""

from __future__ import annotations

import importlib

import pytest

FACES = ("storage.segment", "versions")


@pytest.mark.parametrize("room", FACES)
def test_everything_at_the_face_is_documented(room: str) -> None:
    face = importlib.import_module(f"audiomem_sql.{room}")
    assert face.__doc__ is not None
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert f"``{name}``" in face.__doc__, name
