"""The faces of pages and log: each name that they give is explained there."""

from __future__ import annotations

import importlib

import pytest


@pytest.mark.parametrize("room", ["storage.pages", "storage.log"])
def test_everything_at_the_face_is_explained(room: str) -> None:
    face = importlib.import_module(f"audiomem_sql.{room}")
    assert face.__doc__ is not None
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert f"``{name}``" in face.__doc__, name
