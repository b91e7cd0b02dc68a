"""The faces of pages and log: what the rooms above import."""

from __future__ import annotations

import importlib

import pytest
from faces import circle, imports_into


@pytest.mark.parametrize("room", ["storage.pages", "storage.log"])
def test_the_rooms_above_import_the_face_alone(room: str) -> None:
    assert {(module, target) for module, target in imports_into(room) if target != room} == set()


@pytest.mark.parametrize("room", ["storage.pages", "storage.log"])
def test_everything_at_the_face_is_used_above_or_documented(room: str) -> None:
    face = importlib.import_module(f"audiomem_sql.{room}")
    assert face.__doc__ is not None
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert f"``{name}``" in face.__doc__, name


@pytest.mark.parametrize("room", ["storage.pages", "storage.log"])
def test_no_modules_import_each_other(room: str) -> None:
    assert circle(room) == []
