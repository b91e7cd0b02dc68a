"""Every benchmark can be started: it names nothing that has moved."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import benchmarks

NAMES = sorted(path.stem for path in Path(benchmarks.__path__[0]).glob("[a-z]*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_it_is_imported(name: str) -> None:
    assert importlib.import_module(f"benchmarks.{name}").__doc__
